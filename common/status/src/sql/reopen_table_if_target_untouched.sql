-- table: partial -> loading, failed -> loading, cancelled -> loading, failed -> planning, cancelled -> planning
-- $1 run, $2 table
--
-- Guard: unfinished, and no later run has started its target; the unique index holds_target refuses one that another
-- run holds. A started table goes on with its plan (it is never truncated twice); one that was never started is
-- planned anew, as another execution, so that chunks of the old plan do not count. A started table without a chunk count
-- lost its snapshot: the waiting planner plans a fresh execution.
update migration_status.migration_table_status t
set status = case when t.started_at is null or t.chunk_count is null then 'planning' else 'loading' end,
    execution = t.execution + (t.started_at is null)::int,
    plan = case when t.started_at is null then null else t.plan end,
    finished_at = null, holds_target = true, finalize_fence = t.finalize_fence + 1,
    error_class = null, error_text = null
where t.run_id = $1 and t.table_id = $2 and t.status in ('partial', 'failed', 'cancelled')
  and not exists (select from migration_status.migration_table_status later
                  where later.target_schema = t.target_schema and later.target_table = t.target_table
                    and later.run_id <> t.run_id and later.started_at > coalesce(t.started_at, t.finished_at))
returning t.status
