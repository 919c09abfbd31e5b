-- reads the tables that are ready to start, and those that are ready to finalize (or whose finalizer died)
-- $1 at most
with waiting as materialized (
  -- for a table of the same run that they refer to, which has not ended; one that has failed lets them go, to fail
  select r.child
  from (select distinct run_id from migration_status.migration_table_status
        where status = 'planned' and started_at is null) runs
  cross join lateral migration_status.references_within(runs.run_id) r
  join migration_status.migration_table_status p on p.table_id = r.parent
  where not r.in_cycle and p.status in ('planning', 'planned', 'loading', 'finalizing')
)
(select t.table_id, t.run_id, current_database()::text as database
 from migration_status.migration_table_status t
 join migration_status.migration_runs r using (run_id)
 where r.status = 'running' and t.status = 'planned' and t.holds_target and t.started_at is null
   and t.start_due_at <= now()
   and t.table_id not in (select child from waiting)
   -- A living planner starts its tables itself; behind a dead or departed one anybody does.
   and (r.planner_lease_until is null or r.planner_lease_until <= now()
        or t.planned_at < now() - make_interval(secs => (r.settings ->> 'redispatch_ms')::float8 / 1000))
 order by t.run_id, t.position
 limit $1)
union all
(select t.table_id, t.run_id, current_database()::text
 from migration_status.migration_table_status t
 join migration_status.migration_runs r using (run_id)
 where r.status = 'running'
   and (t.status = 'finalizing' and t.finalize_lease_until <= now()
        or t.status = 'loading' and (
          select c.chunk_no from migration_status.migration_chunk_status c
          where c.table_id = t.table_id and c.status in ('pending', 'in_progress')
          order by c.chunk_no desc limit 1) is null)
 order by t.table_id
 limit $1)
