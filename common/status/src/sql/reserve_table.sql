-- table: created as planning
-- $1 run, $2 entry, $3 source name, $4 source database, $5 source schema, $6 source table, $7 target schema,
-- $8 target table, $9 config hash, $10 digests of its keys, $11 max attempts, $12 parallel cap
--
-- Guard: the unique index holds_target. The loser gets 23505 at once and reads the holder. Behind another entry of the
-- run that holds the same target it waits for its turn.
insert into migration_status.migration_table_status
  (run_id, position, entry, source_name, source_database, source_schema, source_table, target_schema, target_table,
   config_hash, config_keys, max_attempts, parallel_cap, holds_target)
select $1, (select coalesce(max(position) + 1, 0) from migration_status.migration_table_status where run_id = $1),
       $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
       not exists (select from migration_status.migration_table_status held
                   where held.holds_target and held.run_id = $1 and held.target_schema = $7 and held.target_table = $8)
returning table_id, holds_target
