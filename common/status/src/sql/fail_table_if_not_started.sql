-- table: planning -> failed, planned -> failed
-- $1 table, $2 run, $3 error class, $4 error text
-- Guard: not started, so nothing of it is in the target and no chunk of it was ever claimed. Its chunks are cancelled
-- behind this, in the same transaction.
update migration_status.migration_table_status
set status = 'failed', finished_at = clock_timestamp(), holds_target = false, error_class = $3, error_text = $4
where table_id = $1 and run_id = $2 and status in ('planning', 'planned')
