-- puts the next try to start a table off, for the whole fleet; changes no state
-- $1 table, $2 run
-- Guard: planned, never started, and not put off already: of several who met the same lock one counts.
-- Two seconds after the first try in vain, then twice as long each time, a minute at most, jittered: whoever waits for
-- our exclusive lock queues behind it.
update migration_status.migration_table_status
set start_due_at = clock_timestamp()
      + least(interval '2 seconds' * (1 << least(start_tries, 5)), interval '1 minute') * (0.75 + random() / 2),
    start_tries = least(start_tries + 1, 30000)
where table_id = $1 and run_id = $2 and status = 'planned' and started_at is null
  and start_due_at <= clock_timestamp()
returning start_tries, extract(epoch from start_due_at - clock_timestamp())::float8 as seconds
