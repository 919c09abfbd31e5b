-- reads the locked tables of a start that nobody has emptied for them yet, or all of them
-- $1 tables, $2 all
select table_id, target_schema, target_table
from migration_status.migration_table_status
where table_id = any($1) and ($2 or truncated_at is null)
order by table_id
