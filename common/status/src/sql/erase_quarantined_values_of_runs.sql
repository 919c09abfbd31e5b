-- the values of quarantined rows of kept tables are erased; where they stood and why they were refused stays
-- $1 runs
update migration_status.quarantined_rows q
set row_data = null, key_data = null
from migration_status.migration_table_status t
where t.table_id = q.table_id and t.run_id = any($1) and t.pruned_at is null
  and (q.row_data is not null or q.key_data is not null)
