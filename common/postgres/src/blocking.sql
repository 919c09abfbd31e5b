select l.pid,
       coalesce(a.application_name, ''),
       l.mode,
       a.state
from pg_catalog.pg_locks l
join pg_catalog.pg_class c on c.oid = l.relation
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
left join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation'
  and l.granted
  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
  and n.nspname = $1
  and c.relname = $2
  and l.pid <> pg_backend_pid()
order by array_position(array['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
                              'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock',
                              'AccessShareLock'], l.mode),
         l.pid
limit 20
