-- the heartbeat of one worker process, all of its chunks in one statement; changes no state
-- $1 tables, $2 chunk numbers, $3 fences, $4 worker
--
-- Guard: fence, worker and in_progress. The rows are locked first, `skip locked` and sorted: one hanging COMMIT must
-- not let the other leases lapse. A row that is missing from the answer is therefore locked or lost: one plain read
-- tells which before a load is dropped.
with held as materialized (
  select c.table_id, c.chunk_no, make_interval(secs => (r.settings ->> 'lease_ms')::float8 / 1000) as lease
  from migration_status.migration_chunk_status c
  join unnest($1::bigint[], $2::int[], $3::int[]) as mine (table_id, chunk_no, fence)
    on c.table_id = mine.table_id and c.chunk_no = mine.chunk_no and c.fence = mine.fence
  join migration_status.migration_table_status t on t.table_id = c.table_id
  join migration_status.migration_runs r using (run_id)
  where c.worker_id = $4 and c.status = 'in_progress'
  order by c.table_id, c.chunk_no
  for no key update of c skip locked
)
update migration_status.migration_chunk_status c
set heartbeat_at = clock_timestamp(),
    lease_until = clock_timestamp() + held.lease,
    redispatch_at = clock_timestamp() + held.lease
from held
where c.table_id = held.table_id and c.chunk_no = held.chunk_no
returning c.table_id, c.chunk_no
