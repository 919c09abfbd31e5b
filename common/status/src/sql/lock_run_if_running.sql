-- first statement of a transaction that writes a table and those that wait for it
-- $1 run
-- Guard: running; held until the commit, so that a cancel or a takeover, which writes every table of the run, comes before
-- or after and never in between.
select 1
from migration_status.migration_runs
where run_id = $1 and status = 'running'
for share
