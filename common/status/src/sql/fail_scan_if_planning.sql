-- table: planning -> failed
-- $1 table, $2 run, $3 error class, $4 error text, $5 execution
--
-- Guard: planning, in the execution whose statement cannot be had. Whoever looks at the statement may say so; a revival
-- plans the table anew.
update migration_status.migration_table_status
set status = 'failed', finished_at = clock_timestamp(), holds_target = false, error_class = $3, error_text = $4
where table_id = $1 and run_id = $2 and status = 'planning' and execution = $5
