-- reads the states of tables
-- $1 tables
select status from migration_status.migration_table_status where table_id = any($1)
