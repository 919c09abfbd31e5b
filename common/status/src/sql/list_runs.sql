-- reads the newest runs
-- $1 run (null: all), $2 at most
select r.run_id, r.status, to_char(r.started_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as started_at,
       extract(epoch from now() - r.started_at)::float8 as started_seconds_ago,
       extract(epoch from coalesce(r.finished_at, now()) - r.started_at)::float8 as elapsed_seconds,
       extract(epoch from now() - greatest(r.last_activity_at, (
         select max(greatest(c.claimed_at, c.heartbeat_at, c.finished_at))
         from migration_status.migration_chunk_status c
         join migration_status.migration_table_status own using (table_id)
         where own.run_id = r.run_id)))::float8 as idle_seconds,
       coalesce(r.planner_lease_until > now(), false) as planner_alive,
       r.planned_at is not null as planned, r.created_by,
       r.error_class, r.error_text
from migration_status.migration_runs r
where $1::uuid is null or r.run_id = $1
order by r.started_at desc
limit $2
