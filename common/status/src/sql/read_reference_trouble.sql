-- reads what a missed foreign key (23503) of a chunk means: `passes` while the row may still come, else `counts` where
-- the key is part of a cycle, else null
-- $1 table, $2 chunk number, $3 run
-- It may come from a table of the same run that has not ended; or, where tables refer to each other (or one to itself),
-- from a chunk that has not met this yet, or that was completed since this one was claimed. Both come to an end, so that
-- a row that nobody has is not waited for for ever.
with reference as materialized (select * from migration_status.references_within($3) where child = $1),
cycle as materialized (
  select c.*
  from migration_status.migration_chunk_status c
  where c.table_id in (select parent from reference where in_cycle) and not (c.table_id = $1 and c.chunk_no = $2)
)
select case
  when exists (select from reference r join migration_status.migration_table_status p on p.table_id = r.parent
               where p.status in ('planning', 'planned') or not r.in_cycle and p.status in ('loading', 'finalizing')) then 'passes'
  when exists (select from cycle
               where status = 'in_progress' and fence <= 1
                  or status = 'pending' and error_class is distinct from 'sqlstate_23503'
                  or status = 'completed' and finished_at >= (
                    select claimed_at from migration_status.migration_chunk_status where table_id = $1 and chunk_no = $2)) then 'passes'
  when exists (select from reference where in_cycle) then 'counts'
end as trouble
