-- execution: to_submit -> ended, running -> ended, finished -> ended
-- $1 table, $2 execution, $3 fence (null: whoever has it), $4 class, $5 text
-- Guard: the fence is mine, or there is none to be asked for: its table has gone over to another execution.
update migration_status.migration_executions
set status = 'ended', lease_until = null, poll_fence = poll_fence + 1, error_class = $4, error_text = $5
where table_id = $1 and execution = $2 and status <> 'ended' and ($3::int is null or poll_fence = $3)
