-- pruned runs are deleted
-- $1 runs
-- Guard: none of their tables is kept.
delete from migration_status.migration_runs r
where r.run_id = any($1)
  and not exists (select from migration_status.migration_table_status t where t.run_id = r.run_id)
