-- takes the next first hints of a capped table: so many chunks are under way at a time as its cap says
-- $1 table
-- Under way: in progress, or pending and told of (by a hint, or put off by a claim, which sets due_at; what a revival has
-- opened again was not told of in this life). A second statement behind lock_table_if_loading.sql, so that its
-- snapshot is younger than the lock.
with room as materialized (
  select t.table_id, t.run_id,
         greatest(t.parallel_cap - (
           select count(*) from migration_status.migration_chunk_status c
           where c.table_id = t.table_id
             and (c.status = 'in_progress' or c.status = 'pending' and (c.publish_count > 0 or c.due_at > '-infinity'))), 0) as free,
         make_interval(secs => (r.settings ->> 'first_hint_ms')::float8 / 1000) as first_hint
  from migration_status.migration_table_status t
  join migration_status.migration_runs r using (run_id)
  where t.table_id = $1 and t.status = 'loading' and r.status = 'running'
),
next as materialized (
  select c.table_id, c.chunk_no
  from migration_status.migration_chunk_status c
  where c.table_id = $1 and c.status = 'pending' and c.publish_count = 0 and c.due_at = '-infinity'
  order by c.chunk_no
  limit (select free from room)
  for no key update skip locked
)
update migration_status.migration_chunk_status c
set publish_count = 1, redispatch_at = clock_timestamp() + room.first_hint
from next, room
where c.table_id = next.table_id and c.chunk_no = next.chunk_no
returning c.table_id, c.chunk_no, room.run_id, current_database()::text as database
