-- ends the sessions of owners whose load transaction is still open although their lease is over, or their chunk was
-- taken away (cancelled, superseded), for a heartbeat; changes no state
-- $1 milliseconds to wait for each to end
--
-- No timeout of PostgreSQL ends a client that is frozen in COPY. The session is found by the chunk's advisory key: no
-- process id is stored, so none can be reused under us. pg_terminate_backend works between sessions of one role; a
-- session of another role is left to the owner of the schema.
-- What a living owner still loads of a chunk that was taken away it drops at its next heartbeat; a frozen one would keep
-- its locks on the target for ever. Its rows cannot commit either way.
-- Read the row afterwards: terminating a COMMIT that waits for a standby completes it.
with lapsed as materialized (
  select c.table_id, c.chunk_no, migration_status.chunk_key(c.table_id, c.chunk_no) as key
  from migration_status.migration_chunk_status c
  join migration_status.migration_table_status t using (table_id)
  join migration_status.migration_runs r using (run_id)
  where c.status = 'in_progress'
    and c.lease_until < now() - make_interval(secs => (r.settings ->> 'heartbeat_ms')::float8 / 1000)
  union all
  -- Revived since: the claim of the successor waits for the key.
  select c.table_id, c.chunk_no, migration_status.chunk_key(c.table_id, c.chunk_no)
  from migration_status.migration_chunk_status c
  join migration_status.migration_table_status t using (table_id)
  join migration_status.migration_runs r using (run_id)
  where c.status = 'pending' and c.fence > 0
    and c.heartbeat_at < now() - make_interval(secs => (r.settings ->> 'lease_ms')::float8 / 1000)
  union all
  select c.table_id, c.chunk_no, migration_status.chunk_key(c.table_id, c.chunk_no)
  from migration_status.migration_chunk_status c
  join migration_status.migration_table_status t using (table_id)
  join migration_status.migration_runs r using (run_id)
  where c.status in ('cancelled', 'superseded') and c.claimed_at is not null
    and c.finished_at > now() - interval '1 day'
    and c.finished_at < now() - 2 * make_interval(secs => (r.settings ->> 'heartbeat_ms')::float8 / 1000)
)
select z.table_id, z.chunk_no, l.pid,
       case when pg_has_role(a.usesysid, 'usage') then pg_terminate_backend(l.pid, $1::bigint)
            else migration_status.end_holder_of_chunk(l.pid, z.table_id, z.chunk_no, $1::bigint)
       end as ended
from lapsed z
join pg_locks l on l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and ((l.classid::bigint << 32) | l.objid::bigint) = z.key
join pg_stat_activity a on a.pid = l.pid
where l.pid <> pg_backend_pid()
