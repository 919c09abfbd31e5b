-- run: running -> completed, running -> partial, running -> failed
-- $1 run
--
-- Guard: behind lock_run_if_endable.sql; planned, and every table is final. Of an entry that a resume has planned anew
-- its newest row counts; one that was taken out because nobody planned it did not complete.
update migration_status.migration_runs r
set status = s.becomes, finished_at = clock_timestamp(), last_activity_at = clock_timestamp(), planner_lease_until = null
from (
  select case when coalesce(bool_and(status = 'completed'), true) then 'completed'
              when bool_or(status in ('completed', 'partial')) then 'partial'
              else 'failed' end as becomes,
         coalesce(bool_or(status in ('planning', 'planned', 'loading', 'finalizing')), false) as open
  from (select distinct on (entry) status, error_class from migration_status.migration_table_status
        where run_id = $1 order by entry, table_id desc) newest
  where status <> 'superseded' or error_class = 'never_planned'
) s
where r.run_id = $1 and r.status = 'running' and r.planned_at is not null and not s.open
returning r.status
