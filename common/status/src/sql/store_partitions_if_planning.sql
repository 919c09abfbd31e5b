-- table: planning -> planned, planning -> loading
-- $1 table, $2 run, $3 plan, $4 decisions, $5 chunk count, $6 rows, $7 execution
--
-- Guard: planning, in the execution whose statement has ended; the run is running. With the chunks in one transaction. A
-- table that was started before goes on loading; the truncate or delete of what an older execution has loaded commits
-- with it. What one statement gives is one moment, whatever it reads at: every chunk is counted exactly.
update migration_status.migration_table_status t
set status = case when t.started_at is null then 'planned' else 'loading' end,
    plan = $3, plan_version = t.plan_version + 1, decisions = $4, chunk_count = $5, expected_rows = $6,
    truncated_at = case when t.started_at is not null and ($3::jsonb -> 'start' ->> 'truncate')::boolean
      then clock_timestamp() else t.truncated_at end,
    planned_at = clock_timestamp(), error_class = null, error_text = null
from migration_status.migration_runs r
where t.table_id = $1 and t.run_id = $2 and r.run_id = t.run_id and r.status = 'running'
  and t.status = 'planning' and t.execution = $7
returning t.execution, true as counted_exactly, t.started_at is not null as was_started,
  coalesce((select max(c.chunk_no) + 1 from migration_status.migration_chunk_status c where c.table_id = $1), 0) as first_chunk_no,
  clock_timestamp() + make_interval(secs => (r.settings ->> 'first_hint_ms')::float8 / 1000) as first_look_at
