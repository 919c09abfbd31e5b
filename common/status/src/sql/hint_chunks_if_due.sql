-- chunk: in_progress -> failed (its lease is over and the budget used up); all others are hinted at again
-- $1 at most so many
--
-- Guard: open, redispatch_at is past, the table is loading, the run running; behind try_lock_redispatch.sql; rows that
-- are locked are skipped. First what was claimed once (lapsed leases, due retries); then chunks that nobody ever
-- claimed, and only of tables where nobody claimed anything for the run's first_hint: right after a plan all of them
-- come due at once, while their first hints still wait in the queue. Those of a capped table only if they were told of
-- once (take_hints_within_cap.sql does that).
-- A hint pushes redispatch_at by first_hint * 2^hints, an hour at most: a broker that lost everything is filled
-- again, one that is only slow is not flooded.
-- A lapsed lease without budget fails the chunk, unless its load transaction is still open (the advisory key).
with loading as materialized (
  select t.table_id, t.run_id, t.max_attempts, t.parallel_cap,
         make_interval(secs => (r.settings ->> 'first_hint_ms')::float8 / 1000) as first_hint
  from migration_status.migration_table_status t
  join migration_status.migration_runs r using (run_id)
  where t.status = 'loading' and r.status = 'running'
),
claimed_once as materialized (
  select c.table_id, c.chunk_no,
         c.status = 'in_progress' and c.lease_until <= now() and c.failures + 1 >= l.max_attempts as dead
  from migration_status.migration_chunk_status c
  join loading l using (table_id)
  where c.status in ('pending', 'in_progress') and c.fence > 0 and c.redispatch_at <= now()
    and (l.parallel_cap is null or c.status = 'in_progress' or c.publish_count > 0 or c.due_at > '-infinity')
  order by c.redispatch_at
  limit $1::bigint
  for no key update of c skip locked
),
quiet as materialized (
  select l.*
  from loading l
  where not exists (select from migration_status.migration_chunk_status c
                    where c.table_id = l.table_id and c.claimed_at > now() - l.first_hint)
),
never_claimed as materialized (
  select n.table_id, n.chunk_no, false as dead
  from quiet q
  cross join lateral (
    select c.table_id, c.chunk_no
    from migration_status.migration_chunk_status c
    where c.table_id = q.table_id and c.status = 'pending' and c.fence = 0 and c.redispatch_at <= now()
      and (q.parallel_cap is null or c.publish_count > 0)
    order by c.chunk_no
    limit greatest($1::bigint - (select count(*) from claimed_once), 0) / greatest((select count(*) from quiet), 1) + 1
    for no key update of c skip locked
  ) n
),
due as materialized (
  select * from claimed_once
  union all
  select * from never_claimed
),
ready as materialized (
  select *
  from due
  where not dead or pg_try_advisory_xact_lock(migration_status.chunk_key(table_id, chunk_no))
)
update migration_status.migration_chunk_status c
set status = case when x.dead then 'failed' else c.status end,
    fence = c.fence + x.dead::int,
    failures = c.failures + x.dead::int,
    finished_at = case when x.dead then clock_timestamp() end,
    lease_until = case when x.dead then null else c.lease_until end,
    error_class = case when x.dead then 'lease_lost' else c.error_class end,
    error_text = case when x.dead then 'the lease ended without a word of its worker, and the attempts are used up' else c.error_text end,
    redispatch_at = case when x.dead then null
      else clock_timestamp() + least(l.first_hint * (1 << least(c.publish_count, 12)), interval '1 hour') end,
    publish_count = least(c.publish_count + 1, 30000)
from ready x
join loading l using (table_id)
where c.table_id = x.table_id and c.chunk_no = x.chunk_no
returning c.table_id, c.chunk_no, l.run_id, c.status, current_database()::text as database
