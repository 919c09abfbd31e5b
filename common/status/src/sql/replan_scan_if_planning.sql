-- stores the plan of a further execution of a table that one statement reads; changes no state
-- $1 table, $2 run, $3 plan, $4 decisions, $5 execution
-- Guard: planning, under that number; with the execution's row in one transaction. The statement reads the present.
update migration_status.migration_table_status
set plan = $3, plan_version = plan_version + 1, decisions = $4, snapshot = $3::jsonb -> 'source' ->> 'snapshot',
    expected_rows = null, chunk_count = null
where table_id = $1 and run_id = $2 and status = 'planning' and execution = $5
