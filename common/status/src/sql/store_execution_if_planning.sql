-- table: planning -> loading
-- $1 table, $2 run, $3 plan, $4 snapshot, $5 chunk count, $6 expected rows, $7 execution
--
-- Guard: planning a fresh execution of a table that was started before, under its number. With the new chunks, and the
-- truncate or delete of what the old execution loaded, in one transaction.
update migration_status.migration_table_status
set status = 'loading',
    plan = $3, plan_version = plan_version + 1, snapshot = $4, chunk_count = $5, expected_rows = $6,
    truncated_at = case when ($3::jsonb -> 'start' ->> 'truncate')::boolean then clock_timestamp() else truncated_at end,
    planned_at = clock_timestamp()
where table_id = $1 and run_id = $2 and status = 'planning' and started_at is not null and execution = $7
returning execution, (select coalesce(max(c.chunk_no) + 1, 0) from migration_status.migration_chunk_status c where c.table_id = $1) as first_chunk_no,
  (select clock_timestamp() + make_interval(secs => (r.settings ->> 'first_hint_ms')::float8 / 1000)
   from migration_status.migration_runs r where r.run_id = $2) as first_look_at
