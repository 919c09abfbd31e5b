-- What Thaw needs in a Snowflake account, with the least rights; as ACCOUNTADMIN (or SECURITYADMIN and SYSADMIN where
-- each statement says so). Replace what stands in <...>. Idempotent, but for the key and the policy's addresses.
--
--   snow sql -f deploy/snowflake/setup.sql        (or a worksheet)

-- Who reads. One user for the whole fleet: the result of a statement can be read by the user who submitted it alone.
use role useradmin;
create role if not exists thaw_loader comment = 'Thaw: reads the tables that are moved to PostgreSQL';
create user if not exists thaw_loader
  type = service                      -- no password, no sign-in to the web interface
  default_role = thaw_loader
  default_warehouse = thaw_wh
  comment = 'Thaw: planner and workers';
grant role thaw_loader to user thaw_loader;

-- The key pair: openssl genrsa 2048 | openssl pkcs8 -topk8 -inform PEM -out rsa_key.p8 -nocrypt
--               openssl rsa -in rsa_key.p8 -pubout -out rsa_key.pub
-- The private key is what the configuration's snowflake.rsa_key names. To rotate: set rsa_public_key_2, change the
-- configuration, restart planner and workers, then: alter user thaw_loader unset rsa_public_key.
use role securityadmin;
alter user thaw_loader set rsa_public_key = '<the lines of rsa_key.pub between BEGIN and END, joined>';

-- From where: the addresses that planner and workers come from.
use role accountadmin;
create network rule if not exists <database>.<schema>.thaw_fleet
  type = ipv4 mode = ingress value_list = ('<203.0.113.10/32>');
create network policy if not exists thaw_loader allowed_network_rule_list = ('<database>.<schema>.thaw_fleet');
alter user thaw_loader set network_policy = thaw_loader;

-- With what: a warehouse of its own, so that its bill and its queue are Thaw's. Each table is one scan or one SELECT a
-- chunk; XSMALL is right for most. It suspends soon after a run, and resumes by itself.
create warehouse if not exists thaw_wh
  warehouse_size = xsmall
  auto_suspend = 60 auto_resume = true initially_suspended = true
  statement_timeout_in_seconds = 14400
  statement_queued_timeout_in_seconds = 600
  comment = 'Thaw';
grant usage, operate on warehouse thaw_wh to role thaw_loader;

-- How much: told at three quarters, stopped at the whole. Workers then halt (not ready), and go on when it is lifted.
create resource monitor if not exists thaw_wh with
  credit_quota = 100 frequency = monthly start_timestamp = immediately
  triggers on 75 percent do notify on 100 percent do suspend;
alter warehouse thaw_wh set resource_monitor = thaw_wh;

-- What: the schemas and tables of the configuration, to read, and nothing else. REFERENCES is not needed.
grant usage on database <database> to role thaw_loader;
grant usage on schema <database>.<schema> to role thaw_loader;
grant select on table <database>.<schema>.<table> to role thaw_loader;
-- Or all of a schema, also what dbt makes anew every night:
--   grant select on all tables in schema <database>.<schema> to role thaw_loader;
--   grant select on future tables in schema <database>.<schema> to role thaw_loader;
--   the same for views and dynamic tables, where the configuration names some

-- History: Thaw reads all chunks of a table at one moment (AT). One day is the default and enough; 0 means that chunks
-- may disagree where rows change under a run, which `planner check` says.
--   alter table <database>.<schema>.<table> set data_retention_time_in_days = 1;

-- Then, as the fleet sees it: planner check --config config.json
