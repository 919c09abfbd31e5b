-- keeps the definitions of indexes that are dropped in the same transaction; changes no state
-- $1 table, $2 definitions
-- Guard: none are saved: definitions that were kept and not restored must never be overwritten.
update migration_status.migration_table_status
set saved_indexes = $2
where table_id = $1 and saved_indexes is null
