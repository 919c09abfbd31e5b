-- reads the tables whose dropped indexes a finalizer has to build again: its own, and those of ended tables of earlier
-- runs on the same target, which nobody finalized
-- $1 the table that is finalized
select saved.table_id
from migration_status.migration_table_status mine
join migration_status.migration_table_status saved using (target_schema, target_table)
where mine.table_id = $1 and saved.saved_indexes is not null
  and (saved.table_id = mine.table_id or saved.status in ('completed', 'partial', 'failed', 'cancelled', 'superseded'))
order by saved.table_id
