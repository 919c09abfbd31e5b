-- first statement of a load transaction: its advisory key keeps the chunk from being claimed until it ends
-- $1 table, $2 chunk number
select pg_try_advisory_xact_lock(migration_status.chunk_key($1, $2)) as locked
