-- run: created as running
-- $1 run, $2 config hash, $3 planner, $4 seconds of its lease, $5 settings, $6 program
--
-- With the rows of its tables in one transaction, committed before the source is asked anything.
insert into migration_status.migration_runs
  (run_id, config_hash, planner_id, planner_lease_until, settings, created_by)
values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5, session_user || ' with ' || $6)
