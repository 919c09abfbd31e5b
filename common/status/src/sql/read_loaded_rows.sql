-- reads what the chunks of a table's current execution hold
-- $1 table
select count(*) filter (where c.status = 'completed') as completed,
       count(*) filter (where c.status <> 'completed') as not_completed,
       coalesce(sum(c.fetched_rows) filter (where c.status = 'completed'), 0)::bigint as fetched_rows,
       coalesce(sum(c.quarantined_rows) filter (where c.status = 'completed'), 0)::bigint as quarantined_rows
from migration_status.migration_chunk_status c
join migration_status.migration_table_status t using (table_id)
where c.table_id = $1 and c.execution = t.execution
