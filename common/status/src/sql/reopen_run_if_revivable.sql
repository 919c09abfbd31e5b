-- run: partial -> running, failed -> running, cancelled -> running, completed -> running
-- $1 run, $2 planner, $3 seconds of its lease, $4 the state it was seen in
--
-- Guard: still in that state; of two planners the second finds the run running. Completed ones are opened only for
-- tables that are added: the run is not complete in another database, or was not asked for them. Planned again once
-- every table has its plan. First of three statements: run, tables, chunks.
update migration_status.migration_runs
set status = 'running', finished_at = null, planned_at = null, last_activity_at = clock_timestamp(),
    planner_id = $2, planner_fence = planner_fence + 1,
    planner_lease_until = clock_timestamp() + make_interval(secs => $3),
    error_class = null, error_text = null
where run_id = $1 and status = $4 and status in ('partial', 'failed', 'cancelled', 'completed')
returning planner_fence
