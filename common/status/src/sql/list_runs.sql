-- reads the newest runs
-- $1 run (null: all), $2 at most, $3 only those that a planner may have to do with: running ones, and partial or failed
-- ones with a table that could be revived
-- `stalled_seconds`: since its start, since a table was planned, started or completed, or a chunk completed or still at
-- work, or a statement was seen running. An attempt that failed is none of it, nor is a planner: a schedule that goes on with the run each hour, in vain,
-- would never begin another.
select r.run_id, r.status, to_char(r.started_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as started_at,
       extract(epoch from now() - r.started_at)::float8 as started_seconds_ago,
       extract(epoch from coalesce(r.finished_at, now()) - r.started_at)::float8 as elapsed_seconds,
       extract(epoch from now() - greatest(r.last_activity_at, (
         select max(greatest(t.planned_at, t.started_at, t.finished_at, (
           select max(greatest(c.claimed_at, c.heartbeat_at, c.finished_at))
           from migration_status.migration_chunk_status c
           where c.table_id = t.table_id), (
           select max(e.seen_running_at)
           from migration_status.migration_executions e
           where e.table_id = t.table_id)))
         from migration_status.migration_table_status t
         where t.run_id = r.run_id)))::float8 as idle_seconds,
       extract(epoch from now() - greatest(r.started_at, (
         select max(greatest(t.planned_at, t.started_at, case when t.status = 'completed' then t.finished_at end, (
           select max(case c.status when 'completed' then c.finished_at
                                    when 'in_progress' then greatest(c.claimed_at, c.heartbeat_at) end)
           from migration_status.migration_chunk_status c
           where c.table_id = t.table_id), (
           select max(e.seen_running_at)
           from migration_status.migration_executions e
           where e.table_id = t.table_id)))
         from migration_status.migration_table_status t
         where t.run_id = r.run_id)))::float8 as stalled_seconds,
       coalesce(r.planner_lease_until > now(), false) as planner_alive,
       r.planned_at is not null as planned, r.created_by,
       r.error_class, r.error_text
from migration_status.migration_runs r
where ($1::uuid is null or r.run_id = $1)
  and (not $3 or r.status = 'running'
       or r.status in ('partial', 'failed') and exists (
         select from migration_status.migration_table_status t
         where t.run_id = r.run_id and t.status in ('partial', 'failed', 'cancelled') and t.pruned_at is null
           and not exists (select from migration_status.migration_table_status later
                           where later.target_schema = t.target_schema and later.target_table = t.target_table
                             and later.run_id <> t.run_id and later.started_at > coalesce(t.started_at, t.finished_at))))
order by r.started_at desc
limit $2
