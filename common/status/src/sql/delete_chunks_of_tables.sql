-- chunks of pruned tables are deleted, with their quarantined rows
-- $1 tables
delete from migration_status.migration_chunk_status where table_id = any($1)
