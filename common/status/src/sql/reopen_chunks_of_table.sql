-- chunk: failed -> pending, cancelled -> pending
-- $1 table
--
-- Guard: behind the lock of the table row, so that a finalizer decides before or after. A new budget; the fence is
-- kept: a worker of the old life may still be awake. Of a capped table nobody is told more than its cap allows
-- (take_hints_within_cap.sql), at once.
update migration_status.migration_chunk_status c
set status = 'pending', failures = 0, due_at = '-infinity', finished_at = null, publish_count = 0,
    redispatch_at = clock_timestamp() + case when t.parallel_cap is null
      then make_interval(secs => (r.settings ->> 'first_hint_ms')::float8 / 1000) else interval '0' end,
    error_class = null, error_text = null
from migration_status.migration_table_status t
join migration_status.migration_runs r using (run_id)
where c.table_id = $1 and t.table_id = c.table_id and t.status in ('planned', 'loading') and c.execution = t.execution
  and c.status in ('failed', 'cancelled')
