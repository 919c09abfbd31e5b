-- reads the last table that was started on a target: a run without a snapshot has read the present
-- $1 target schema, $2 target table
select run_id, status, entry, snapshot is not null as had_snapshot,
       extract(epoch from now() - finished_at)::float8 as finished_seconds_ago
from migration_status.migration_table_status
where target_schema = $1 and target_table = $2 and started_at is not null
order by table_id desc
limit 1
