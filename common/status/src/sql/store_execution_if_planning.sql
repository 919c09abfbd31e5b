-- table: planning -> loading
-- $1 table, $2 run, $3 plan, $4 decisions, $5 snapshot, $6 greatest watermark, $7 chunk count, $8 expected rows, $9 execution,
-- $10 leaves a gap
--
-- Guard: planning a fresh execution of a table that was started before, under its number; behind
-- lock_run_if_planner_fence_mine.sql. With the new chunks, and the truncate or delete of what the old execution loaded,
-- in one transaction. All chunks load again, so the greatest watermark is that of the new snapshot.
update migration_status.migration_table_status
set status = 'loading',
    plan = $3, plan_version = plan_version + 1, decisions = $4, snapshot = $5, watermark_high = $6,
    watermark_safe = case when leaves_gap then watermark_safe when $10 then watermark_low end,
    leaves_gap = leaves_gap or $10,
    chunk_count = $7, expected_rows = $8,
    truncated_at = case when ($3::jsonb -> 'start' ->> 'truncate')::boolean then clock_timestamp() else truncated_at end,
    planned_at = clock_timestamp()
where table_id = $1 and run_id = $2 and status = 'planning' and started_at is not null and execution = $9
returning execution, snapshot is not null as counted_exactly,
  (select coalesce(max(c.chunk_no) + 1, 0) from migration_status.migration_chunk_status c where c.table_id = $1) as first_chunk_no,
  (select clock_timestamp() + make_interval(secs => (r.settings ->> 'first_hint_ms')::float8 / 1000)
   from migration_status.migration_runs r where r.run_id = $2) as first_look_at
