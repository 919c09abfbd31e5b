-- what the transaction calls itself, and its limits; no row of the status tables
-- $1 name, $2 lock_timeout, $3 statement_timeout
select set_config('application_name', $1, true), set_config('lock_timeout', $2, true), set_config('statement_timeout', $3, true)
