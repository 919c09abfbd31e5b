-- pruned tables are deleted
-- $1 tables
delete from migration_status.migration_table_status where table_id = any($1)
