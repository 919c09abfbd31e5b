-- table: partial -> loading, failed -> loading, cancelled -> loading, failed -> planned, cancelled -> planned,
--        failed -> planning, cancelled -> planning
-- $1 run, $2 table
--
-- Guard: unfinished, its ranges are not pruned, and no later run has started its target; the unique index holds_target
-- refuses one that another run holds, the guard one that another entry of this run holds. A started table goes on with
-- its plan (it is never truncated twice), or waits for a fresh execution where its chunks belong to none, under a number of
-- its own: the statement of the last one may have ended with its table. One that was planned and never started is started;
-- one without a plan, or without chunks (its statement had not ended), is planned.
update migration_status.migration_table_status t
set status = case when t.started_at is not null and t.chunk_count is not null then 'loading'
                  when t.started_at is null and t.plan is not null and t.chunk_count is not null then 'planned'
                  else 'planning' end,
    execution = t.execution + (t.started_at is not null and t.chunk_count is null)::int,
    plan = case when t.started_at is null and t.chunk_count is null then null else t.plan end,
    finished_at = null, holds_target = true, finalize_fence = t.finalize_fence + 1,
    error_class = null, error_text = null
where t.run_id = $1 and t.table_id = $2 and t.status in ('partial', 'failed', 'cancelled') and t.pruned_at is null
  and not exists (select from migration_status.migration_table_status later
                  where later.target_schema = t.target_schema and later.target_table = t.target_table
                    and later.run_id <> t.run_id and later.started_at > coalesce(t.started_at, t.finished_at))
  and not exists (select from migration_status.migration_table_status held
                  where held.holds_target and held.run_id = t.run_id
                    and held.target_schema = t.target_schema and held.target_table = t.target_table)
returning t.status, t.plan is not null as has_plan
