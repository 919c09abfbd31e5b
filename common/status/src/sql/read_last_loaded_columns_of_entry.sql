-- reads which columns the last completed table of an entry has loaded, and from where
-- $1 entry
select c.value ->> 'source' as source, c.value ->> 'target' as target
from (select plan from migration_status.migration_table_status
      where entry = $1 and status = 'completed' order by table_id desc limit 1) last,
     jsonb_array_elements(last.plan -> 'columns') c
