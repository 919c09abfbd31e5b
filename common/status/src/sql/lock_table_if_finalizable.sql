-- first of two statements that give a table to one finalizer, in a new transaction after the commit of a chunk
-- $1 table, $2 run
-- Guard: loading, or finalizing under a lease that is over. Locking first and deciding in a second statement is what
-- makes the decision see every chunk: inside the load transaction nobody sees the last one, and a single statement
-- races with a resume that reopens chunks. It waits for the lock: who skipped a lock whose holder decided a moment too
-- early would leave the table to redispatch.
select 1
from migration_status.migration_table_status
where table_id = $1 and run_id = $2
  and (status = 'loading' or status = 'finalizing' and finalize_lease_until <= now())
for no key update
