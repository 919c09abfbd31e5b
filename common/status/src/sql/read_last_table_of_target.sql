-- reads the last table that was started on a target: its end tells whether MAX(target) is a bound
-- $1 target schema, $2 target table
-- How many entries ever loaded it tells whether the greatest value there is this entry's own.
select run_id, status, entry, watermark_low, snapshot is not null as had_snapshot,
       extract(epoch from now() - finished_at)::float8 as finished_seconds_ago,
       (select count(distinct entry) from migration_status.migration_table_status
        where target_schema = $1 and target_table = $2 and started_at is not null) as entry_count
from migration_status.migration_table_status
where target_schema = $1 and target_table = $2 and started_at is not null
order by table_id desc
limit 1
