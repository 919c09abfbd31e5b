-- reads the runs whose id begins with a text
-- $1 hexadecimal digits and hyphens, $2 at most
select run_id from migration_status.migration_runs
where starts_with(run_id::text, $1)
order by started_at desc
limit $2
