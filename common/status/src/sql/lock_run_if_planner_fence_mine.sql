-- first statement of every transaction in which a planner writes a plan
-- $1 run, $2 planner, $3 fence
-- Guard: planner fence and running; held until the commit, so that a takeover or a cancel comes before or after.
select 1
from migration_status.migration_runs
where run_id = $1 and planner_id = $2 and planner_fence = $3 and status = 'running'
for share
