-- run: partial -> running, failed -> running, cancelled -> running
-- $1 run, $2 planner, $3 seconds of its lease
--
-- Guard: one of these states; of two planners the second finds the run running. Planned again once every reopened
-- table has its plan. First of three statements: run, tables, chunks.
update migration_status.migration_runs
set status = 'running', finished_at = null, planned_at = null, last_activity_at = clock_timestamp(),
    planner_id = $2, planner_fence = planner_fence + 1,
    planner_lease_until = clock_timestamp() + make_interval(secs => $3),
    error_class = null, error_text = null
where run_id = $1 and status in ('partial', 'failed', 'cancelled')
returning planner_fence
