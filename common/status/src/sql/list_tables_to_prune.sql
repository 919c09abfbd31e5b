-- reads the tables of runs that no bound of a later run, no index and no quarantined row needs any more
-- $1 runs
--
-- `whole`: the newest table of the entry that has completed without a bound. It has read every row, so it releases every
-- gap before it: nothing older counts. Behind it a completed table is needed while a gap lies before it, which it may
-- release, or when it is the last one, or one of another watermark, which is a gap itself. A started table that did not
-- complete is a gap. What emptied the target last tells the bounds of other entries that their rows are gone.
with entries as materialized (
  select entry,
         max(table_id) filter (where status = 'completed' and not leaves_gap and watermark_low is null) as whole,
         max(table_id) filter (where status = 'completed' and not leaves_gap) as last,
         max(table_id) filter (where truncated_at is not null
                                  or jsonb_typeof(plan #> '{start,replace_tail}') = 'object') as emptied
  from migration_status.migration_table_status
  where started_at is not null
  group by entry
)
select t.table_id
from migration_status.migration_table_status t
left join entries e using (entry)
left join migration_status.migration_table_status last on last.table_id = e.last
where t.run_id = any($1) and t.finished_at is not null and t.saved_indexes is null and not t.holds_target
  and (t.started_at is null
       or t.table_id is distinct from e.emptied
          and (t.table_id < e.whole
               or t.status = 'completed' and not t.leaves_gap and t.table_id < e.last and t.table_id <> e.whole
                  and (t.watermark_column, t.watermark_source, t.watermark_type)
                      is not distinct from (last.watermark_column, last.watermark_source, last.watermark_type)
                  and not exists (select from migration_status.quarantined_rows q where q.table_id = t.table_id)
                  and not exists (select from migration_status.migration_table_status gap
                                  where gap.entry = t.entry and gap.table_id > e.whole and gap.table_id < t.table_id
                                    and gap.started_at is not null
                                    and (gap.status <> 'completed' or gap.leaves_gap))))
