-- reads in how many seconds the next statement is to be looked at; null: none is open
select extract(epoch from min(greatest(look_at, coalesce(lease_until, '-infinity'))) - clock_timestamp())::float8 as seconds
from migration_status.migration_executions
where status in ('to_submit', 'running')
