-- reads the last table that was started on a target: its end tells whether MAX(target) is a bound
-- $1 target schema, $2 target table
select run_id, status, entry, watermark_low
from migration_status.migration_table_status
where target_schema = $1 and target_table = $2 and started_at is not null
order by table_id desc
limit 1
