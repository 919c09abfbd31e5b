-- reads the tables of a run that are not completed and not superseded, in their order
-- $1 run
select table_id, status, entry, config_hash, target_schema, target_table, plan is not null as planned, started_at is not null as started
from migration_status.migration_table_status
where run_id = $1 and status not in ('completed', 'superseded')
order by position
