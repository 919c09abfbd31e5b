-- the heartbeat of a planner, waiting included; changes no state
-- $1 run, $2 planner, $3 fence, $4 seconds
-- Guard: fence, planner and running: a planner that was taken over learns it here and stops.
update migration_status.migration_runs
set planner_lease_until = clock_timestamp() + make_interval(secs => $4), last_activity_at = clock_timestamp()
where run_id = $1 and planner_id = $2 and planner_fence = $3 and status = 'running'
