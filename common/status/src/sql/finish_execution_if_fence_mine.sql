-- execution: running -> finished
-- $1 table, $2 execution, $3 fence, $4 rows, $5 partitions, $6 bytes
--
-- Guard: the fence is mine; in the transaction that stores the chunks. The result is kept for 24 hours from the end of the
-- statement, which is no earlier than when it was last seen running.
update migration_status.migration_executions
set status = 'finished', finished_at = clock_timestamp(), lease_until = null,
    expires_at = coalesce(seen_running_at, submitted_at) + interval '24 hours',
    row_count = $4, partition_count = $5, bytes = $6
where table_id = $1 and execution = $2 and poll_fence = $3 and status = 'running'
