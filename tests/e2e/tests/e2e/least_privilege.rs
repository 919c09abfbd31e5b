//! Under the roles of deploy/postgres/grants.sql and the users of deploy/rabbitmq/setup.sh: everything works that must,
//! and nothing else.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::{CUSTOMER, ORDERS};
use thaw_harness::{Finished, Fleet, database};
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::Client;
use url::Url;

const PASSWORD: &str = "not that of a superuser";
const ROLES: [&str; 3] = ["thaw_planner", "thaw_worker", "thaw_reader"];
/// Of the target tables; it cannot log in.
const OWNER: &str = "thaw_test_owner";
/// The roles belong to the whole server: one test at a time changes what they are members of.
static ROLES_OF_THE_SERVER: Mutex<()> = Mutex::const_new(());

fn deploy(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy")).join(file)
}

/// Each rabbitmqctl takes a second: users are made where they are used.
#[derive(Clone, Copy)]
enum Broker {
    Used,
    None,
}

/// A stage whose planner, worker and reader log in as what they are.
struct Roles {
    stage: Stage,
    planner: Fleet,
    worker: Fleet,
    reader: Fleet,
    _alone: MutexGuard<'static, ()>,
}

impl Roles {
    async fn set(mut setting: Setting, broker: Broker, variables: &[&str]) -> Result<Self> {
        let alone = ROLES_OF_THE_SERVER.lock().await;
        setting.target_sql.push("create table private (value text)".to_owned());
        let stage = Stage::set(setting).await?;
        own_targets(&stage.client).await?;
        grant(&stage, variables)?;
        if matches!(broker, Broker::Used) {
            let vhost = stage.vhost.as_ref().context("a virtual host of its own")?;
            let passwords = [("THAW_PLANNER_PASSWORD", PASSWORD), ("THAW_WORKER_PASSWORD", PASSWORD)];
            vhost.control().run_script(&deploy("rabbitmq/setup.sh"), &[vhost.name()], &passwords)?;
        }
        let [planner, worker, reader] = ROLES.map(|role| fleet(&stage, broker, role));
        Ok(Self { planner: planner?, worker: worker?, reader: reader?, stage, _alone: alone })
    }

    async fn planner(&self, arguments: &[&str]) -> Result<Finished> {
        self.planner.planner("planner", arguments)?.run(PATIENCE).await
    }

    async fn expect(&self, code: i32, arguments: &[&str]) -> Result<String> {
        let finished = self.planner(arguments).await?;
        let said = format!("{}{}", finished.stdout, finished.stderr);
        let logs = || self.stage.fleet.logs().unwrap_or_default();
        ensure!(finished.code == code, "{arguments:?} ended with {}: {said}\n{}", finished.code, logs());
        Ok(said)
    }

    async fn login(&self, role: &str) -> Result<Client> {
        database::connect(&login(&self.stage.target.url(), role)?).await
    }
}

/// The URL, for another user.
fn login(url: &str, role: &str) -> Result<String> {
    let mut url = Url::parse(url)?;
    let is_set = url.set_username(role).is_ok() && url.set_password(Some(PASSWORD)).is_ok();
    ensure!(is_set, "{url} has no place for a user");
    Ok(url.to_string())
}

/// As in the field: an application owns its tables.
async fn own_targets(client: &Client) -> Result<()> {
    client
        .batch_execute(&format!(
            "do $$ begin create role {OWNER} nologin; exception when duplicate_object then null; end $$;
             do $$ begin revoke {OWNER} from thaw_load; exception when undefined_object then null; end $$;
             grant create on schema public to {OWNER};
             alter table orders owner to {OWNER}; alter table customer owner to {OWNER}"
        ))
        .await?;
    Ok(())
}

fn grant(stage: &Stage, variables: &[&str]) -> Result<()> {
    let passwords = ["THAW_PLANNER_PASSWORD", "THAW_WORKER_PASSWORD", "THAW_READER_PASSWORD"];
    stage.target.psql(&deploy("postgres/grants.sql"), variables, &passwords.map(|name| (name, PASSWORD)))
}

