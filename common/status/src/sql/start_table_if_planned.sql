-- table: planned -> loading
-- $1 table, $2 run
--
-- Guard: planned, never started and due (one row or stop), the target is ours, the run is running. Behind
-- lock_tables_truncated_together.sql and read_parent_in_the_way.sql; what the start transaction does to the target (save
-- and drop indexes, truncate, delete the tail) commits with it, once. Claims need `loading`, so nobody loads before.
update migration_status.migration_table_status t
set status = 'loading',
    started_at = clock_timestamp()
from migration_status.migration_runs r
where t.table_id = $1 and t.run_id = $2 and r.run_id = t.run_id
  and t.status = 'planned' and t.started_at is null and t.start_due_at <= now() and t.holds_target and r.status = 'running'
returning t.plan
