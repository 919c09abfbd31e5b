-- reads whether an index is there
-- $1 schema, $2 name
select exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
               where n.nspname = $1 and c.relname = $2 and c.relkind in ('i', 'I'))
