-- reads what keeps a planned table from being started: a table of the same run that it refers to, and that has not ended
-- or has failed
-- $1 table, $2 run
-- A failed one first: then there is nothing to wait for. A superseded one counts for nothing: another row stands for it,
-- or the run goes on without it.
select format('%I.%I', p.target_schema, p.target_table) as table_name, r.constraint_name,
       p.status in ('failed', 'cancelled') as has_failed
from migration_status.references_within($2) r
join migration_status.migration_table_status p on p.table_id = r.parent
where r.child = $1 and not r.in_cycle
  and p.status in ('planning', 'planned', 'loading', 'finalizing', 'failed', 'cancelled')
order by has_failed desc, p.table_id
limit 1
