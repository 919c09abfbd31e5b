-- first of two statements that resume a table of a running run: a finalizer decides before or after; changes no state
-- $1 run, $2 table
-- Guard: not over. The fault that had stopped the table is forgotten with its chunks' failures.
update migration_status.migration_table_status
set error_class = case when status = 'loading' then null else error_class end,
    error_text = case when status = 'loading' then null else error_text end
where run_id = $1 and table_id = $2 and status in ('planning', 'planned', 'loading', 'finalizing')
returning status, plan is not null as has_plan
