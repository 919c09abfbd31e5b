-- reads quarantined rows, the newest table first
-- $1 name of the table at either end, or null; $2 true: also those that a later run has read again; $3 limit
--
-- A later completed table of the same entry that had no bound has read every row again: what was still bad then is
-- among its own.
select t.run_id, t.source_name, t.source_database || '.' || t.source_schema || '.' || t.source_table as source,
       t.target_schema, t.target_table, q.chunk_no, q.ordinal, q.column_name, q.reason, q.statement,
       to_char(q.set_aside_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') as set_aside_at, q.key_data, q.row_data
from migration_status.quarantined_rows q
join migration_status.migration_table_status t using (table_id)
-- A fresh execution has read the rows of an older one again.
join migration_status.migration_chunk_status c
  on c.table_id = q.table_id and c.chunk_no = q.chunk_no and c.execution = t.execution
where ($1::text is null or lower($1) in (lower(t.source_table), lower(t.target_table)))
  and ($2 or not exists (
    select 1 from migration_status.migration_table_status l
    where l.entry = t.entry and l.table_id > t.table_id and l.status = 'completed' and l.watermark_low is null))
order by q.table_id desc, q.chunk_no, q.ordinal
limit $3
