-- takes the open statements of a run that its tables do not wait for any more
-- $1 who, $2 run
--
-- Guard: open, and the table is not in planning under that number, or the run has ended. Whoever has one loses it: it is to
-- be cancelled now.
with unwanted as materialized (
  select e.table_id, e.execution, t.run_id, r.settings
  from migration_status.migration_executions e
  join migration_status.migration_table_status t using (table_id)
  join migration_status.migration_runs r using (run_id)
  where t.run_id = $2 and e.status in ('to_submit', 'running')
    and not (r.status = 'running' and t.status = 'planning' and t.execution = e.execution)
  for no key update of e
)
update migration_status.migration_executions e
set poller = $1, poll_fence = e.poll_fence + 1,
    lease_until = clock_timestamp() + make_interval(secs => (u.settings ->> 'lease_ms')::float8 / 1000)
from unwanted u
where e.table_id = u.table_id and e.execution = u.execution
returning e.table_id, e.execution, u.run_id, u.settings, false as is_wanted, e.request_id, e.statement_digest, e.submits,
  e.handle, e.failures, e.poll_fence,
  extract(epoch from clock_timestamp() - coalesce(e.submitted_at, e.created_at))::float8 as age_seconds
