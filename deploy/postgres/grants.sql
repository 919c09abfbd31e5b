-- The roles of Thaw in one target database, with the least they need. Repeat it for every target database, and after
-- every upgrade (it applies schema.sql, too). Idempotent. As a superuser, or as the database's owner with CREATEROLE:
--
--   psql -d reporting -v ON_ERROR_STOP=1 -v tables='core.customer, core.orders' -f deploy/postgres/grants.sql
--
-- Variables (-v NAME=VALUE):
--   tables    the target tables, with their schemas, separated by commas; required
--   rights    on them [select, insert, update, delete, truncate]. DELETE is for tables without keys, whose tail is
--             replaced; TRUNCATE for truncate_onstart; UPDATE for tables with keys
--   as_owner  true: Thaw becomes a member of the owners of these tables. Without it nobody can run ANALYZE or use
--             disable_index, and `planner check` says so [false]
-- Environment, read where it is set; else give passwords with \password or log in by other means:
--   THAW_PLANNER_PASSWORD, THAW_WORKER_PASSWORD, THAW_READER_PASSWORD
--
-- The roles:
--   thaw_owner    owns schema migration_status; nobody logs in. Ends frozen sessions of planner and worker
--   thaw_load     what planner and worker have in common: the status tables, the target tables
--   thaw_planner  thaw_load, and begins, cancels and prunes runs
--   thaw_worker   thaw_load
--   thaw_reader   progress, without ranges, bounds, plans and quarantined values, which are data; for dashboards,
--                 autoscalers and `planner status`

\if :{?tables}
\else
    \warn 'grants.sql: name the target tables: -v tables=''schema.table, schema.table'''
    -- An error, so that the exit code tells.
    select 'tables is not set'::int;
\endif
\if :{?rights}
\else
    \set rights 'select, insert, update, delete, truncate'
\endif
\if :{?as_owner}
\else
    \set as_owner false
\endif
\getenv planner_password THAW_PLANNER_PASSWORD
\getenv worker_password THAW_WORKER_PASSWORD
\getenv reader_password THAW_READER_PASSWORD

set client_min_messages = warning;

-- Roles belong to the whole server; the rest to this database.
do $$
declare
  wanted text;
