-- Thaw's status tables: schema migration_status, in every target database, beside the rows.
--
-- The file is idempotent: apply it as often as you like, with `planner init`, or by hand with
--   psql -v ON_ERROR_STOP=1 -f schema.sql DATABASE
-- It consists of numbered migrations. Each leaves a row in schema_version; both binaries refuse a database whose
-- newest number they do not know. A migration is never edited after a release: what changes later is a new number
-- at the end, written so that it may run again.
--
-- States are text with CHECKs, so that people and autoscalers can filter by them. docs/state-machine.md shows which
-- statement performs which transition. Times are the database's; no two machines' clocks are ever compared.

begin;
set local client_min_messages = warning;

-- One migrator at a time; the others wait here and then find nothing to do. The block also refuses a newer schema and
-- sets a foreign one of the same name aside.
do $$
declare
  known constant int := 1;
  found_version int;
  legacy text;
  suffix int := 1;
begin
  perform pg_advisory_xact_lock(hashtextextended('thaw/schema', 0));

  if to_regclass('migration_status.schema_version') is not null then
    execute 'select max(version) from migration_status.schema_version' into found_version;
    if found_version > known then
      raise exception 'schema migration_status has version %, this file knows up to %', found_version, known
        using errcode = 'object_not_in_prerequisite_state';
    end if;
  elsif to_regclass('migration_status.migration_runs') is not null
     or to_regclass('migration_status.migration_table_status') is not null
     or to_regclass('migration_status.migration_chunk_status') is not null then
    -- The Python script that came before has the same schema, table and view names, but other columns and CHECKs.
    -- Everything of it stays, under another schema name; a rename takes its constraints and views along.
    legacy := 'migration_status_legacy_' || to_char(now(), 'YYYYMMDD');
    while to_regnamespace(legacy) is not null loop
      suffix := suffix + 1;
      legacy := 'migration_status_legacy_' || to_char(now(), 'YYYYMMDD') || '_' || suffix;
    end loop;
    execute format('alter schema migration_status rename to %I', legacy);
    perform set_config('thaw.legacy_schema', legacy, true);
  end if;

  -- Not `create schema if not exists`: that asks for CREATE on the database even where the schema is there.
  if to_regnamespace('migration_status') is null then
    create schema migration_status;
    comment on schema migration_status is 'Thaw: what is being moved from Snowflake into this database, and how far it is';
  end if;
end
$$;

-- migration 1: the first release ------------------------------------------------------------------------------------

create table if not exists migration_status.schema_version (
  version    int         primary key,
  applied_at timestamptz not null default clock_timestamp()
);
comment on table migration_status.schema_version is 'The migrations of schema.sql that this database has; programs refuse a number they do not know';

-- The advisory key of a chunk. A load transaction holds it, so a frozen owner can neither block nor race its successor.
create or replace function migration_status.chunk_key(table_id bigint, chunk_no int) returns bigint
language sql immutable parallel safe
return hashtextextended('thaw/chunk/' || table_id || '/' || chunk_no, 0);
comment on function migration_status.chunk_key is 'The advisory lock key that the load transaction of a chunk holds';

