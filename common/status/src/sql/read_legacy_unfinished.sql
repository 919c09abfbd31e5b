-- reads whether the script that came before left this target unfinished
-- $1 target schema, $2 target table, $3 entry
-- The script folded no names; a target it called DIMPAYER is our dimpayer. A full load of the entry that has completed
-- since then leaves no gap below it.
select exists (
  select from migration_status.legacy_unfinished
  where lower(target_schema) = lower($1) and lower(target_table) = lower($2))
  and not exists (
  select from migration_status.migration_table_status
  where entry = $3 and status = 'completed' and watermark_low is null and not leaves_gap)
