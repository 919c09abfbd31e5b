-- table: planning -> superseded
-- $1 run, $2 table
--
-- Guard: it never had a plan; behind the statement that gave the run to this planner, which will not plan it. The class
-- keeps the run from ending completed. It has no chunks.
update migration_status.migration_table_status
set status = 'superseded', finished_at = clock_timestamp(), holds_target = false,
    error_class = 'never_planned', error_text = 'the planner that went on with the run was not asked for it'
where run_id = $1 and table_id = $2 and status = 'planning' and plan is null
