-- run: running -> cancelled
-- $1 run
--
-- Guard: running. First of three statements in the order run, tables, chunks, the order in which every transaction
-- locks them. The planner fence goes up, so a planner that lives learns it at its next write.
update migration_status.migration_runs
set status = 'cancelled', finished_at = clock_timestamp(), last_activity_at = clock_timestamp(),
    planner_fence = planner_fence + 1, planner_lease_until = null
where run_id = $1 and status = 'running'
