-- execution: to_submit -> running
-- $1 table, $2 execution, $3 fence, $4 handle, $5 seconds until the first look
-- Guard: the fence is mine. In nobody's hands any more: whoever comes first looks.
update migration_status.migration_executions
set status = 'running', handle = $4, submitted_at = clock_timestamp(), seen_running_at = clock_timestamp(), failures = 0,
    look_at = clock_timestamp() + make_interval(secs => $5), lease_until = null
where table_id = $1 and execution = $2 and poll_fence = $3 and status = 'to_submit'
