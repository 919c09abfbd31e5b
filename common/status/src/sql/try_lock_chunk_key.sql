-- first statement of a load transaction: its advisory key keeps the chunk from being claimed until it ends; and until
-- then pg_stat_activity shows whose rows these are
-- $1 table, $2 chunk number, $3 what the session calls itself
select pg_try_advisory_xact_lock(migration_status.chunk_key($1, $2)) as locked, set_config('application_name', $3, true)
