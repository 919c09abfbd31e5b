-- table: loading -> finalizing (and finalizing under a lapsed lease -> another finalizer)
-- $1 table, $2 worker
--
-- Guard: behind lock_table_if_finalizable.sql; no chunk is open. Looked up from the end: chunks complete roughly in
-- order, so an ascending search would walk over all the finished ones, quadratic over a run.
update migration_status.migration_table_status t
set status = 'finalizing',
    finalize_fence = finalize_fence + 1,
    finalize_worker = $2,
    finalize_lease_until = clock_timestamp() + make_interval(secs => (r.settings ->> 'lease_ms')::float8 / 1000)
from migration_status.migration_runs r
where t.table_id = $1 and r.run_id = t.run_id and r.status = 'running'
  and (t.status = 'loading' or t.status = 'finalizing' and t.finalize_lease_until <= now())
  and (select c.chunk_no from migration_status.migration_chunk_status c
       where c.table_id = t.table_id and c.status in ('pending', 'in_progress')
       order by c.chunk_no desc limit 1) is null
returning t.run_id, t.finalize_fence, t.plan_version, t.expected_rows, t.saved_indexes is not null as indexes_dropped, r.settings
