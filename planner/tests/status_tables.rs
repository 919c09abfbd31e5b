//! `planner init` and `planner status`: the real binary against a real PostgreSQL.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use thaw_harness::TestDatabase;
use thaw_model::{PgIdent, RunId, SfIdent, WorkerId};
use thaw_status::{FleetSettings, NewRun, NewTable, Reservation, reserve_run};

/// A configuration whose source nobody asks and whose target is `database`.
fn with_config(database: &TestDatabase, password: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let config = json!({
        "snowflake": {
            "account": "xy12345", "user": "U", "warehouse": "W", "auth": "pat", "token": "t",
            "url": "http://127.0.0.1:1"
        },
        "postgres": {
            "host": database.host(), "port": database.port(), "user": database.user(), "password": password
        },
        "sources": [{
            "source_name": "s", "source_sf_database": "D", "source_sf_schema": "S",
            "target_pg_database": database.name(), "target_pg_schema": "public",
            "tables": [{ "source": "ORDERS", "target": "orders" }]
        }]
    });
    std::fs::write(dir.path().join("config.json"), config.to_string()).expect("written");
    dir
}

fn planner(dir: &TempDir, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_planner"))
        .args(args)
        .current_dir(dir.path())
        .env_remove("AMQP_URL")
        .output()
        .expect("planner starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

async fn reserve(database: &TestDatabase) -> RunId {
    let mut client = database.connect().await.expect("connects");
    let run = NewRun {
        id: RunId::generate(),
        config_hash: "0".repeat(64),
        planner: WorkerId::generate("planner"),
        planner_lease: Duration::from_secs(60),
        settings: FleetSettings::default(),
        program: "test".into(),
    };
    let table = NewTable {
        entry: "e".into(),
        source_name: "s".into(),
        source_database: SfIdent::exact("D"),
        source_schema: SfIdent::exact("S"),
        source_table: SfIdent::exact("ORDERS"),
        target_schema: PgIdent::exact("public"),
        target_table: PgIdent::exact("orders"),
        config_hash: "1".repeat(64),
        config_keys: std::collections::BTreeMap::new(),
        max_attempts: 3,
        parallel_cap: None,
    };
    let reservation = reserve_run(&mut client, &run, &[table]).await.expect("reserves");
    assert!(matches!(reservation, Reservation::Reserved { .. }), "{reservation:?}");
    run.id
}

#[tokio::test]
async fn init_makes_the_status_tables_once() {
    let database = TestDatabase::create().await;
    let dir = with_config(&database, database.password());
    assert!(stdout(&planner(&dir, &["init"])).contains("status tables made"));
    assert!(stdout(&planner(&dir, &["init"])).contains("status tables are up to date"));
}

#[tokio::test]
async fn a_role_that_may_not_create_the_status_tables_is_given_their_sql() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    let role = format!("{}_reader", database.name());
    client
        .batch_execute(&format!(
            "create role {role} login password 'x'; revoke create on database {} from public;",
            database.name()
        ))
        .await
        .expect("a role");
    let dir = with_config(&database, "x");
    let path = dir.path().join("config.json");
    let config = std::fs::read_to_string(&path).expect("read");
    let mut config: Value = serde_json::from_str(&config).expect("JSON");
    config["postgres"]["user"] = json!(role);
    std::fs::write(&path, config.to_string()).expect("written");

    let output = planner(&dir, &["init"]);
    client.batch_execute(&format!("drop role {role}")).await.expect("dropped");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("may not create the status tables"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("create table if not exists migration_status.migration_runs"));
}

#[tokio::test]
async fn status_says_that_there_is_no_run_before_the_first_one() {
    let database = TestDatabase::create().await;
    let dir = with_config(&database, database.password());
    for prepared in [false, true] {
        if prepared {
            stdout(&planner(&dir, &["init"]));
        }
        let output = planner(&dir, &["status"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("no run yet"), "{}", text(&output.stderr));
    }
    let unknown = RunId::generate().to_string();
    assert!(text(&planner(&dir, &["status", &unknown]).stderr).contains(&unknown));
}

#[tokio::test]
async fn status_shows_the_newest_run_or_the_one_that_is_named() {
    let database = TestDatabase::create().await;
    let dir = with_config(&database, database.password());
    stdout(&planner(&dir, &["init"]));
    let run = reserve(&database).await;

    let shown = stdout(&planner(&dir, &["status"]));
    assert!(shown.starts_with(&format!("run {run}: running")), "{shown}");
    assert!(shown.contains("planner waiting") && shown.contains("public.orders"), "{shown}");

    let json = stdout(&planner(&dir, &["status", &run.to_string(), "--json"]));
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["run"], run.to_string());
    assert_eq!(value["state"], "running");
    assert_eq!(value["databases"][0]["tables"][0]["state"], "planning");
    assert_eq!(value["databases"][0]["tables"][0]["source"], "D.S.ORDERS");
}

#[tokio::test]
async fn watching_ends_with_the_run_and_with_its_exit_code() {
    let database = TestDatabase::create().await;
    let dir = with_config(&database, database.password());
    stdout(&planner(&dir, &["init"]));
    let run = reserve(&database).await;
    let mut client = database.connect().await.expect("connects");
    thaw_status::cancel_run(&mut client, run).await.expect("cancels");
    let output = planner(&dir, &["status", "--watch"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(": cancelled"), "{}", text(&output.stdout));
}

#[tokio::test]
async fn cancelling_says_what_it_did_once_and_takes_the_beginning_of_an_id() {
    let database = TestDatabase::create().await;
    let dir = with_config(&database, database.password());
    stdout(&planner(&dir, &["init"]));
    let run = reserve(&database).await.to_string();
    // An id begins with its time; the random part tells two of one moment apart.
    let beginning = run.get(..25).expect("an id is longer");
    let first = stdout(&planner(&dir, &["cancel", beginning]));
    assert!(first.contains("is cancelled: 1 table(s) and 0 chunk(s) were open"), "{first}");
    let again = stdout(&planner(&dir, &["cancel", &run]));
    assert!(again.contains("is cancelled already; nothing has changed"), "{again}");
    assert!(stdout(&planner(&dir, &["status", beginning])).starts_with(&format!("run {run}: cancelled")));
    reserve(&database).await;

    let unknown = RunId::generate().to_string();
    let refused = planner(&dir, &["cancel", &unknown]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains(&format!("no run {unknown}")), "{}", text(&refused.stderr));
    let ambiguous = planner(&dir, &["cancel", run.get(..4).expect("an id is longer")]);
    assert_eq!(ambiguous.status.code(), Some(1));
    assert!(text(&ambiguous.stderr).contains("begins several runs"), "{}", text(&ambiguous.stderr));
}

#[tokio::test]
async fn a_wrong_password_is_said_without_it() {
    let database = TestDatabase::create().await;
    let dir = with_config(&database, "canary-password");
    for command in ["init", "status", "check"] {
        let output = planner(&dir, &[command]);
        let stderr = text(&output.stderr);
        assert!(!stderr.contains("canary"), "{command}: {stderr}");
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        assert!(stderr.contains("28P01"), "{command}: {stderr}");
    }
}
