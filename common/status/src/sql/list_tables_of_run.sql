-- reads the tables of a run with their progress: of each entry the newest row, and none that another entry replaced
-- $1 run
select p.table_id, p.source_name, p.source_database || '.' || p.source_schema || '.' || p.source_table as source,
       p.target_schema || '.' || p.target_table as target, p.status, t.decisions,
       coalesce(p.chunk_count, 0)::bigint as chunk_count, p.pending, p.in_progress, p.completed, p.failed, p.cancelled,
       p.expected_rows, p.fetched_rows, p.inserted_rows, p.updated_rows, p.kept_rows, p.deduplicated_rows,
       p.quarantined_rows, p.bytes, p.nulled_values, p.ambiguous_rows,
       p.tied_rows, p.null_watermark_rows, p.watermark_lost_rows,
       extract(epoch from coalesce(p.finished_at, now()) - p.started_at)::float8 as elapsed_seconds,
       p.error_class, p.error_text,
       e.status as statement_state, e.handle as statement_handle,
       extract(epoch from coalesce(e.finished_at, now()) - e.submitted_at)::float8 as statement_seconds,
       case when e.status = 'finished' then extract(epoch from e.expires_at - now())::float8 end as result_seconds
from migration_status.v_table_progress p
join migration_status.migration_table_status t using (table_id)
join migration_status.migration_runs r on r.run_id = t.run_id
left join migration_status.migration_executions e on e.table_id = t.table_id and e.execution = t.execution
where p.run_id = $1
  and (t.status <> 'superseded' or r.status = 'superseded')
  and not exists (select from migration_status.migration_table_status newer
                  where newer.run_id = t.run_id and newer.entry = t.entry and newer.table_id > t.table_id)
order by p.position, p.table_id
