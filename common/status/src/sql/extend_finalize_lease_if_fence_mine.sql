-- the heartbeat of a finalizer; changes no state
-- $1 table, $2 fence, $3 worker
-- Guard: fence and finalizing.
update migration_status.migration_table_status t
set finalize_lease_until = clock_timestamp() + make_interval(secs => (r.settings ->> 'lease_ms')::float8 / 1000)
from migration_status.migration_runs r
where t.table_id = $1 and r.run_id = t.run_id
  and t.status = 'finalizing' and t.finalize_fence = $2 and t.finalize_worker = $3