create table if not exists migration_status.migration_runs (
  run_id              uuid        primary key,
  status              text        not null default 'running'
                      constraint run_status check (status in ('running','completed','partial','failed','cancelled','superseded')),
  config_hash         text        not null,
  planner_id          text        not null,
  planner_fence       int         not null default 1 constraint run_planner_fence check (planner_fence >= 1),
  planner_lease_until timestamptz,
  settings            jsonb       not null,
  created_by          text        not null,
  started_at          timestamptz not null default clock_timestamp(),
  planned_at          timestamptz,
  last_activity_at    timestamptz not null default clock_timestamp(),
  finished_at         timestamptz,
  error_class         text,
  error_text          text,
  constraint run_finished check ((status = 'running') = (finished_at is null)),
  -- Nobody but a planner can plan: an unplanned run always shows until when its planner was alive.
  constraint run_planning check (status <> 'running' or planned_at is not null or planner_lease_until is not null),
  constraint run_settings check ((
    (settings ->> 'lease_ms')::bigint > 0 and (settings ->> 'heartbeat_ms')::bigint > 0
    and (settings ->> 'redispatch_ms')::bigint > 0 and (settings ->> 'first_hint_ms')::bigint > 0) is true)
) with (fillfactor = 50);
comment on table  migration_status.migration_runs is 'One row for each run of the planner that touches this database';
comment on column migration_status.migration_runs.status is 'running; completed, partial, failed: by its tables; cancelled: by a person; superseded: by a later run';
comment on column migration_status.migration_runs.config_hash is 'Of what the run was asked to do';
comment on column migration_status.migration_runs.planner_id is 'The planner process that owns the run';
comment on column migration_status.migration_runs.planner_fence is 'One more for every planner that takes the run over; a planner writes only under its own number';
comment on column migration_status.migration_runs.planner_lease_until is 'The planner was alive until then; null: it has left, the workers go on alone';
comment on column migration_status.migration_runs.settings is 'Lease, heartbeat, redispatch and first hint in milliseconds, so that the whole fleet agrees';
comment on column migration_status.migration_runs.created_by is 'Database role and program that started the run';
comment on column migration_status.migration_runs.planned_at is 'Every table has its plan (or has failed); the run cannot end before';
comment on column migration_status.migration_runs.last_activity_at is 'The last sign of life on the run row; v_active_migrations adds that of its chunks';
create index if not exists migration_runs_incomplete on migration_status.migration_runs (started_at desc)
  where status in ('running','partial','failed');

