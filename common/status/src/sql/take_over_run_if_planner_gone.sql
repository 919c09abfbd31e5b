-- another planner takes a running run over; changes no state
-- $1 run, $2 planner, $3 seconds
-- Guard: running, and the planner's lease is over or was given back. Of two that try, the second sees the first's
-- lease in the locked row. Planned again once every table has its plan: the new planner may add tables.
update migration_status.migration_runs
set planner_id = $2,
    planner_fence = planner_fence + 1,
    planner_lease_until = clock_timestamp() + make_interval(secs => $3),
    planned_at = null,
    last_activity_at = clock_timestamp()
where run_id = $1 and status = 'running' and (planner_lease_until is null or planner_lease_until <= now())
returning planner_fence
