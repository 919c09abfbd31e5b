-- reads the tables of a run with their progress
-- $1 run
select p.table_id, p.source_name, p.source_database || '.' || p.source_schema || '.' || p.source_table as source,
       p.target_schema || '.' || p.target_table as target, p.status, t.decisions,
       coalesce(p.chunk_count, 0)::bigint as chunk_count, p.pending, p.in_progress, p.completed, p.failed, p.cancelled,
       p.expected_rows, p.fetched_rows, p.inserted_rows, p.updated_rows, p.kept_rows, p.deduplicated_rows,
       p.quarantined_rows, p.bytes, p.nulled_values, p.ambiguous_rows,
       extract(epoch from coalesce(p.finished_at, now()) - p.started_at)::float8 as elapsed_seconds,
       p.error_class, p.error_text
from migration_status.v_table_progress p
join migration_status.migration_table_status t using (table_id)
where p.run_id = $1
order by p.position
