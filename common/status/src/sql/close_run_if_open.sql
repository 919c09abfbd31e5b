-- run: running -> cancelled, running -> superseded, partial -> superseded, failed -> superseded
-- $1 run, $2 cancelled or superseded
--
-- Guard: a run that a person cancels is running; one that a later run replaces is running or could be revived. First
-- of three statements in the order run, tables, chunks, the order in which every transaction locks them. The planner
-- fence goes up, so a planner that lives learns it at its next write.
update migration_status.migration_runs
set status = $2, finished_at = clock_timestamp(), last_activity_at = clock_timestamp(),
    planner_fence = planner_fence + 1, planner_lease_until = null
where run_id = $1 and (status = 'running' or $2 = 'superseded' and status in ('partial', 'failed'))
