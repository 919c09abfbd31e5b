-- reads whether the status tables are ours (the script that came before has no schema_version)
select to_regclass('migration_status.schema_version') is not null
