-- second statement of a load transaction, so that its snapshot is younger than the advisory lock of the first
-- $1 table, $2 chunk number, $3 fence, $4 worker
-- Takes no row lock: the heartbeat must go on while the rows are loaded.
select 1
from migration_status.migration_chunk_status
where table_id = $1 and chunk_no = $2 and fence = $3 and worker_id = $4 and status = 'in_progress'
