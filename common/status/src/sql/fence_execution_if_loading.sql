-- table: loading -> planning
-- $1 table, $2 run, $3 execution
--
-- Guard: loading, still in the execution that has come to its end (of two that notice, one acts), and not stopped by
-- a fault of the whole table. Claims and finalize stop here; the chunks follow in the same transaction, behind the lock
-- of the table row. Without a chunk count the table has no chunks: a revival plans it anew.
update migration_status.migration_table_status t
set status = 'planning', execution = t.execution + 1, chunk_count = null, expected_rows = null
from migration_status.migration_runs r
where t.table_id = $1 and t.run_id = $2 and r.run_id = t.run_id and r.status = 'running'
  and t.status = 'loading' and t.execution = $3 and t.error_class is null
returning t.execution, coalesce(r.planner_lease_until > now(), false) as planner_alive,
  t.plan -> 'one_scan' is not null as is_one_scan
