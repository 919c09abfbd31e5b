-- reads the schemas that the status tables of the script that came before were renamed to
select nspname::text from pg_namespace where nspname like 'migration\_status\_legacy\_%'
