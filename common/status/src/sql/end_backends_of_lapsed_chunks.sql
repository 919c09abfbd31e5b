-- ends the sessions of owners whose lease is over for a heartbeat and whose load transaction is still open; changes no state
-- $1 milliseconds to wait for each to end
--
-- No timeout of PostgreSQL ends a client that is frozen in COPY. The session is found by the chunk's advisory key: no
-- process id is stored, so none can be reused under us. pg_terminate_backend works between sessions of one role.
-- Read the row afterwards: terminating a COMMIT that waits for a standby completes it.
with lapsed as materialized (
  select c.table_id, c.chunk_no, migration_status.chunk_key(c.table_id, c.chunk_no) as key
  from migration_status.migration_chunk_status c
  join migration_status.migration_table_status t using (table_id)
  join migration_status.migration_runs r using (run_id)
  where c.status = 'in_progress'
    and c.lease_until < now() - make_interval(secs => (r.settings ->> 'heartbeat_ms')::float8 / 1000)
)
select z.table_id, z.chunk_no, l.pid, pg_terminate_backend(l.pid, $1::bigint) as ended
from lapsed z
join pg_locks l on l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and ((l.classid::bigint << 32) | l.objid::bigint) = z.key
where l.pid <> pg_backend_pid()
