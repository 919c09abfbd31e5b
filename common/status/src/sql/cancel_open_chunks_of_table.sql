-- chunk: pending -> cancelled, in_progress -> cancelled
-- $1 table, $2 error class, $3 error text
-- Writes every open row, fence + 1: if only running ones were written, a claim under way would slip through and
-- complete afterwards. The table row is locked before.
update migration_status.migration_chunk_status
set status = 'cancelled', fence = fence + 1, finished_at = clock_timestamp(), lease_until = null, redispatch_at = null,
    error_class = $2, error_text = $3
where table_id = $1 and status in ('pending', 'in_progress')
