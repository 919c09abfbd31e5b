-- table: planning -> failed
-- $1 error class, $2 error text
--
-- Guard: a fresh execution of a started table is to be planned, and the planner of its run has left or is dead: only a
-- planner can plan, and a table that waits for nobody would keep its run open for ever. A table that one
-- statement reads needs no planner.
update migration_status.migration_table_status t
set status = 'failed', finished_at = clock_timestamp(), holds_target = false, error_class = $1, error_text = $2
from migration_status.migration_runs r
where r.run_id = t.run_id and r.status = 'running'
  and (r.planner_lease_until is null or r.planner_lease_until <= now())
  and t.status = 'planning' and t.started_at is not null and t.plan -> 'one_scan' is null
returning t.table_id, t.run_id
