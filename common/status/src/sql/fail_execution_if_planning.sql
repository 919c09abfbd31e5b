-- table: planning -> failed
-- $1 table, $2 run, $3 error class, $4 error text
--
-- Guard: planning a fresh execution of a table that was started before. Its chunks are superseded already; what the old
-- executions loaded stays in the target. It has no chunk count, so a revival plans it anew.
update migration_status.migration_table_status
set status = 'failed', finished_at = clock_timestamp(), holds_target = false, error_class = $3, error_text = $4
where table_id = $1 and run_id = $2 and status = 'planning' and started_at is not null
