-- locks a table that is to be started, and those that must be emptied in the same TRUNCATE: the truncating tables of the
-- run that refer to it, directly or through one another, and have not been started
-- $1 table, $2 run
-- First statement of the start transaction, in the order of the ids so that two starts cannot wait for each other; what
-- is decided behind it sees what the other start has done.
with recursive member (table_id) as (
  select $1::bigint
  union
  select c.table_id
  from member m
  join migration_status.references_within($2) r on r.parent = m.table_id and r.child <> r.parent
  join migration_status.migration_table_status p on p.table_id = m.table_id
  join migration_status.migration_table_status c on c.table_id = r.child
  where (p.plan -> 'start' ->> 'truncate')::boolean
    and (c.plan -> 'start' ->> 'truncate')::boolean and c.status = 'planned' and c.started_at is null
)
select table_id
from migration_status.migration_table_status
where table_id in (select table_id from member)
order by table_id
for no key update
