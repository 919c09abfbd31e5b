-- reads the chunks of a table that are open or have failed
-- $1 table, $2 at most
select chunk_no, status, failures, worker_id, error_class, error_text, range
from migration_status.migration_chunk_status
where table_id = $1 and status in ('pending', 'in_progress', 'failed')
order by chunk_no
limit $2
