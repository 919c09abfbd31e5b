-- what the transaction calls itself, and its limits; no row of the status tables
-- $1 name, $2 lock_timeout, $3 statement_timeout, or null for the session's
select set_config('application_name', $1, true), set_config('lock_timeout', $2, true), set_config('statement_timeout', coalesce($3, current_setting('statement_timeout')), true)
