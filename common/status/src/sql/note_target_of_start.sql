-- keeps what a start has found in its target, for the finalizer's count; changes no state
-- $1 table, $2 whether it was empty, $3 rows deleted from it so far
update migration_status.migration_table_status
set target_was_empty = $2, deletes_before = $3
where table_id = $1
