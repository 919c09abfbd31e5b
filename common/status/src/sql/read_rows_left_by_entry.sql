-- reads what the last started table of an entry has left in its target, where it did not complete: the run, and its rows
-- $1 entry
select t.run_id, sum(c.inserted_rows)::bigint as rows_there
from migration_status.migration_table_status t
join migration_status.migration_chunk_status c using (table_id)
where t.table_id = (select max(last.table_id) from migration_status.migration_table_status last
                    where last.entry = $1 and last.started_at is not null)
  and t.status <> 'completed'
group by t.run_id
having sum(c.inserted_rows) > 0
