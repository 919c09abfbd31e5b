-- table: planned -> failed
-- $1 table, $2 run, $3 error class, $4 error text
-- Guard: planned and never started, and the run is running; needs no planner, for the start that failed was a worker's.
-- Its chunks are cancelled behind this, in the same transaction.
update migration_status.migration_table_status t
set status = 'failed', finished_at = clock_timestamp(), holds_target = false, error_class = $3, error_text = $4
from migration_status.migration_runs r
where t.table_id = $1 and t.run_id = $2 and r.run_id = t.run_id and r.status = 'running'
  and t.status = 'planned' and t.started_at is null
