-- reads whether the script that came before left this target unfinished
-- $1 target schema, $2 target table
-- The script folded no names; a target it called DIMPAYER is our dimpayer.
select exists (
  select from migration_status.legacy_unfinished
  where lower(target_schema) = lower($1) and lower(target_table) = lower($2))
