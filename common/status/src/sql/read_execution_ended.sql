-- reads whether a statement has ended: nobody waits for it any more
-- $1 table, $2 execution
select status = 'ended' as is_ended
from migration_status.migration_executions
where table_id = $1 and execution = $2
