-- the targets of these tables are emptied in this transaction, for their current execution; changes no state
-- $1 tables
-- Guard: behind lock_tables_truncated_together.sql; once.
update migration_status.migration_table_status
set truncated_at = clock_timestamp(),
    decisions = case when cardinality($1::bigint[]) = 1 then decisions else decisions || jsonb_build_array(jsonb_build_object(
      'subject', 'truncate', 'choice', format('one for %s tables', cardinality($1::bigint[])),
      'reason', 'foreign keys between them make PostgreSQL refuse one without the others')) end
where table_id = any($1) and truncated_at is null
