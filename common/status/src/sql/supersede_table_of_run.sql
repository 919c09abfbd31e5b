-- table: planning -> superseded, planned -> superseded, loading -> superseded, finalizing -> superseded,
--        partial -> superseded, failed -> superseded, cancelled -> superseded
-- $1 run, $2 table
--
-- Guard: not completed; behind the statement that gave the run to this planner. A resume replaces the table by a row
-- that is planned anew: its configuration has changed, or a later run has loaded its target. Its chunks follow.
update migration_status.migration_table_status
set status = 'superseded', finished_at = coalesce(finished_at, clock_timestamp()), holds_target = false,
    finalize_fence = finalize_fence + 1, finalize_lease_until = null
where run_id = $1 and table_id = $2 and status not in ('completed', 'superseded')
