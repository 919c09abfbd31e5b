-- sets bad rows aside, inside the load transaction of their chunk
-- $1 table, $2 chunk number, $3 ordinals, $4 columns, $5 reasons, $6 statement of the source, $7 keys, $8 rows
insert into migration_status.quarantined_rows
  (table_id, chunk_no, ordinal, column_name, reason, statement, key_data, row_data)
select $1, $2, ordinal, column_name, reason, $6, key_data, row_data
from unnest($3::bigint[], $4::text[], $5::text[], $7::jsonb[], $8::jsonb[])
  as bad (ordinal, column_name, reason, key_data, row_data)
