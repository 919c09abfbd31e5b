-- the ranges of kept tables are erased: they are the user's data
-- $1 runs
update migration_status.migration_chunk_status c
set range = '{}'
from migration_status.migration_table_status t
where t.table_id = c.table_id and t.run_id = any($1) and t.pruned_at is null
