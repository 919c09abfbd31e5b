-- reads the tables of a run as a resume looks at them, in their order: of each entry the newest row
-- $1 run
-- `later_run`: started the target after this table was; `loaded_since`: and has completed the same entry.
select t.table_id, t.status, t.entry, t.source_database, t.source_schema, t.source_table, t.target_schema, t.target_table,
       t.config_hash, t.config_keys, 
       -- What has no chunks and waits for no statement is planned anew.
       t.plan is not null and (t.chunk_count is not null or t.started_at is not null or t.status = 'planning') as has_plan, t.started_at is not null as started, t.holds_target,
       t.pruned_at is not null as pruned,
       exists (select from migration_status.migration_chunk_status c
               where c.table_id = t.table_id and c.execution = t.execution and c.status = 'completed'
                 and c.fetched_rows > c.quarantined_rows) as has_loaded, later.run_id as later_run, coalesce(later.loaded, false) as loaded_since
from migration_status.migration_table_status t
left join lateral (
  select l.run_id, l.entry = t.entry and l.status = 'completed' and not l.leaves_gap as loaded
  from migration_status.migration_table_status l
  where l.target_schema = t.target_schema and l.target_table = t.target_table and l.run_id <> t.run_id
    and l.started_at > coalesce(t.started_at, t.finished_at, clock_timestamp())
  order by (l.entry = t.entry and l.status = 'completed' and not l.leaves_gap) desc, l.table_id desc
  limit 1
) later on true
where t.run_id = $1
  and not exists (select from migration_status.migration_table_status newer
                  where newer.run_id = t.run_id and newer.entry = t.entry and newer.table_id > t.table_id)
order by t.position, t.table_id
