-- chunk: pending -> in_progress, in_progress -> in_progress
-- $1 table, $2 chunk number, $3 run, $4 worker
--
-- Guard: pending and due, or the lease is over and the budget is not used up; the table is loading (so its start has
-- committed) and the run is running. Joined rows stay at the statement's old snapshot, only the locked row is read
-- again: that is why cancel, supersede and a fresh execution write every open chunk.
-- `skip locked`: a COMMIT of the old owner that is still undecided counts as held.
-- The advisory try: a load transaction that is still open counts as held even when its lease is over. It stands over a
-- materialized set of one row; elsewhere the planner might evaluate (and lock) it for every row of the table.
-- Guards read now() (stable, bound to the index); what is stored is clock_timestamp(): a claim that had to wait must
-- not grant a lease that is already over.
with open as materialized (
  select c.table_id, c.chunk_no, c.status as was, t.plan_version, t.max_attempts, r.settings
  from migration_status.migration_chunk_status c
  join migration_status.migration_table_status t using (table_id)
  join migration_status.migration_runs r using (run_id)
  where c.table_id = $1 and c.chunk_no = $2 and r.run_id = $3
    and t.status = 'loading' and r.status = 'running' and c.execution = t.execution
    and (c.status = 'pending' and c.due_at <= now()
         or c.status = 'in_progress' and c.lease_until <= now() and c.failures + 1 < t.max_attempts)
  for no key update of c skip locked
),
mine as materialized (
  select *, make_interval(secs => (settings ->> 'lease_ms')::float8 / 1000) as lease
  from open
  where pg_try_advisory_xact_lock(migration_status.chunk_key(table_id, chunk_no))
)
update migration_status.migration_chunk_status c
set status = 'in_progress',
    fence = c.fence + 1,
    failures = c.failures + (mine.was = 'in_progress')::int,
    publish_count = 0,
    worker_id = $4,
    claimed_at = clock_timestamp(),
    heartbeat_at = clock_timestamp(),
    lease_until = clock_timestamp() + mine.lease,
    redispatch_at = clock_timestamp() + mine.lease,
    error_class = null,
    error_text = null
from mine
where c.table_id = mine.table_id and c.chunk_no = mine.chunk_no
returning c.fence, c.failures, c.execution, c.range, c.expected_rows, mine.plan_version, mine.max_attempts, mine.settings
