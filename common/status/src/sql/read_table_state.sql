-- reads the state of a table
-- $1 table, $2 run
select status from migration_status.migration_table_status where table_id = $1 and run_id = $2
