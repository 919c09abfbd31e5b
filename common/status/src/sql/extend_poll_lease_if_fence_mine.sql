-- keeps a statement in the hands of who has it
-- $1 table, $2 execution, $3 fence, $4 seconds
-- Guard: the fence is mine.
update migration_status.migration_executions
set lease_until = clock_timestamp() + make_interval(secs => $4)
where table_id = $1 and execution = $2 and poll_fence = $3 and status in ('to_submit', 'running')