fn fleet(stage: &Stage, broker: Broker, role: &str) -> Result<Fleet> {
    let folder = stage.folder().join(role);
    std::fs::create_dir(&folder)?;
    let vhost = stage.vhost.as_ref().context("a virtual host of its own")?;
    let config = match broker {
        Broker::Used => stage.builder.clone().amqp(&login(&vhost.url(), role)?),
        Broker::None => stage.builder.clone().set("/rabbitmq", json!(null)),
    };
    let config = config.set("/postgres/user", json!(role)).set("/postgres/password", json!(PASSWORD));
    Fleet::new(&folder, &config)
}

fn setting() -> Setting {
    let mut setting = Setting::of(ORDERS, 3_000, 1_000);
    setting.tables.push((CUSTOMER, 1_500));
    let setting = setting.with("/sources/0/tables/1/truncate_onstart", json!(true));
    setting.with("/sources/0/tables/1/strategy", json!("result_partitions"))
}

#[tokio::test]
async fn a_fleet_of_least_privilege_loads_finalizes_and_prunes() -> Result<()> {
    let mut setting = setting().with("/sources/0/tables/1/disable_index", json!(true));
    setting.target_sql.push("create index by_nation on customer (\"C_NATIONKEY\")".to_owned());
    let roles =
        Roles::set(setting, Broker::Used, &["tables=public.orders, public.customer", "as_owner=true"])
            .await?;
    let check = roles.expect(0, &["check"]).await?;
    ensure!(!check.contains("ANALYZE"), "{check}");
    let mut worker = roles.worker.worker("worker", 2)?.spawn()?;
    let report = roles.expect(0, &["run"]).await?;
    ensure!(!report.contains("not done"), "{report}");
    roles.stage.expect_equal().await?;
    let analyzed =
        "select bool_and(reltuples > 0) from pg_class where relname in ('orders', 'customer', 'by_nation')";
    ensure!(roles.stage.client.query_one(analyzed, &[]).await?.get::<_, bool>(0), "ANALYZE was left out");

    roles.expect(0, &["run", "--full", "--local"]).await?;
    roles.expect(0, &["verify"]).await?;
    expect_role_settings(&roles).await?;
    let run = roles.stage.status().await?.run;
    roles.expect(0, &["run", "--detach", "--full"]).await?;
    let due: i64 = roles.login("thaw_reader").await?.query_one(&autoscaler_query()?, &[]).await?.get(0);
    ensure!(due > 0, "a run has just been published, and the autoscaler sees nothing to do");
    roles.expect(0, &["cancel", &roles.stage.status().await?.run]).await?;
    roles.expect(0, &["prune", "--older-than", "0h"]).await?;
    let kept = roles.stage.status().await?.run;
    ensure!(kept != run, "the run that was cancelled is the newest");
    let status = roles.reader.planner("reader", &["status"])?.run(PATIENCE).await?;
    ensure!(status.code == 0 && status.stdout.contains(&kept), "{}{}", status.stdout, status.stderr);
    ensure!(worker.terminate(PATIENCE).await? == 0, "{}", worker.stderr()?);
    let log = worker.stderr()?;
    ensure!(!log.contains("42501") && !log.contains("ACCESS_REFUSED"), "{log}");
    Ok(())
}

/// What Thaw asks for in the startup packet a role has of itself, for sessions through a pooler that drops it.
async fn expect_role_settings(roles: &Roles) -> Result<()> {
    const OF: &str = "select name || ' = ' || setting from pg_settings where source = $1 order by name";
    let of_role = roles.login("thaw_worker").await?.query(OF, &[&"database user"]).await?;
    let of_role: Vec<String> = of_role.iter().map(|row| row.get(0)).collect();
    let startup = std::fs::read_to_string(deploy("../common/postgres/src/startup.rs"))?;
    let names = startup.lines().filter_map(|line| line.trim().strip_prefix("(\"")?.split_once("\", \""));
    let names: Vec<&str> = names.map(|(name, _)| name).chain(["lock_timeout", "statement_timeout"]).collect();
    ensure!(names.len() > 5, "{names:?}");
    for name in &names {
        ensure!(of_role.iter().any(|set| set.starts_with(&format!("{name} = "))), "{name}: {of_role:?}");
    }
    ensure!(of_role.len() == names.len(), "{of_role:?} and {names:?}");
    Ok(())
}

