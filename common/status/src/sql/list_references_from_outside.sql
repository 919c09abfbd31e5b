-- reads a foreign key that makes PostgreSQL refuse a TRUNCATE of these relations: of a relation that is not among them
-- $1 relations, as text of quoted names, $2 run
-- `is_early`: it is the target of a table of the run that may be emptied with them, once it is planned, or has been planned
-- since those that go together were locked.
select fk.conname::text as constraint_name, c.oid::regclass::text as table_name,
       exists (select from migration_status.migration_table_status t
               where t.run_id = $2 and t.started_at is null
                 and (t.status = 'planning' or t.status = 'planned' and (t.plan -> 'start' ->> 'truncate')::boolean)
                 and to_regclass(format('%I.%I', t.target_schema, t.target_table)) = c.oid) as is_early
from pg_catalog.pg_constraint fk
join pg_catalog.pg_class c on c.oid = fk.conrelid
where fk.contype = 'f' and fk.conparentid = 0
  and fk.confrelid = any($1::text[]::regclass[]) and fk.conrelid <> all($1::text[]::regclass[])
order by is_early, table_name, fk.conname
limit 1
