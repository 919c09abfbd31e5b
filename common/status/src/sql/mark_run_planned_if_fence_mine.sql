-- every table of the run has its plan or has failed: the run may end now; changes no state
-- $1 run, $2 planner, $3 fence
-- Guard: planner fence and running; and no table is left in planning that never had a plan (a fresh execution has one).
update migration_status.migration_runs r
set planned_at = coalesce(planned_at, clock_timestamp()), last_activity_at = clock_timestamp()
where run_id = $1 and planner_id = $2 and planner_fence = $3 and status = 'running'
  and not exists (select from migration_status.migration_table_status t
                  where t.run_id = r.run_id and t.status = 'planning' and t.plan is null)
