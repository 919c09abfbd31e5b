-- reads whether a foreign key of a table's target refers to the target of another table of the same run that has not
-- ended: rows that are missed there may still come
-- $1 table
-- Tables that refer to each other would wait for each other for ever: such a key does not count.
select exists (
  select
  from migration_status.migration_table_status child
  join migration_status.migration_table_status parent using (run_id)
  join pg_constraint fk on fk.contype = 'f'
    and fk.conrelid = to_regclass(format('%I.%I', child.target_schema, child.target_table))
    and fk.confrelid = to_regclass(format('%I.%I', parent.target_schema, parent.target_table))
  where child.table_id = $1 and parent.status in ('planning', 'planned', 'loading', 'finalizing')
    and not exists (select from pg_constraint back
                    where back.contype = 'f' and back.conrelid = fk.confrelid and back.confrelid = fk.conrelid)
) as waits
