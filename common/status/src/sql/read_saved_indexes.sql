-- reads the indexes of a target that have to be built again, and what a build may take
-- $1 table
select t.run_id, t.target_schema, t.target_table, t.saved_indexes, r.settings
from migration_status.migration_table_status t
join migration_status.migration_runs r using (run_id)
where t.table_id = $1 and t.saved_indexes is not null
