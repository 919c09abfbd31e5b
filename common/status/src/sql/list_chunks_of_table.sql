-- reads chunks of the current execution with their ranges, what is not completed first
-- $1 table, $2 at most
-- The ranges are the user's data: shown to who asks for them, never logged.
select c.chunk_no, c.status, c.range, c.expected_rows, c.fetched_rows, c.failures, c.error_class
from migration_status.migration_chunk_status c
join migration_status.migration_table_status t using (table_id)
where c.table_id = $1 and c.execution = t.execution
order by array_position(array['failed', 'in_progress', 'cancelled', 'pending', 'superseded', 'completed'], c.status), c.chunk_no
limit $2
