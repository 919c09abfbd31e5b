-- reads the tables that ended (cancelled, failed, superseded) while indexes of their targets were dropped
-- Not those whose target is loaded again just now: its finalizer restores them all.
select t.table_id
from migration_status.migration_table_status t
where t.saved_indexes is not null
  and t.status in ('partial', 'failed', 'cancelled', 'superseded')
  and not exists (select from migration_status.migration_table_status held
                  where held.holds_target and held.target_schema = t.target_schema and held.target_table = t.target_table
                    and held.status in ('loading', 'finalizing'))
order by t.table_id
