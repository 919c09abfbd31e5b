-- takes statements on that are to be sent or looked at
-- $1 who, $2 at most
--
-- Guard: open, due, in nobody's hands (or in those of somebody whose lease is over). `is_wanted`: its table still waits for
-- it; a statement that nobody waits for is cancelled.
with due as materialized (
  select e.table_id, e.execution, t.run_id, r.settings,
         r.status = 'running' and t.status = 'planning' and t.execution = e.execution as is_wanted
  from migration_status.migration_executions e
  join migration_status.migration_table_status t using (table_id)
  join migration_status.migration_runs r using (run_id)
  where e.status in ('to_submit', 'running') and e.look_at <= now() and (e.lease_until is null or e.lease_until <= now())
  order by e.look_at
  limit $2::bigint
  for no key update of e skip locked
)
update migration_status.migration_executions e
set poller = $1, poll_fence = e.poll_fence + 1,
    lease_until = clock_timestamp() + make_interval(secs => (due.settings ->> 'lease_ms')::float8 / 1000)
from due
where e.table_id = due.table_id and e.execution = due.execution
returning e.table_id, e.execution, due.run_id, due.settings, due.is_wanted, e.request_id, e.statement_digest, e.submits,
  e.handle, e.failures, e.poll_fence,
  extract(epoch from clock_timestamp() - coalesce(e.submitted_at, e.created_at))::float8 as age_seconds
