-- reads the planned tables of a run that refer to this one and wait for nobody else now
-- $1 table, $2 run
-- Also where this one has failed: somebody has to fail them.
select distinct t.table_id, t.run_id, current_database()::text as database
from migration_status.references_within($2) mine
join migration_status.migration_table_status t on t.table_id = mine.child
where mine.parent = $1 and t.status = 'planned' and t.started_at is null and t.holds_target
order by t.table_id
