-- says that the statement is about to be sent, before it is
-- $1 table, $2 execution, $3 fence
-- Guard: the fence is mine, no handle is known, and the table still waits for it.
update migration_status.migration_executions e
set submits = submits + 1
from migration_status.migration_table_status t
join migration_status.migration_runs r using (run_id)
where e.table_id = $1 and e.execution = $2 and e.poll_fence = $3 and e.status = 'to_submit'
  and t.table_id = e.table_id and t.status = 'planning' and t.execution = e.execution and r.status = 'running'
returning submits
