-- reads what the source took for an entry the last time: by one statement, and by pages of LIMIT and OFFSET
-- $1 entry
select
  (select extract(epoch from e.finished_at - e.submitted_at)::float8
   from migration_status.migration_executions e
   join migration_status.migration_table_status t using (table_id)
   where t.entry = $1 and e.status = 'finished'
   order by e.finished_at desc limit 1) as statement_seconds,
  pages.seconds as page_seconds, coalesce(pages.count, 0) as page_count
from (select) nothing
left join lateral (
  select sum(c.fetch_ms)::float8 / 1000 as seconds, count(*) as count
  from migration_status.migration_chunk_status c
  where c.status = 'completed' and c.strategy in ('offset_based', 'date_range_offset')
    and c.table_id = (select max(t.table_id) from migration_status.migration_table_status t
                      where t.entry = $1 and exists (
                        select from migration_status.migration_chunk_status o
                        where o.table_id = t.table_id and o.status = 'completed'
                          and o.strategy in ('offset_based', 'date_range_offset')))
) pages on true
