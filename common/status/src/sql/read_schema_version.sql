-- reads the newest migration the database has
select max(version) from migration_status.schema_version
