-- reads what other entries did to a target
-- $1 target schema, $2 target table, $3 entry, $4 entries that are known
-- A tail that was deleted under a filter held that entry's own rows; without one, everybody's.
select count(*) > 0 as loaded,
       coalesce(bool_or(entry <> all ($4)), false) as strangers_loaded,
       max(table_id) filter (where truncated_at is not null
                                or jsonb_typeof(plan #> '{start,replace_tail}') = 'object'
                                   and plan #>> '{start,replace_tail,filter}' is null) as emptied_by
from migration_status.migration_table_status
where target_schema = $1 and target_table = $2 and entry <> $3 and started_at is not null
