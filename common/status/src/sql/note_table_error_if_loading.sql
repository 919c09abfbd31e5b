-- a fault that is true for every chunk of the table; changes no state of the table, the finalizer ends it
-- $1 table, $2 run, $3 error class, $4 error text
-- Guard: loading. The table row is locked before its chunks.
update migration_status.migration_table_status
set error_class = coalesce(error_class, $3), error_text = coalesce(error_text, $4)
where table_id = $1 and run_id = $2 and status = 'loading'
