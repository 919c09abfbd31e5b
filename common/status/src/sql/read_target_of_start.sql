-- reads whether a target can be looked into, and how many rows were deleted from it so far (of the server's statistics)
-- $1 schema, $2 table
select has_table_privilege(c.oid, 'select') as may_read, coalesce(pg_stat_get_tuples_deleted(c.oid), 0) as deleted
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')
