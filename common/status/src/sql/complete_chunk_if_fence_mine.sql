-- chunk: in_progress -> completed
-- $1 table, $2 chunk number, $3 fence, $4 worker, $5 fetched, $6 inserted, $7 updated, $8 kept, $9 deduplicated,
-- $10 quarantined, $11 bytes, $12 fetch ms, $13 decode ms, $14 load ms, $15 nulled, $16 ambiguous,
-- $17 tied, $18 without a watermark, $19 whose watermark is lost
--
-- Guard: fence, worker and in_progress. Last statement of the load transaction. A lost fence updates no row, and the
-- division makes that an error in the server (22012): the transaction is aborted there, and whatever COMMIT comes
-- behind it, even a pipelined one of a client that looks at no answer, can only roll back.
with completed as (
  update migration_status.migration_chunk_status
  set status = 'completed',
      finished_at = clock_timestamp(),
      lease_until = null,
      redispatch_at = null,
      fetched_rows = $5, inserted_rows = $6, updated_rows = $7, kept_rows = $8, deduplicated_rows = $9,
      quarantined_rows = $10, bytes = $11,
      nulled_values = $15, ambiguous_rows = $16,
      tied_rows = $17, null_watermark_rows = $18, watermark_lost_rows = $19,
      fetch_ms = $12, decode_ms = $13, load_ms = $14
  where table_id = $1 and chunk_no = $2 and fence = $3 and worker_id = $4 and status = 'in_progress'
  returning 1
)
select 1 / count(*) as completed from completed
