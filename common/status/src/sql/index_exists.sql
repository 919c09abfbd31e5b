-- reads whether a table has an index of this name
-- $1 schema, $2 table, $3 index
-- Of another table it would not do: building fails then, and says that the name is taken.
select exists (select from pg_index i
               join pg_class c on c.oid = i.indexrelid
               join pg_class t on t.oid = i.indrelid
               join pg_namespace n on n.oid = t.relnamespace
               where n.nspname = $1 and t.relname = $2 and c.relname = $3)
