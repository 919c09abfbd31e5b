-- reads the tables of a run whose fresh execution is to be planned
-- $1 run
select t.table_id, t.entry, t.execution, t.plan
from migration_status.migration_table_status t
join migration_status.migration_runs r using (run_id)
where t.run_id = $1 and r.status = 'running' and t.status = 'planning' and t.started_at is not null and t.plan is not null
  -- A table that one statement reads needs no planner.
  and t.plan -> 'one_scan' is null
order by t.position
