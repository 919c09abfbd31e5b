-- first statement of taking hints of a capped table: who counts, counts alone
-- $1 table
select 1
from migration_status.migration_table_status
where table_id = $1 and status = 'loading' and parallel_cap is not null
for no key update
