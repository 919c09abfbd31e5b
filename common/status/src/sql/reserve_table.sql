-- table: created as planning
-- $1 run, $2 position, $3 entry, $4 source name, $5 source database, $6 source schema, $7 source table,
-- $8 target schema, $9 target table, $10 config hash, $11 max attempts, $12 parallel cap, $13 holds the target
--
-- Guard: the unique index holds_target. The loser gets 23505 at once and reads the holder.
insert into migration_status.migration_table_status
  (run_id, position, entry, source_name, source_database, source_schema, source_table, target_schema, target_table,
   config_hash, max_attempts, parallel_cap, holds_target)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
returning table_id
