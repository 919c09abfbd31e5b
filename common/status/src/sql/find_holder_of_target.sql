-- reads which run holds a target, and whether its planner is alive
-- $1 target schema, $2 target table
select r.run_id, t.table_id, t.target_schema, t.target_table, r.status, r.config_hash, r.planner_id,
       coalesce(r.planner_lease_until > now(), false) as planner_alive,
       r.planned_at is not null as planned,
       extract(epoch from now() - greatest(r.last_activity_at, (
         select max(greatest(c.claimed_at, c.heartbeat_at, c.finished_at))
         from migration_status.migration_chunk_status c
         join migration_status.migration_table_status own using (table_id)
         where own.run_id = r.run_id)))::float8 as idle_seconds
from migration_status.migration_table_status t
join migration_status.migration_runs r using (run_id)
where t.holds_target and t.target_schema = $1 and t.target_table = $2
