-- the statement of a table in planning is lost: the table waits for another one; changes no state
-- $1 table, $2 run, $3 execution
-- Guard: planning, under that number (of two that notice, one acts).
update migration_status.migration_table_status
set execution = execution + 1, expected_rows = null
where table_id = $1 and run_id = $2 and status = 'planning' and execution = $3
returning execution
