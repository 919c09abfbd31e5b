-- reads the running runs whose tables are all final: whoever should have ended them died in between
select r.run_id
from migration_status.migration_runs r
where r.status = 'running' and r.planned_at is not null
  and not exists (select from migration_status.migration_table_status t
                  where t.run_id = r.run_id and t.status in ('planning', 'planned', 'loading', 'finalizing'))
