-- reads what the chunks of a table's current execution hold, and what there was in its target before
-- $1 table
-- `inserted_ever`: by chunks of earlier executions, too, whose rows stay where nothing is truncated in between.
select count(*) filter (where c.execution = t.execution and c.status = 'completed') as completed,
       count(*) filter (where c.execution = t.execution and c.status <> 'completed') as not_completed,
       coalesce(sum(c.fetched_rows) filter (where c.execution = t.execution and c.status = 'completed'), 0)::bigint as fetched_rows,
       coalesce(sum(c.inserted_rows) filter (where c.execution = t.execution and c.status = 'completed'), 0)::bigint as inserted_rows,
       coalesce(sum(c.quarantined_rows) filter (where c.execution = t.execution and c.status = 'completed'), 0)::bigint as quarantined_rows,
       coalesce(sum(c.inserted_rows), 0)::bigint as inserted_ever,
       coalesce(sum(c.updated_rows + c.kept_rows) filter (where c.execution = t.execution and c.status = 'completed'), 0)::bigint as met_rows,
       t.execution,
       t.truncated_at is not null as was_truncated,
       coalesce(t.target_was_empty, false) as was_empty,
       t.deletes_before,
       exists (select from migration_status.migration_table_status other
               where other.run_id = t.run_id and other.entry <> t.entry and other.started_at is not null
                 and other.target_schema = t.target_schema and other.target_table = t.target_table) as is_shared
from migration_status.migration_table_status t
left join migration_status.migration_chunk_status c using (table_id)
where t.table_id = $1
group by t.table_id
