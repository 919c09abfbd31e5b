-- table: planning -> cancelled, planning -> superseded, planned -> cancelled, planned -> superseded,
--        loading -> cancelled, loading -> superseded, finalizing -> cancelled, finalizing -> superseded
-- $1 run, $2 cancelled or superseded
--
-- Guard: behind cancel_run_if_running.sql or supersede_run_if_planner_gone.sql. Writes every open table row, so that a
-- start, a plan or a finalize under way meets the new state when it reads its locked row again.
update migration_status.migration_table_status
set status = $2, finished_at = clock_timestamp(), holds_target = false,
    finalize_fence = finalize_fence + 1, finalize_lease_until = null
where run_id = $1 and status in ('planning', 'planned', 'loading', 'finalizing')
