-- stores the plan of a table that one statement reads; it stays in planning until the statement has ended
-- $1 table, $2 run, $3 plan, $4 decisions, $5 snapshot, $6 watermark column, $7 type, $8 low, $9 high, $10 expected rows,
-- $11 watermark of the source, $12 safe bound, $13 leaves a gap above it
--
-- Guard: planning, never started, without a plan; behind lock_run_if_planner_fence_mine.sql, and with the execution's row
-- in one transaction. The number is one that no statement of the table has had.
update migration_status.migration_table_status t
set plan = $3, plan_version = plan_version + 1, decisions = $4, snapshot = $5,
    watermark_column = $6, watermark_type = $7, watermark_low = $8, watermark_high = $9,
    watermark_source = $11, watermark_safe = $12, leaves_gap = $13,
    expected_rows = $10, chunk_count = null,
    execution = greatest(t.execution, coalesce(
      (select max(e.execution) + 1 from migration_status.migration_executions e where e.table_id = $1), 1)),
    error_class = null, error_text = null
where table_id = $1 and run_id = $2 and status = 'planning' and started_at is null and plan is null
returning execution
