-- first of two statements that end a run, as for a table: lock, then decide
-- $1 run
-- Guard: running, and every table has its plan or has failed.
select 1
from migration_status.migration_runs
where run_id = $1 and status = 'running' and planned_at is not null
for no key update
