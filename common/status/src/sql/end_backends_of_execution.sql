-- ends the sessions that hold the advisory keys of a table's chunks up to an execution; changes no state
-- $1 table, $2 execution, $3 whether to end them, $4 milliseconds to wait for each
--
-- No timeout of PostgreSQL ends a client that is frozen in COPY. A session is found by the chunk's advisory key, so no
-- process id can be reused under us.
with keys as materialized (
  select c.chunk_no, migration_status.chunk_key(c.table_id, c.chunk_no) as key
  from migration_status.migration_chunk_status c
  where c.table_id = $1 and c.execution <= $2
)
select $1::bigint as table_id, k.chunk_no, l.pid,
       case when not $3 then false
            when pg_has_role(a.usesysid, 'usage') then pg_terminate_backend(l.pid, $4::bigint)
            else migration_status.end_holder_of_chunk(l.pid, $1, k.chunk_no, $4::bigint)
       end as ended
from pg_locks l
join pg_stat_activity a on a.pid = l.pid
join keys k on k.key = ((l.classid::bigint << 32) | l.objid::bigint)
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and l.pid <> pg_backend_pid()
