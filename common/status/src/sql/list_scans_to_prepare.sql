-- reads tables that wait for a statement which nobody has written down yet, in no order: some that nobody can prepare now
-- must not keep the others waiting
-- $1 at most
select t.table_id, t.run_id, t.execution, t.plan, t.started_at is not null as was_started
from migration_status.migration_table_status t
join migration_status.migration_runs r using (run_id)
where r.status = 'running' and t.status = 'planning' and t.plan -> 'one_scan' is not null
  and not exists (select from migration_status.migration_executions e
                  where e.table_id = t.table_id and e.execution = t.execution)
order by random()
limit $1::bigint
