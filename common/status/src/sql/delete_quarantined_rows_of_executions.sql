-- the rows that ended executions of a table set aside: the new one sets its own aside
-- $1 table, $2 the new execution
delete from migration_status.quarantined_rows q
using migration_status.migration_chunk_status c
where q.table_id = $1 and c.table_id = q.table_id and c.chunk_no = q.chunk_no and c.execution < $2