begin
  foreach wanted in array array['thaw_owner', 'thaw_load', 'thaw_planner', 'thaw_worker', 'thaw_reader'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      execute format('create role %I %s', wanted,
                     case when wanted in ('thaw_owner', 'thaw_load') then 'nologin' else 'login' end);
    end if;
  end loop;
end
$$;
grant thaw_load to thaw_planner, thaw_worker;
-- migration_status.end_holder_of_chunk runs as its owner: a worker may end the planner's frozen session, and the reverse.
grant thaw_planner, thaw_worker to thaw_owner;
\if :{?planner_password}
    alter role thaw_planner password :'planner_password';
\endif
\if :{?worker_password}
    alter role thaw_worker password :'worker_password';
\endif
\if :{?reader_password}
    alter role thaw_reader password :'reader_password';
\endif

\ir ../../schema.sql

begin;
set local client_min_messages = warning;

-- Whoever applied schema.sql owns it so far. Who is no superuser must be a member of a role to give it something.
select format('grant thaw_owner to %I', current_user)
where not (select rolsuper from pg_roles where rolname = current_user) \gexec
alter schema migration_status owner to thaw_owner;
do $$
declare
  command text;
begin
  for command in
    select format('alter %s %s owner to thaw_owner', case relkind when 'v' then 'view' else 'table' end, oid::regclass)
    from pg_class
    where relnamespace = 'migration_status'::regnamespace and relkind in ('r', 'p', 'v')
    union all
    select format('alter function %s owner to thaw_owner', oid::regprocedure)
    from pg_proc
    where pronamespace = 'migration_status'::regnamespace
  loop
    execute command;
  end loop;
end
$$;

-- From nothing: what an earlier version of this file granted is gone.
revoke all on all tables in schema migration_status from thaw_load, thaw_planner, thaw_worker, thaw_reader;
revoke all on all functions in schema migration_status from public;
grant execute on all functions in schema migration_status to thaw_load;
grant usage on schema migration_status to thaw_load, thaw_reader;

grant select on all tables in schema migration_status to thaw_load;
grant update on migration_status.migration_runs, migration_status.migration_table_status,
  migration_status.migration_chunk_status, migration_status.migration_executions to thaw_load;
-- Who finds a statement finished cuts its result into chunks; a fresh execution begins without the quarantined rows of the
-- one before.
grant insert on migration_status.migration_chunk_status, migration_status.migration_executions to thaw_load;
grant insert, delete on migration_status.quarantined_rows to thaw_load;
grant insert, delete on migration_status.migration_runs, migration_status.migration_table_status to thaw_planner;
grant delete on migration_status.migration_chunk_status, migration_status.migration_executions to thaw_planner;
-- prune erases the values of quarantined rows.
grant update on migration_status.quarantined_rows to thaw_planner;

grant select on migration_status.schema_version, migration_status.migration_runs, migration_status.v_table_progress,
  migration_status.v_active_migrations to thaw_reader;
-- Every column but those that hold data or the text of a filter.
do $$
declare
  relation regclass;
  visible text;
begin
  foreach relation in array array['migration_status.migration_table_status'::regclass,
                                  'migration_status.migration_chunk_status'::regclass,
                                  'migration_status.migration_executions'::regclass] loop
    select string_agg(quote_ident(attname), ', ') into visible
    from pg_attribute
    where attrelid = relation and attnum > 0 and not attisdropped
      and attname not in ('plan', 'config_keys', 'watermark_low', 'watermark_high', 'watermark_safe', 'range',
                          'request_id');
    execute format('grant select (%s) on %s to thaw_reader', visible, relation);
  end loop;
end
$$;

-- The target: these tables and no other. COPY into a temporary table is how rows are merged.
select format('grant connect, temporary on database %I to thaw_load', current_database()) \gexec
select format('grant connect on database %I to thaw_reader', current_database()) \gexec
create temporary table thaw_target on commit drop as
select to_regclass(trim(name)) as relation, trim(name) as name
from string_to_table(:'tables', ',') as name;
do $$
declare
  unknown text;
begin
  select string_agg(name, ', ') into unknown from thaw_target where relation is null;
  if unknown is not null then
    raise exception 'there is no table %: create it first, Thaw does not', unknown;
  end if;
end
$$;
select distinct format('grant usage on schema %s to thaw_load', c.relnamespace::regnamespace)
from thaw_target t join pg_class c on c.oid = t.relation \gexec
select format('grant %s on %s to thaw_load', :'rights', relation) from thaw_target \gexec
-- Sequences behind its columns are set behind the greatest loaded value.
select format('grant select, update on sequence %s to thaw_load', d.objid::regclass)
from thaw_target t
join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = t.relation and d.deptype in ('a', 'i')
  and d.classid = 'pg_class'::regclass
join pg_class s on s.oid = d.objid and s.relkind = 'S' \gexec
\if :as_owner
select distinct format('grant %s to thaw_load', c.relowner::regrole)
from thaw_target t join pg_class c on c.oid = t.relation
where not (select rolsuper from pg_roles where oid = c.relowner) \gexec
\endif

-- What Thaw asks for at the start of a session. A pooler that drops these (PgBouncer: ignore_startup_parameters) then
-- leaves the role's own.
select format('alter role %I in database %I set %s = %L', role, current_database(), setting, value)
from unnest(array['thaw_planner', 'thaw_worker']) as role
cross join (values ('tcp_keepalives_idle', '30'), ('tcp_keepalives_interval', '10'), ('tcp_keepalives_count', '3'),
                   ('client_connection_check_interval', '10s'), ('idle_in_transaction_session_timeout', '60s'),
                   ('lock_timeout', '30s'), ('statement_timeout', '6h'),
                   ('default_transaction_isolation', 'read committed'), ('TimeZone', 'UTC'),
                   ('DateStyle', 'ISO, YMD')) as settings (setting, value) \gexec
commit;
