-- table: loading -> planning
-- $1 table, $2 run, $3 execution
--
-- Guard: loading, and still in the execution that has come to its end (of two that notice, one acts). Claims and
-- finalize stop here; the chunks follow in the same transaction, behind the lock of the table row.
update migration_status.migration_table_status
set status = 'planning', execution = execution + 1
where table_id = $1 and run_id = $2 and status = 'loading' and execution = $3
returning execution
