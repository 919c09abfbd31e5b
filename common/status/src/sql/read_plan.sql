-- reads the plan of a table
-- $1 table
select run_id, plan_version, plan, execution, parallel_cap
from migration_status.migration_table_status
where table_id = $1 and plan is not null
