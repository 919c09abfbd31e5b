-- reads how many rows the ended executions of a table have put into its target
-- $1 table, $2 the execution that is to come
select coalesce(sum(inserted_rows), 0)::bigint as inserted_rows
from migration_status.migration_chunk_status
where table_id = $1 and execution < $2
