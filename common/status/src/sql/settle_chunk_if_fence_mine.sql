-- chunk: in_progress -> pending, in_progress -> failed
-- $1 table, $2 chunk number, $3 fence, $4 worker, $5 whether it counts, $6 whether it is fatal, $7 seconds until due,
-- $8 error class, $9 error text
--
-- Guard: fence, worker and in_progress. The load transaction is rolled back before this runs. Retry counts; snooze,
-- interrupted and halts do not. A retry that uses up the budget fails the chunk.
with mine as materialized (
  select c.table_id, c.chunk_no,
         case when $6::boolean or ($5::boolean and c.failures + 1 >= t.max_attempts) then 'failed' else 'pending' end as becomes
  from migration_status.migration_chunk_status c
  join migration_status.migration_table_status t using (table_id)
  where c.table_id = $1 and c.chunk_no = $2 and c.fence = $3 and c.worker_id = $4 and c.status = 'in_progress'
  for no key update of c
)
update migration_status.migration_chunk_status c
set status = mine.becomes,
    failures = c.failures + ($5::boolean or $6::boolean)::int,
    due_at = clock_timestamp() + make_interval(secs => $7),
    redispatch_at = case when mine.becomes = 'pending' then clock_timestamp() + make_interval(secs => $7) end,
    finished_at = case when mine.becomes = 'failed' then clock_timestamp() end,
    lease_until = null,
    error_class = $8,
    error_text = $9
from mine
where c.table_id = mine.table_id and c.chunk_no = mine.chunk_no
returning c.status, c.failures