/// The query of the manifest, as KEDA gets it.
fn autoscaler_query() -> Result<String> {
    let manifest = std::fs::read_to_string(deploy("k8s/keda/scaledobject.yaml"))?;
    let (_, rest) = manifest.split_once("query: >-\n").context("a query")?;
    let lines = rest.lines().take_while(|line| line.starts_with("          "));
    Ok(lines.map(str::trim).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn without_ownership_check_says_what_will_not_be_done() -> Result<()> {
    let roles = Roles::set(setting(), Broker::None, &["tables=public.orders, public.customer"]).await?;
    let check = roles.expect(0, &["check"]).await?;
    for table in ["public.orders", "public.customer"] {
        ensure!(check.contains(&format!("no member of the owner of {table}")), "{check}");
    }
    let report = roles.expect(0, &["run", "--local"]).await?;
    ensure!(report.contains("only the table's owner may analyze it"), "{report}");
    roles.stage.expect_equal().await
}

#[tokio::test]
async fn what_was_not_granted_is_refused() -> Result<()> {
    let roles =
        Roles::set(setting(), Broker::None, &["tables=public.orders", "rights=select, insert, update"])
            .await?;
    let check = roles.expect(1, &["check"]).await?;
    for right in ["SELECT from", "INSERT into", "TRUNCATE"] {
        ensure!(check.contains(&format!("may not {right} public.customer")), "{check}");
    }
    roles.expect(1, &["run", "--local"]).await?;
    let tables = roles.stage.client.query_one("select count(*) from migration_status.migration_runs", &[]);
    ensure!(tables.await?.get::<_, i64>(0) == 0, "a run that could not load was begun");

    for (role, statements) in [
        (
            "thaw_worker",
            &[
                "select from private",
                "insert into customer default values",
                "delete from orders",
                "truncate orders",
                "drop table orders",
                "create table more (value text)",
                "delete from migration_status.migration_runs",
                "delete from migration_status.migration_chunk_status",
                "insert into migration_status.migration_table_status default values",
                "drop schema migration_status cascade",
                "set role thaw_planner",
            ][..],
        ),
        (
            "thaw_reader",
            &[
                "select range from migration_status.migration_chunk_status",
                "select plan from migration_status.migration_table_status",
                "select request_id from migration_status.migration_executions",
                "select from migration_status.quarantined_rows",
                "update migration_status.migration_runs set status = 'cancelled'",
                "select from orders",
                "select migration_status.end_holder_of_chunk(1, 1, 1, 1)",
            ],
        ),
    ] {
        let client = roles.login(role).await?;
        for statement in statements {
            let refused = client.batch_execute(statement).await.err().context(*statement)?;
            let code = refused.code().map(|code| code.code().to_owned());
            ensure!(code.as_deref() == Some("42501"), "{role}: {statement}: {refused:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn planner_and_worker_end_each_others_frozen_sessions_and_no_others() -> Result<()> {
    let roles = Roles::set(setting(), Broker::None, &["tables=public.orders, public.customer"]).await?;
    const HOLD: &str = "begin; select pg_advisory_xact_lock(migration_status.chunk_key(7, 0))";
    const END: &str = "select migration_status.end_holder_of_chunk($1, 7, 0, 5000)";
    for (holder, other) in [("thaw_planner", "thaw_worker"), ("thaw_worker", "thaw_planner")] {
        let frozen = roles.login(holder).await?;
        let pid: i32 = frozen.query_one("select pg_backend_pid()", &[]).await?.get(0);
        let other = roles.login(other).await?;
        ensure!(!other.query_one(END, &[&pid]).await?.get::<_, bool>(0), "it held no chunk");
        frozen.batch_execute(HOLD).await?;
        let direct = other.query_one("select pg_terminate_backend($1)", &[&pid]).await;
        ensure!(direct.is_err(), "{holder} is no role of the other's");
        ensure!(other.query_one(END, &[&pid]).await?.get::<_, bool>(0), "the session of {holder} lives");
        ensure!(frozen.batch_execute("select 1").await.is_err(), "the session of {holder} lives");
    }
    // A superuser who happens to hold the key is nobody's to end, and that is no error.
    let client = &roles.stage.client;
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await?.get(0);
    client.batch_execute(HOLD).await?;
    let worker = roles.login("thaw_worker").await?;
    ensure!(!worker.query_one(END, &[&pid]).await?.get::<_, bool>(0), "a superuser was ended");
    client.batch_execute("rollback").await?;
    Ok(())
}
