-- reads the indexes of a target that have to be built again
-- $1 table
select target_schema, target_table, saved_indexes
from migration_status.migration_table_status
where table_id = $1 and saved_indexes is not null
