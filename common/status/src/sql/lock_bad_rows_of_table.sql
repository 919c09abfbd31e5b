-- one chunk of a table at a time counts and sets aside bad rows, until its transaction ends
-- $1 table
select pg_advisory_xact_lock(hashtextextended('thaw/bad-rows/' || $1::bigint, 0))
