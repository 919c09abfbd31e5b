-- reads one chunk: what became of a commit whose answer was lost, and why a claim gave nothing
-- $1 table, $2 chunk number, $3 run
select c.status, c.fence, c.worker_id
from migration_status.migration_chunk_status c
join migration_status.migration_table_status t using (table_id)
where c.table_id = $1 and c.chunk_no = $2 and t.run_id = $3
