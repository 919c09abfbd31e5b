-- gives a statement back until the next look
-- $1 table, $2 execution, $3 fence, $4 seconds until then, $5 the look failed, $6 the server said that it runs
-- Guard: the fence is mine.
update migration_status.migration_executions
set look_at = clock_timestamp() + make_interval(secs => $4), lease_until = null,
    failures = case when $5 then failures + 1 else 0 end,
    seen_running_at = case when $6 then clock_timestamp() else seen_running_at end
where table_id = $1 and execution = $2 and poll_fence = $3 and status in ('to_submit', 'running')
