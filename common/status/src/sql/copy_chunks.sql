-- chunk: created as pending, by binary COPY (100,000 in about a second)
copy migration_status.migration_chunk_status
  (table_id, chunk_no, execution, strategy, range, expected_rows, counted_exactly, redispatch_at)
from stdin (format binary)
