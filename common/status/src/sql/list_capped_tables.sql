-- reads the loading tables with a cap and chunks that nobody was told of: whoever settled the last one died before the
-- next hint
select t.table_id
from migration_status.migration_table_status t
join migration_status.migration_runs r using (run_id)
where t.status = 'loading' and t.parallel_cap is not null and r.status = 'running'
  and exists (select from migration_status.migration_chunk_status c
              where c.table_id = t.table_id and c.status = 'pending' and c.publish_count = 0 and c.due_at = '-infinity')
order by t.table_id
limit 100
