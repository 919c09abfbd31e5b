-- reads the indexes of a table that a load may drop: valid, not unique, behind no constraint, not the replica identity,
-- no part of a partitioned index
-- $1 schema, $2 table
-- pg_get_indexdef forgets tablespace, comment, statistics targets and CLUSTER: they are read beside it.
select ic.relname::text as name,
       pg_get_indexdef(i.indexrelid) as definition,
       ts.spcname::text as tablespace,
       obj_description(i.indexrelid, 'pg_class') as comment,
       i.indisclustered as clustered,
       coalesce((select array_agg(a.attnum::int4 order by a.attnum) from pg_attribute a
                 where a.attrelid = i.indexrelid and a.attstattarget >= 0), '{}') as statistics_columns,
       coalesce((select array_agg(a.attstattarget::int4 order by a.attnum) from pg_attribute a
                 where a.attrelid = i.indexrelid and a.attstattarget >= 0), '{}') as statistics_targets
from pg_index i
join pg_class ic on ic.oid = i.indexrelid
join pg_class tc on tc.oid = i.indrelid
join pg_namespace n on n.oid = tc.relnamespace
left join pg_tablespace ts on ts.oid = ic.reltablespace
where n.nspname = $1 and tc.relname = $2 and tc.relkind = 'r' and ic.relkind = 'i'
  and i.indisvalid and not i.indisunique and not i.indisprimary and not i.indisexclusion and not i.indisreplident
  and not ic.relispartition
  and not exists (select from pg_constraint c where c.conindid = i.indexrelid)
order by ic.relname
