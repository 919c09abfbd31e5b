-- chunk: pending -> cancelled, pending -> superseded, in_progress -> cancelled, in_progress -> superseded
-- $1 run, $2 cancelled or superseded
--
-- Guard: behind close_tables_of_run.sql. Writes EVERY open chunk row, fence + 1. If only running ones were written, a
-- claim that still sees the run as running would slip through and complete after the cancel has returned.
update migration_status.migration_chunk_status c
set status = $2, fence = c.fence + 1, finished_at = clock_timestamp(), lease_until = null, redispatch_at = null
from migration_status.migration_table_status t
where t.table_id = c.table_id and t.run_id = $1 and c.status in ('pending', 'in_progress')
