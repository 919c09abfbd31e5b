-- passes a target on to the next entry of the run that shares it; changes no state
-- $1 the table that has just ended, in the same transaction
-- Guard: the ended table holds it no more (its own statement, so that the unique index never sees two).
update migration_status.migration_table_status next
set holds_target = true
where next.table_id = (
  select t.table_id
  from migration_status.migration_table_status t
  join migration_status.migration_table_status ended using (run_id, target_schema, target_table)
  where ended.table_id = $1 and not ended.holds_target and t.table_id <> ended.table_id
    and t.status in ('planning', 'planned')
  order by t.position limit 1)
  and not next.holds_target
  and not exists (select from migration_status.migration_table_status held
                  where held.holds_target and held.target_schema = next.target_schema and held.target_table = next.target_table)
