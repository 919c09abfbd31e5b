-- run: running -> superseded
-- $1 run
--
-- Guard: running, and its planner's lease is over or was given back: a run whose planner lives is not put aside. First
-- of three statements in the order run, tables, chunks; behind it the later run takes the targets, in one transaction.
update migration_status.migration_runs
set status = 'superseded', finished_at = clock_timestamp(), last_activity_at = clock_timestamp(),
    planner_fence = planner_fence + 1, planner_lease_until = null
where run_id = $1 and status = 'running' and (planner_lease_until is null or planner_lease_until <= now())
