-- chunk: pending -> superseded, in_progress -> superseded
-- $1 table
-- Guard: behind supersede_table_of_run.sql. Writes every open row, fence + 1, for the reason that
-- close_open_chunks_of_run.sql gives.
update migration_status.migration_chunk_status
set status = 'superseded', fence = fence + 1, finished_at = clock_timestamp(), lease_until = null, redispatch_at = null
where table_id = $1 and status in ('pending', 'in_progress')
