-- reads the started tables of an entry, oldest first: what its next bound is made of
-- $1 entry
-- Values are compared by the reader, in the column's type: as text they would sort wrongly.
select table_id, status, leaves_gap, watermark_column, watermark_source, watermark_type,
       watermark_low, watermark_high, watermark_safe
from migration_status.migration_table_status
where entry = $1 and started_at is not null
order by table_id
