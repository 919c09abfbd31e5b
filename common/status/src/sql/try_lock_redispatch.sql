-- gates redispatch: of a thousand workers one does the work, the others try again at their next tick
-- Held to the end of the transaction.
select pg_try_advisory_xact_lock(hashtextextended('thaw/redispatch', 0)) as locked
