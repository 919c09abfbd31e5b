-- adds to the decisions of a table that is started what its foreign keys within the run mean for it; changes no state
-- $1 table, $2 run
update migration_status.migration_table_status t
set decisions = t.decisions || noted.decisions
from (
  select jsonb_agg(jsonb_build_object('subject', 'foreign key', 'choice', case
             when r.child = r.parent then 'rows of the table may come in any order'
             when r.in_cycle then format('loads beside %I.%I', p.target_schema, p.target_table)
             else format('starts after %I.%I', p.target_schema, p.target_table) end,
           'reason', case
             when r.in_cycle then format('constraint %I is part of a cycle: a chunk that misses a row there is tried again', r.constraint_name)
             else format('constraint %I refers to it', r.constraint_name) end)
         order by r.constraint_name) as decisions
  from migration_status.references_within($2) r
  join migration_status.migration_table_status p on p.table_id = r.parent
  where r.child = $1
) noted
where t.table_id = $1 and noted.decisions is not null
