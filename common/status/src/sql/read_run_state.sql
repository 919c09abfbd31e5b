-- reads the state of a run
-- $1 run
select status from migration_status.migration_runs where run_id = $1
