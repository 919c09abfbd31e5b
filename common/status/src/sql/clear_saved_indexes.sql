-- all indexes of a table are back; changes no state
-- $1 table
update migration_status.migration_table_status set saved_indexes = null where table_id = $1
