-- table: finalizing -> completed, finalizing -> partial, finalizing -> failed
-- $1 table, $2 fence, $3 worker, $4 error class, $5 error text, $6 decisions to add, in place of those
-- of an earlier finalizer on the same subjects
--
-- Guard: fence and finalizing. Completed only when every chunk of the execution is and nothing else was found wrong.
-- The table's sums are filled here and nowhere else: no load transaction touches this row.
update migration_status.migration_table_status t
set status = case when t.error_class is null and $4::text is null and s.not_completed = 0 then 'completed'
                  when s.completed = 0 then 'failed'
                  else 'partial' end,
    finished_at = clock_timestamp(), finalize_lease_until = null, holds_target = false,
    fetched_rows = s.fetched_rows, inserted_rows = s.inserted_rows, updated_rows = s.updated_rows,
    kept_rows = s.kept_rows, deduplicated_rows = s.deduplicated_rows, quarantined_rows = s.quarantined_rows,
    bytes = s.bytes, nulled_values = s.nulled_values, ambiguous_rows = s.ambiguous_rows,
    tied_rows = s.tied_rows, null_watermark_rows = s.null_watermark_rows, watermark_lost_rows = s.watermark_lost_rows,
    decisions = coalesce((select jsonb_agg(d.decision order by d.place)
                          from jsonb_array_elements(t.decisions) with ordinality d (decision, place)
                          where not exists (select from jsonb_array_elements($6::jsonb) new (decision)
                                            where new.decision -> 'subject' = d.decision -> 'subject')), '[]') || $6::jsonb,
    error_class = coalesce(t.error_class, $4, s.error_class),
    error_text = coalesce(t.error_text, $5, s.error_text)
from (
  select count(*) filter (where status = 'completed') as completed,
         count(*) filter (where status <> 'completed') as not_completed,
         coalesce(sum(fetched_rows) filter (where status = 'completed'), 0)::bigint as fetched_rows,
         coalesce(sum(inserted_rows) filter (where status = 'completed'), 0)::bigint as inserted_rows,
         coalesce(sum(updated_rows) filter (where status = 'completed'), 0)::bigint as updated_rows,
         coalesce(sum(kept_rows) filter (where status = 'completed'), 0)::bigint as kept_rows,
         coalesce(sum(deduplicated_rows) filter (where status = 'completed'), 0)::bigint as deduplicated_rows,
         coalesce(sum(quarantined_rows) filter (where status = 'completed'), 0)::bigint as quarantined_rows,
         coalesce(sum(bytes) filter (where status = 'completed'), 0)::bigint as bytes,
         coalesce(sum(nulled_values) filter (where status = 'completed'), 0)::bigint as nulled_values,
         coalesce(sum(ambiguous_rows) filter (where status = 'completed'), 0)::bigint as ambiguous_rows,
         coalesce(sum(tied_rows) filter (where status = 'completed'), 0)::bigint as tied_rows,
         coalesce(sum(null_watermark_rows) filter (where status = 'completed'), 0)::bigint as null_watermark_rows,
         coalesce(sum(watermark_lost_rows) filter (where status = 'completed'), 0)::bigint as watermark_lost_rows,
         (array_agg(coalesce(error_class, status) order by status desc, chunk_no) filter (where status <> 'completed'))[1] as error_class,
         (array_agg(error_text order by status desc, chunk_no) filter (where status <> 'completed'))[1] as error_text
  from migration_status.migration_chunk_status
  where table_id = $1
    and execution = (select execution from migration_status.migration_table_status where table_id = $1)
) s
where t.table_id = $1 and t.status = 'finalizing' and t.finalize_fence = $2 and t.finalize_worker = $3
returning t.status, t.run_id, t.fetched_rows, t.inserted_rows, t.updated_rows, t.kept_rows, t.deduplicated_rows,
  t.quarantined_rows, t.bytes, t.nulled_values, t.ambiguous_rows,
  t.tied_rows, t.null_watermark_rows, t.watermark_lost_rows
