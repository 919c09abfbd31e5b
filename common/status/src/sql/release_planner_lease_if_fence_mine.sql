-- a planner leaves: planned, the run goes on without one; unplanned, the next planner may take over at once
-- $1 run, $2 planner, $3 fence
-- Guard: fence and planner: a planner that was taken over must not end its successor's lease. One more fence: a heartbeat
-- of its own that is still under way, or runs on while its worker drains, must not bring the hold back.
update migration_status.migration_runs
set planner_fence = planner_fence + 1,
    planner_lease_until = case when planned_at is null then least(planner_lease_until, clock_timestamp()) end,
    last_activity_at = clock_timestamp()
where run_id = $1 and planner_id = $2 and planner_fence = $3
