-- first statement of pruning: the runs that are over since so long; a resume that reopens one comes before or after
-- $1 seconds
-- Guard: not running. Locked ones are left to the next time.
select run_id
from migration_status.migration_runs
where status <> 'running' and finished_at < now() - make_interval(secs => $1)
  and last_activity_at < now() - make_interval(secs => $1)
order by run_id
for update skip locked
