-- Everything the planner asks about one table, as one JSON document; no row where there is no such relation.
with recursive rel as (
  select c.oid, c.relkind::text as relkind, c.reltuples, c.relreplident::text as relreplident, c.relispartition,
         c.relowner, c.relhasrules, c.relnamespace
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')
),
-- A domain over a domain: each step takes the type below; the type modifier is the innermost one that is set, and
-- one NOT NULL on the way is enough.
step as (
  select a.attnum, a.atttypid as typid, a.atttypmod as typmod, a.attnotnull as not_null, 0 as depth
  from pg_catalog.pg_attribute a, rel
  where a.attrelid = rel.oid and a.attnum > 0 and not a.attisdropped
  union all
  select s.attnum, t.typbasetype, case when s.typmod >= 0 then s.typmod else t.typtypmod end,
         s.not_null or t.typnotnull, s.depth + 1
  from step s
  join pg_catalog.pg_type t on t.oid = s.typid
  where t.typtype = 'd'
),
base as (
  select distinct on (attnum) attnum, typid, typmod, not_null from step order by attnum, depth desc
),
cols as (
  select jsonb_agg(jsonb_build_object(
           'name', a.attname,
           'type_name', t.typname,
           'type_schema', tn.nspname,
           'type_kind', t.typtype::text,
           'type_text', pg_catalog.format_type(a.atttypid, a.atttypmod),
           'typmod', b.typmod,
           'nullable', not b.not_null,
           'has_default', a.atthasdef and a.attgenerated = '',
           'generated', a.attgenerated <> '',
           'identity', a.attidentity::text,
           'collation', (select l.collname from pg_catalog.pg_collation l
                         where l.oid = a.attcollation and l.collname <> 'default'),
           'collation_deterministic', coalesce((select l.collisdeterministic from pg_catalog.pg_collation l
                                                where l.oid = a.attcollation), true),
           'enum_labels', (select coalesce(jsonb_agg(e.enumlabel order by e.enumsortorder), '[]')
                           from pg_catalog.pg_enum e where e.enumtypid = b.typid)
         ) order by a.attnum) as list
  from rel
  join pg_catalog.pg_attribute a on a.attrelid = rel.oid
  join base b on b.attnum = a.attnum
  join pg_catalog.pg_type t on t.oid = b.typid
  join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
),
idx as (
  select jsonb_agg(jsonb_build_object(
           'name', ic.relname,
           'columns', (select jsonb_agg(a.attname order by k.position)
                       from unnest(i.indkey::int2[]) with ordinality k(attnum, position)
                       join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
                       where k.position <= i.indnkeyatts),
           'on_expressions', i.indexprs is not null,
           'partial', i.indpred is not null,
           'deferrable', not i.indimmediate,
           'primary', i.indisprimary,
           'valid', i.indisvalid and i.indisready and i.indislive,
           -- The column exists from PostgreSQL 15 on.
           'nulls_not_distinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
         ) order by i.indisprimary desc, ic.relname) as list
  from rel
  join pg_catalog.pg_index i on i.indrelid = rel.oid and i.indisunique
  join pg_catalog.pg_class ic on ic.oid = i.indexrelid
),
fks as (
  select k.conrelid = rel.oid as outgoing,
         k.confrelid = rel.oid as incoming,
         jsonb_build_object(
           'name', k.conname,
           'from_schema', fn.nspname, 'from_table', f.relname,
           'to_schema', tn.nspname, 'to_table', t.relname,
           'columns', (select jsonb_agg(a.attname order by p.position)
                       from unnest(k.conkey) with ordinality p(attnum, position)
                       join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = p.attnum),
           'deferrable', k.condeferrable) as doc
  from rel
  join pg_catalog.pg_constraint k on k.contype = 'f' and rel.oid in (k.conrelid, k.confrelid)
  join pg_catalog.pg_class f on f.oid = k.conrelid
  join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
  join pg_catalog.pg_class t on t.oid = k.confrelid
  join pg_catalog.pg_namespace tn on tn.oid = t.relnamespace
  -- The partitions' copies of a constraint say nothing new.
  where k.conparentid = 0
),
trg as (
  select jsonb_agg(t.tgname order by t.tgname) as list
  from rel
  join pg_catalog.pg_trigger t on t.tgrelid = rel.oid and not t.tgisinternal and t.tgenabled <> 'D'
)
select jsonb_build_object(
  'relkind', rel.relkind,
  'columns', coalesce((select list from cols), '[]'),
  'unique_indexes', coalesce((select list from idx), '[]'),
  'foreign_keys', coalesce((select jsonb_agg(doc) from fks where outgoing), '[]'),
  'referenced_by', coalesce((select jsonb_agg(doc) from fks where incoming), '[]'),
  'triggers', coalesce((select list from trg), '[]'),
  'has_rules', rel.relhasrules,
  'row_security_active', pg_catalog.row_security_active(rel.oid),
  'privileges', jsonb_build_object(
    'usage', pg_catalog.has_schema_privilege(rel.relnamespace, 'USAGE'),
    'select', pg_catalog.has_table_privilege(rel.oid, 'SELECT'),
    'insert', pg_catalog.has_table_privilege(rel.oid, 'INSERT'),
    'update', pg_catalog.has_table_privilege(rel.oid, 'UPDATE'),
    'delete', pg_catalog.has_table_privilege(rel.oid, 'DELETE'),
    'truncate', pg_catalog.has_table_privilege(rel.oid, 'TRUNCATE'),
    'owner', pg_catalog.pg_has_role(rel.relowner, 'USAGE'),
    'create_temp', pg_catalog.has_database_privilege(current_database(), 'TEMPORARY')),
  'estimated_rows', case when rel.reltuples >= 0 then rel.reltuples::bigint end
)::text
from rel
