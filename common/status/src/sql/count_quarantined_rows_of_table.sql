-- reads how many rows the completed chunks of a table's execution have set aside
-- $1 table, $2 chunk number: its execution counts, it itself does not
select coalesce(sum(c.quarantined_rows), 0)::bigint as quarantined
from migration_status.migration_chunk_status c
where c.table_id = $1 and c.chunk_no <> $2 and c.status = 'completed' and c.quarantined_rows > 0
  and c.execution = (select m.execution from migration_status.migration_chunk_status m
                     where m.table_id = $1 and m.chunk_no = $2)
