-- gives a table that is finalized back for a while, then to whoever comes first; changes no state
-- $1 table, $2 fence, $3 worker
-- Guard: fence and finalizing. The fence goes up, so that a heartbeat that is still on its way does not bring the lease
-- back. Two seconds after the first try in vain, then twice as long each time, a minute at most, jittered: writers queue
-- behind an index build that waits for its lock.
update migration_status.migration_table_status
set finalize_fence = finalize_fence + 1,
    finalize_lease_until = clock_timestamp()
      + least(interval '2 seconds' * (1 << least(finalize_tries, 5)), interval '1 minute') * (0.75 + random() / 2),
    finalize_tries = least(finalize_tries + 1, 30000)
where table_id = $1 and status = 'finalizing' and finalize_fence = $2 and finalize_worker = $3
returning finalize_tries, extract(epoch from finalize_lease_until - clock_timestamp())::float8 as seconds
