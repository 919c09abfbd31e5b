-- reads the first hints of a table: its pending chunks that nobody was ever told of
-- $1 table, $2 after chunk number, $3 at most
-- Of a table without a cap all of them, page by page; nothing is written: until a claim, redispatch waits for
-- redispatch_at anyway. Of a capped table none: see take_hints_within_cap.sql.
select c.table_id, c.chunk_no, t.run_id, current_database()::text as database
from migration_status.migration_chunk_status c
join migration_status.migration_table_status t using (table_id)
join migration_status.migration_runs r using (run_id)
where c.table_id = $1 and c.chunk_no > $2 and c.status = 'pending' and c.due_at <= now()
  and t.status = 'loading' and r.status = 'running' and t.parallel_cap is null
order by c.chunk_no
limit $3
