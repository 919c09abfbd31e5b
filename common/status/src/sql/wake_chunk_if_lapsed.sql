-- the zombie is gone: redispatch may hint at its chunk at once; changes no state
-- $1 table, $2 chunk number
-- Guard: in progress and the lease over: the zombie's COMMIT may have been completed by its end.
update migration_status.migration_chunk_status
set redispatch_at = clock_timestamp(), publish_count = 0
where table_id = $1 and chunk_no = $2 and status = 'in_progress' and lease_until <= now()
