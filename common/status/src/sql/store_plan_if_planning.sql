-- table: planning -> planned
-- $1 table, $2 run, $3 plan, $4 decisions, $5 snapshot, $6 watermark column, $7 type, $8 low, $9 high,
-- $10 chunk count, $11 expected rows, $12 watermark of the source, $13 safe bound, $14 leaves a gap above it
--
-- Guard: planning and never started; behind lock_run_if_planner_fence_mine.sql, and with the chunks in one transaction.
update migration_status.migration_table_status
set status = 'planned',
    plan = $3, plan_version = plan_version + 1, decisions = $4, snapshot = $5,
    watermark_column = $6, watermark_type = $7, watermark_low = $8, watermark_high = $9,
    watermark_source = $12, watermark_safe = $13, leaves_gap = $14,
    chunk_count = $10, expected_rows = $11,
    planned_at = clock_timestamp(), error_class = null, error_text = null
where table_id = $1 and run_id = $2 and status = 'planning' and started_at is null
returning execution, snapshot is not null as counted_exactly,
  coalesce((select max(c.chunk_no) + 1 from migration_status.migration_chunk_status c where c.table_id = $1), 0) as first_chunk_no,
  (select clock_timestamp() + make_interval(secs => (r.settings ->> 'first_hint_ms')::float8 / 1000)
   from migration_status.migration_runs r where r.run_id = $2) as first_look_at
