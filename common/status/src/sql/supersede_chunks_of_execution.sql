-- chunk: pending -> superseded, in_progress -> superseded, completed -> superseded, failed -> superseded
-- $1 table, $2 execution
--
-- Guard: behind fence_execution_if_loading.sql. ALL chunks of the old execution load again: no predicate says what its
-- finished ones held.
update migration_status.migration_chunk_status
set status = 'superseded', fence = fence + 1, finished_at = coalesce(finished_at, clock_timestamp()),
    lease_until = null, redispatch_at = null
where table_id = $1 and execution <= $2 and status in ('pending', 'in_progress', 'completed', 'failed')
