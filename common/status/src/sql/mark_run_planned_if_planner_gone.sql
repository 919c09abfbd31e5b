-- every table of a run has its plan or has failed, but its planner died before it could say so; changes no state
-- Guard: running, never marked, the planner's lease is over or was given back, and no table is left in planning that
-- never had a plan. A planner that takes the run over meanwhile writes the same row, so this looks at it again.
update migration_status.migration_runs r
set planned_at = clock_timestamp()
where r.status = 'running' and r.planned_at is null
  and (r.planner_lease_until is null or r.planner_lease_until <= now())
  and not exists (select from migration_status.migration_table_status t
                  where t.run_id = r.run_id and t.status = 'planning' and t.plan is null)
