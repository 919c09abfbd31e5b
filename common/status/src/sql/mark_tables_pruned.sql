-- kept tables whose ranges were erased; they cannot be revived any more; changes no state
-- $1 runs
-- Guard: over.
update migration_status.migration_table_status
set pruned_at = clock_timestamp()
where run_id = any($1) and pruned_at is null and finished_at is not null
