-- writes a statement down before it is sent, in the hands of who does
-- $1 table, $2 execution, $3 request id, $4 digest of the statement, $5 who
-- Guard: the execution has no statement yet.
insert into migration_status.migration_executions
  (table_id, execution, request_id, statement_digest, look_at, poller, poll_fence, lease_until)
select $1, $2, $3, $4, clock_timestamp(), $5, 1,
       clock_timestamp() + make_interval(secs => (r.settings ->> 'lease_ms')::float8 / 1000)
from migration_status.migration_table_status t
join migration_status.migration_runs r using (run_id)
where t.table_id = $1
on conflict (table_id, execution) do nothing
returning poll_fence, (select r.settings from migration_status.migration_table_status t
                       join migration_status.migration_runs r using (run_id) where t.table_id = $1) as settings
