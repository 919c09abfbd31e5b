-- reads the tables that ended (cancelled, failed, superseded) while indexes of their targets were dropped
-- Not those whose target is loaded again just now, or is about to be: that load's finalizer restores them, too
-- (list_saved_indexes_of_target.sql). A target that a dead planner holds without a plan is loaded by nobody.
select t.table_id
from migration_status.migration_table_status t
where t.saved_indexes is not null
  and t.status in ('partial', 'failed', 'cancelled', 'superseded')
  and not exists (select from migration_status.migration_table_status held
                  join migration_status.migration_runs r using (run_id)
                  where held.holds_target and held.target_schema = t.target_schema and held.target_table = t.target_table
                    and (held.status in ('planned', 'loading', 'finalizing')
                         or held.status = 'planning' and r.planner_lease_until > now()))
order by t.table_id