create table if not exists migration_status.migration_table_status (
  table_id              bigint      generated always as identity primary key,
  run_id                uuid        not null references migration_status.migration_runs on delete cascade,
  entry                 text        not null,
  position              int         not null,
  source_name           text        not null,
  source_database       text        not null,
  source_schema         text        not null,
  source_table          text        not null,
  target_schema         text        not null,
  target_table          text        not null,
  status                text        not null default 'planning'
                        constraint table_status check (status in ('planning','planned','loading','finalizing','completed','partial','failed','cancelled','superseded')),
  holds_target          boolean     not null default false,
  config_hash           text        not null,
  config_keys           jsonb       not null default '{}',
  plan                  jsonb,
  plan_version          int         not null default 0,
  execution             int         not null default 1 constraint table_execution check (execution >= 1),
  decisions             jsonb       not null default '[]',
  snapshot              text,
  watermark_column      text,
  watermark_type        text,
  watermark_source      text,
  watermark_low         text,
  watermark_high        text,
  watermark_safe        text,
  leaves_gap            boolean     not null default false,
  chunk_count           int,
  expected_rows         bigint,
  max_attempts          smallint    not null default 3 constraint table_max_attempts check (max_attempts >= 1),
  parallel_cap          int         constraint table_parallel_cap check (parallel_cap >= 1),
  planned_at            timestamptz,
  start_tries           smallint    not null default 0 constraint table_start_tries check (start_tries >= 0),
  start_due_at          timestamptz not null default '-infinity',
  target_was_empty      boolean,
  deletes_before        bigint,
  started_at            timestamptz,
  truncated_at          timestamptz,
  finished_at           timestamptz,
  saved_indexes         jsonb,
  pruned_at             timestamptz,
  finalize_fence        int         not null default 0,
  finalize_worker       text,
  finalize_lease_until  timestamptz,
  finalize_tries        smallint    not null default 0 constraint table_finalize_tries check (finalize_tries >= 0),
  fetched_rows          bigint,
  inserted_rows         bigint,
  updated_rows          bigint,
  kept_rows             bigint,
  deduplicated_rows     bigint,
  quarantined_rows      bigint,
  bytes                 bigint,
  nulled_values         bigint,
  ambiguous_rows        bigint,
  tied_rows             bigint,
  null_watermark_rows   bigint,
  watermark_lost_rows   bigint,
  error_class           text,
  error_text            text,
  constraint table_gap check (leaves_gap or watermark_safe is null),
  constraint table_pruned check (pruned_at is null or finished_at is not null),
  constraint table_plan check (status not in ('planned','loading','finalizing','completed','partial')
                               or (plan is not null and planned_at is not null and chunk_count is not null)),
  constraint table_started check (status not in ('loading','finalizing','completed','partial') or started_at is not null),
  constraint table_finalizing check ((status = 'finalizing') = (finalize_lease_until is not null)),
  constraint table_finished check ((status in ('completed','partial','failed','cancelled','superseded')) = (finished_at is not null)),
  constraint table_restored check (status <> 'completed' or saved_indexes is null),
  constraint table_holds check (not holds_target or status in ('planning','planned','loading','finalizing')),
  -- Rows reach a target only under its one holder.
  constraint table_touches check (status not in ('loading','finalizing') or holds_target),
  constraint table_counted check (status <> 'completed' or (
    num_nulls(fetched_rows, inserted_rows, updated_rows, kept_rows, deduplicated_rows, quarantined_rows, bytes) = 0
    and fetched_rows = inserted_rows + updated_rows + kept_rows + deduplicated_rows + quarantined_rows)),
  constraint table_reason check (status <> 'failed' or error_class is not null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 100);
comment on table  migration_status.migration_table_status is 'One row for each table of a run: what was decided about it, and how far it is';
comment on column migration_status.migration_table_status.entry is 'Names (source, filter, target) over all runs: the bounds of an entry are looked up by it';
comment on column migration_status.migration_table_status.position is 'Order within the run; entries that share a target load in it';
comment on column migration_status.migration_table_status.holds_target is 'This row owns its target table; at most one row of all runs does';
comment on column migration_status.migration_table_status.config_hash is 'Of the part of the configuration that changes the plan';
comment on column migration_status.migration_table_status.config_keys is 'A digest of each key of that part, so that a resume can name what has changed; never a value';
comment on column migration_status.migration_table_status.plan is 'Decided once by the planner; workers cache it under (table_id, plan_version)';
comment on column migration_status.migration_table_status.execution is 'One more for every fresh snapshot or statement; chunks of two are never mixed';
comment on column migration_status.migration_table_status.decisions is 'What was decided and why, in order: subject, choice, reason';
comment on column migration_status.migration_table_status.snapshot is 'The time all chunks read the source at; null where it has no time travel';
comment on column migration_status.migration_table_status.watermark_low is 'Rows from this value on are read, as text with every digit; null: from the beginning';
comment on column migration_status.migration_table_status.watermark_high is 'The greatest value at the source at the snapshot, not above its time, as text with every digit; null: unknown';
comment on column migration_status.migration_table_status.watermark_source is 'The source column; watermark_column and watermark_type are the target''s';
comment on column migration_status.migration_table_status.watermark_safe is 'Where the next bound stays at most, of a table that leaves a gap; null there: no bound';
comment on column migration_status.migration_table_status.leaves_gap is 'It read from above its safe bound (--since), or its chunks may disagree: for later bounds it counts as not completed';
comment on column migration_status.migration_table_status.chunk_count is 'Chunks of the current execution';
comment on column migration_status.migration_table_status.expected_rows is 'Rows the source said the current execution has';
comment on column migration_status.migration_table_status.parallel_cap is 'At most so many chunks of the table are hinted at a time; null: no cap';
comment on column migration_status.migration_table_status.start_tries is 'Starts that a lock on the target was in the way of, or that were ended';
comment on column migration_status.migration_table_status.start_due_at is 'Nobody tries to start the table before';
comment on column migration_status.migration_table_status.started_at is 'The start transaction has run: the target may have been changed';
comment on column migration_status.migration_table_status.truncated_at is 'The target was emptied for the current execution, never twice';
comment on column migration_status.migration_table_status.saved_indexes is 'Definitions of dropped indexes; null: none dropped, or all are back';
comment on column migration_status.migration_table_status.pruned_at is 'Ranges and quarantined rows were erased; the row is kept for the bounds of later runs and cannot be revived';
comment on column migration_status.migration_table_status.target_was_empty is 'What the start found, behind its truncate or delete; null: it could not look, or not soon enough';
comment on column migration_status.migration_table_status.deletes_before is 'Rows deleted from the target before the start, as the statistics of the server count them';
comment on column migration_status.migration_table_status.finalize_tries is 'Times that a lock or a passing fault was in the way of the finalizer';
comment on column migration_status.migration_table_status.finalize_fence is 'One more for every finalizer; a finalizer writes only under its own number';
comment on column migration_status.migration_table_status.fetched_rows is 'Sums over the completed chunks of the last execution, filled by the finalizer';
comment on column migration_status.migration_table_status.error_text is 'SQLSTATE, constraint, column and row position; never a value';
-- The rule of one owner. A session lock is no substitute: ownership outlives the planner.
create unique index if not exists holds_target on migration_status.migration_table_status (target_schema, target_table)
  where holds_target;
-- An entry is unfinished once in a run. A resume adds a fresh row for one that must be planned anew; the newest counts.
create unique index if not exists table_once on migration_status.migration_table_status (run_id, entry)
  where status not in ('completed','superseded');
create index if not exists migration_table_run on migration_status.migration_table_status (run_id, position);
create index if not exists migration_table_open on migration_status.migration_table_status (status, table_id)
  where status in ('planning','planned','loading','finalizing');
create index if not exists migration_table_entry on migration_status.migration_table_status (entry, table_id);
create index if not exists migration_table_target on migration_status.migration_table_status (target_schema, target_table, table_id);

create table if not exists migration_status.migration_chunk_status (
  table_id          bigint      not null references migration_status.migration_table_status on delete cascade,
  chunk_no          int         not null constraint chunk_number check (chunk_no >= 0),
  status            text        not null default 'pending'
                    constraint chunk_status check (status in ('pending','in_progress','completed','failed','cancelled','superseded')),
  execution         int         not null constraint chunk_execution check (execution >= 1),
  strategy          text        not null,
  range             jsonb       not null,
  expected_rows     bigint,
  counted_exactly   boolean     not null default false,
  fence             int         not null default 0 constraint chunk_fence check (fence >= 0),
  failures          smallint    not null default 0 constraint chunk_failures check (failures >= 0),
  due_at            timestamptz not null default '-infinity',
  redispatch_at     timestamptz,
  publish_count     smallint    not null default 0 constraint chunk_publish_count check (publish_count >= 0),
  worker_id         text,
  claimed_at        timestamptz,
  heartbeat_at      timestamptz,
  lease_until       timestamptz,
  finished_at       timestamptz,
  fetched_rows      bigint,
  inserted_rows     bigint,
  updated_rows      bigint,
  kept_rows         bigint,
  deduplicated_rows bigint,
  quarantined_rows  bigint,
  bytes             bigint,
  nulled_values     bigint      not null default 0 constraint chunk_nulled check (nulled_values >= 0),
  ambiguous_rows    bigint      not null default 0 constraint chunk_ambiguous check (ambiguous_rows >= 0),
  tied_rows         bigint      not null default 0 constraint chunk_tied check (tied_rows >= 0),
  null_watermark_rows bigint    not null default 0 constraint chunk_null_watermark check (null_watermark_rows >= 0),
  watermark_lost_rows bigint    not null default 0 constraint chunk_watermark_lost check (watermark_lost_rows >= 0),
  fetch_ms          int,
  decode_ms         int,
  load_ms           int,
  error_class       text,
  error_text        text,
  primary key (table_id, chunk_no),
  constraint chunk_leased check ((status = 'in_progress') = (lease_until is not null)),
  constraint chunk_claimed check (status <> 'in_progress' or (worker_id is not null and claimed_at is not null and fence > 0)),
  constraint chunk_finished check ((status in ('completed','failed','cancelled','superseded')) = (finished_at is not null)),
  constraint chunk_awake check ((status in ('pending','in_progress')) = (redispatch_at is not null)),
  constraint chunk_counted check (status <> 'completed' or (
    fence > 0
    and num_nulls(fetched_rows, inserted_rows, updated_rows, kept_rows, deduplicated_rows, quarantined_rows, bytes) = 0
    and least(fetched_rows, inserted_rows, updated_rows, kept_rows, deduplicated_rows, quarantined_rows, bytes) >= 0
    and fetched_rows = inserted_rows + updated_rows + kept_rows + deduplicated_rows + quarantined_rows)),
  -- Under a snapshot the plan's count is the number of rows; another number is another set of rows.
  constraint chunk_expected check (
    status <> 'completed' or not counted_exactly or expected_rows is null or fetched_rows = expected_rows),
  constraint chunk_reason check (status <> 'failed' or error_class is not null)
) with (
  -- Every claim, heartbeat and completion is an update of a small row: keep room for it on the page, and vacuum early.
  fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
  autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
comment on table  migration_status.migration_chunk_status is 'One row for each chunk: the unit that one worker loads in one transaction together with its completed status';
comment on column migration_status.migration_chunk_status.chunk_no is 'From 0; a later execution of the table goes on counting';
comment on column migration_status.migration_chunk_status.range is 'Which rows: the user''s data, never logged';
comment on column migration_status.migration_chunk_status.expected_rows is 'Rows the source counted at planning; null: not counted';
comment on column migration_status.migration_chunk_status.counted_exactly is 'Counted at the snapshot that the rows are read at: fetched must be expected';
comment on column migration_status.migration_chunk_status.fence is 'One more at every claim and every revocation, never lowered: who writes under an older number writes nothing';
comment on column migration_status.migration_chunk_status.failures is 'The budget: attempts that count, against max_attempts of the table';
comment on column migration_status.migration_chunk_status.due_at is 'Not to be claimed before';
comment on column migration_status.migration_chunk_status.redispatch_at is 'When somebody must look at the row again: first hint, retry, end of the lease, repeated hint; null when final';
comment on column migration_status.migration_chunk_status.publish_count is 'Hints repeated by redispatch since the last claim; they back off by it';
comment on column migration_status.migration_chunk_status.worker_id is 'Who has it, or had it last';
comment on column migration_status.migration_chunk_status.fetched_rows is 'Rows the source sent = inserted + updated + kept + deduplicated + quarantined';
comment on column migration_status.migration_chunk_status.kept_rows is 'There already: identical, newer at the target, or refused by insert_only';
comment on column migration_status.migration_chunk_status.deduplicated_rows is 'Lost to another row of the chunk with the same key';
comment on column migration_status.migration_chunk_status.bytes is 'Of COPY data';
comment on column migration_status.migration_chunk_status.nulled_values is 'Bad values that became null (on_bad_row = null)';
comment on column migration_status.migration_chunk_status.ambiguous_rows is 'Of the deduplicated: the key and watermark of another row, with other values; a defect of the source';
comment on column migration_status.migration_chunk_status.tied_rows is 'Of the updated: the target had key and watermark already, with other values';
comment on column migration_status.migration_chunk_status.null_watermark_rows is 'Rows sent without a watermark; every run reads them';
comment on column migration_status.migration_chunk_status.watermark_lost_rows is 'Of the kept: without a watermark, which the row at the target has';
comment on column migration_status.migration_chunk_status.error_text is 'SQLSTATE, constraint, column and row position; never a value';
-- Both hot questions touch open rows only: which chunks of this table are open, and who must be looked at again.
create index if not exists migration_chunk_open on migration_status.migration_chunk_status (table_id, chunk_no)
  where status in ('pending','in_progress');
create index if not exists migration_chunk_redispatch on migration_status.migration_chunk_status (redispatch_at)
  where status in ('pending','in_progress') and fence > 0;
create index if not exists migration_chunk_leased on migration_status.migration_chunk_status (lease_until)
  where status = 'in_progress';
-- Whose load may still be open although its chunk was taken away?
create index if not exists migration_chunk_revoked on migration_status.migration_chunk_status (finished_at)
  where status in ('cancelled','superseded') and claimed_at is not null;
-- Was any chunk of the table claimed lately?
create index if not exists migration_chunk_claimed on migration_status.migration_chunk_status (table_id, claimed_at)
  where claimed_at is not null;

create table if not exists migration_status.migration_executions (
  table_id         bigint      not null references migration_status.migration_table_status on delete cascade,
  execution        int         not null constraint execution_number check (execution >= 1),
  status           text        not null default 'to_submit'
                   constraint execution_status check (status in ('to_submit','running','finished','ended')),
  request_id       uuid        not null,
  statement_digest text        not null,
  submits          int         not null default 0 constraint execution_submits check (submits >= 0),
  handle           text,
  failures         int         not null default 0 constraint execution_failures check (failures >= 0),
  look_at          timestamptz not null default '-infinity',
  poller           text,
  poll_fence       int         not null default 0,
  lease_until      timestamptz,
  created_at       timestamptz not null default clock_timestamp(),
  submitted_at     timestamptz,
  seen_running_at  timestamptz,
  finished_at      timestamptz,
  expires_at       timestamptz,
  row_count        bigint,
  partition_count  int,
  bytes            bigint,
  error_class      text,
  error_text       text,
  primary key (table_id, execution),
  constraint execution_handle check (status not in ('running','finished') or (handle is not null and submits > 0)),
  constraint execution_finished check (status <> 'finished' or num_nulls(finished_at, expires_at, row_count, partition_count, bytes) = 0),
  constraint execution_ended check (status <> 'ended' or error_class is not null)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 100);
comment on table  migration_status.migration_executions is 'The one statement of each execution of a table whose chunks are partitions of its result: written down before it is sent';
comment on column migration_status.migration_executions.status is 'to_submit: no handle is known; running: somebody looks now and then; finished: it is cut into chunks; ended: withdrawn, lost or failed';
comment on column migration_status.migration_executions.request_id is 'Under which the statement is sent; sent again under the same one it runs once';
comment on column migration_status.migration_executions.statement_digest is 'Of the SQL that the plan gives: under one request id never another statement is sent';
comment on column migration_status.migration_executions.submits is 'Times that somebody began to send it';
comment on column migration_status.migration_executions.handle is 'Names the statement and its kept result; it is the query id';
comment on column migration_status.migration_executions.failures is 'Looks in vain one after the other';
comment on column migration_status.migration_executions.look_at is 'Nobody looks before';
comment on column migration_status.migration_executions.poll_fence is 'One more for everybody who takes the statement on; who acts under an older number writes nothing';
comment on column migration_status.migration_executions.lease_until is 'Somebody has it until then; a dead one is replaced';
comment on column migration_status.migration_executions.seen_running_at is 'When the server last said that it runs: its end is no earlier';
comment on column migration_status.migration_executions.expires_at is 'The source keeps the result for 24 hours from the end of the statement';
comment on column migration_status.migration_executions.bytes is 'Of the result as JSON, as declared';
create index if not exists migration_executions_open on migration_status.migration_executions (look_at)
  where status in ('to_submit','running');

-- The foreign keys between the tables of a run: a child starts when its parents are finalized. Tables that refer to each
-- other, on whatever way round, are a cycle; they would wait for each other for ever, so they do not wait.
create or replace function migration_status.references_within(run uuid)
returns table (child bigint, parent bigint, constraint_name text, in_cycle boolean)
language sql stable
as $$
  with recursive target as materialized (
    select table_id, to_regclass(format('%I.%I', target_schema, target_table)) as relation
    from migration_status.migration_table_status
    where run_id = run
  ),
  edge as materialized (
    select c.table_id as child, p.table_id as parent, min(fk.conname::text) as constraint_name
    from target c
    join pg_catalog.pg_constraint fk on fk.contype = 'f' and fk.conrelid = c.relation
    join target p on p.relation = fk.confrelid
    group by c.table_id, p.table_id
  ),
  reach (child, parent) as (
    select edge.child, edge.parent from edge
    union
    select reach.child, edge.parent from reach join edge on edge.child = reach.parent
  )
  select edge.child, edge.parent, edge.constraint_name,
         exists (select from reach back where back.child = edge.parent and back.parent = edge.child)
  from edge
$$;
comment on function migration_status.references_within is 'The foreign keys between the tables of a run: which starts after which';

create table if not exists migration_status.quarantined_rows (
  table_id    bigint      not null,
  chunk_no    int         not null,
  ordinal     bigint      not null constraint quarantined_ordinal check (ordinal >= 1),
  column_name text        not null,
  reason      text        not null,
  statement   text,
  key_data    jsonb,
  row_data    jsonb,
  set_aside_at timestamptz not null default clock_timestamp(),
  primary key (table_id, chunk_no, ordinal),
  foreign key (table_id, chunk_no) references migration_status.migration_chunk_status on delete cascade
);
comment on table  migration_status.quarantined_rows is 'Rows the target could not hold, set aside in the transaction of their chunk (on_bad_row = quarantine)';
comment on column migration_status.quarantined_rows.ordinal is 'Position of the row in its chunk, from 1';
comment on column migration_status.quarantined_rows.reason is 'Why, without the value';
comment on column migration_status.quarantined_rows.statement is 'The query id of the source''s statement that gave the row';
comment on column migration_status.quarantined_rows.key_data is 'Its keys by the source''s names, where the configuration says quarantine_values: the user''s data, erased by prune';
comment on column migration_status.quarantined_rows.row_data is 'The row as the source sent it, under the same condition and up to 1 MB';

create table if not exists migration_status.legacy_unfinished (
  target_schema text        not null,
  target_table  text        not null,
  source_table  text        not null,
  legacy_schema text        not null,
  legacy_run_id text        not null,
  legacy_status text        not null,
  recorded_at   timestamptz not null default clock_timestamp(),
  primary key (target_schema, target_table, source_table)
);
comment on table migration_status.legacy_unfinished is 'Targets whose last run of the script that came before did not complete: they start without a watermark bound until a full load has completed';

-- What the script left unfinished, read once, in the transaction that set its schema aside. A table counts as completed
-- only when its chunks do; a skipped table says nothing, so the run before it counts.
do $$
declare
  legacy constant text := nullif(current_setting('thaw.legacy_schema', true), '');
  has_chunks boolean;
begin
  if legacy is null or to_regclass(format('%I.migration_table_status', legacy)) is null then
    return;
  end if;
  has_chunks := to_regclass(format('%I.migration_chunk_status', legacy)) is not null;
  execute format($q$
    insert into migration_status.legacy_unfinished
      (target_schema, target_table, source_table, legacy_schema, legacy_run_id, legacy_status)
    select target_schema, target_table, source_table, %1$L, run_id, status
    from (
      select distinct on (t.target_schema, t.target_table, t.source_table)
             t.target_schema::text, t.target_table::text, t.source_table::text, t.run_id::text, t.status::text,
             %2$s as open_chunks
      from %1$I.migration_table_status t
      where t.status::text <> 'skipped'
      order by t.target_schema, t.target_table, t.source_table, t.started_at desc nulls last, t.run_id::text desc
    ) last
    where status <> 'completed' or open_chunks
    on conflict do nothing
  $q$, legacy, case when has_chunks then format($c$
      exists (select from %I.migration_chunk_status c
              where c.run_id::text = t.run_id::text and c.source_database::text = t.source_database::text
                and c.source_schema::text = t.source_schema::text and c.source_table::text = t.source_table::text
                and c.status::text <> 'completed')
    $c$, legacy) else 'false' end);
end
$$;

-- Ends the session that holds a chunk's advisory key. Between sessions of one role nobody needs it; where planner and
-- workers log in as roles of their own, it ends what its owner may end: make the owner of this schema a member of both.
create or replace function migration_status.end_holder_of_chunk(holder int, chunk_table bigint, number int, wait_ms bigint)
returns boolean
language plpgsql security definer set search_path = pg_catalog
as $$
begin
  if not exists (
    select from pg_locks l
    where l.pid = holder and l.locktype = 'advisory' and l.granted and l.objsubid = 1
      and l.database = (select oid from pg_database where datname = current_database())
      and ((l.classid::bigint << 32) | l.objid::bigint) = migration_status.chunk_key(chunk_table, number)
  ) then
    return false;
  end if;
  return pg_terminate_backend(holder, wait_ms);
exception
  when insufficient_privilege then return false;
end
$$;
comment on function migration_status.end_holder_of_chunk is 'Ends the session that holds the key of a chunk; false: it holds it no more, did not end in time, or is not the owner''s to end';

create or replace view migration_status.v_table_progress as
select t.run_id, t.table_id, t.position, t.source_name, t.source_database, t.source_schema, t.source_table,
       t.target_schema, t.target_table, t.status, t.execution, t.chunk_count,
       coalesce(c.pending, 0)     as pending,
       coalesce(c.in_progress, 0) as in_progress,
       coalesce(c.completed, 0)   as completed,
       coalesce(c.failed, 0)      as failed,
       coalesce(c.cancelled, 0)   as cancelled,
       coalesce(c.expired, 0)     as expired,
       t.expected_rows,
       coalesce(c.fetched_rows, 0)      as fetched_rows,
       coalesce(c.inserted_rows, 0)     as inserted_rows,
       coalesce(c.updated_rows, 0)      as updated_rows,
       coalesce(c.kept_rows, 0)         as kept_rows,
       coalesce(c.deduplicated_rows, 0) as deduplicated_rows,
       coalesce(c.quarantined_rows, 0)  as quarantined_rows,
       coalesce(c.bytes, 0)             as bytes,
       coalesce(c.nulled_values, 0)     as nulled_values,
       coalesce(c.ambiguous_rows, 0)    as ambiguous_rows,
       coalesce(c.tied_rows, 0)           as tied_rows,
       coalesce(c.null_watermark_rows, 0) as null_watermark_rows,
       coalesce(c.watermark_lost_rows, 0) as watermark_lost_rows,
       t.planned_at, t.started_at, t.finished_at, c.last_activity_at, t.error_class, t.error_text
from migration_status.migration_table_status t
left join lateral (
  select count(*) filter (where status = 'pending')     as pending,
         count(*) filter (where status = 'in_progress') as in_progress,
         count(*) filter (where status = 'completed')   as completed,
         count(*) filter (where status = 'failed')      as failed,
         count(*) filter (where status = 'cancelled')   as cancelled,
         count(*) filter (where status = 'in_progress' and lease_until < now()) as expired,
         (sum(fetched_rows) filter (where status = 'completed'))::bigint      as fetched_rows,
         (sum(inserted_rows) filter (where status = 'completed'))::bigint     as inserted_rows,
         (sum(updated_rows) filter (where status = 'completed'))::bigint      as updated_rows,
         (sum(kept_rows) filter (where status = 'completed'))::bigint         as kept_rows,
         (sum(deduplicated_rows) filter (where status = 'completed'))::bigint as deduplicated_rows,
         (sum(quarantined_rows) filter (where status = 'completed'))::bigint  as quarantined_rows,
         (sum(bytes) filter (where status = 'completed'))::bigint             as bytes,
         (sum(nulled_values) filter (where status = 'completed'))::bigint     as nulled_values,
         (sum(ambiguous_rows) filter (where status = 'completed'))::bigint    as ambiguous_rows,
         (sum(tied_rows) filter (where status = 'completed'))::bigint           as tied_rows,
         (sum(null_watermark_rows) filter (where status = 'completed'))::bigint as null_watermark_rows,
         (sum(watermark_lost_rows) filter (where status = 'completed'))::bigint as watermark_lost_rows,
         max(greatest(claimed_at, heartbeat_at, finished_at))                 as last_activity_at
  from migration_status.migration_chunk_status
  where table_id = t.table_id and execution = t.execution
) c on true;
comment on view migration_status.v_table_progress is 'Each table of each run with its chunks by state and its rows so far (current execution)';

create or replace view migration_status.v_active_migrations as
select r.run_id, r.status, r.started_at,
       count(p.table_id) as tables,
       count(*) filter (where p.status in ('completed','partial','failed','cancelled','superseded')) as tables_done,
       coalesce(sum(p.chunk_count), 0)::bigint  as chunks,
       coalesce(sum(p.completed), 0)::bigint    as chunks_completed,
       coalesce(sum(p.failed), 0)::bigint       as chunks_failed,
       coalesce(sum(p.pending), 0)::bigint      as chunks_pending,
       coalesce(sum(p.in_progress), 0)::bigint  as chunks_in_progress,
       coalesce(sum(p.fetched_rows), 0)::bigint as fetched_rows,
       greatest(r.last_activity_at, max(p.last_activity_at)) as last_activity_at
from migration_status.migration_runs r
left join migration_status.v_table_progress p using (run_id)
where r.status = 'running'
group by r.run_id;
comment on view migration_status.v_active_migrations is 'Each running run with the sums over its tables';

insert into migration_status.schema_version (version) values (1) on conflict do nothing;

commit;
