//! Bad input, given to the real binaries: a clear error with its path, exit code 1, nothing written.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{Finished, Fleet, Launch};

/// A configuration that is right, for tests that spoil one thing and need no server.
fn sound() -> Value {
    json!({
        "snowflake": {
            "account": "ORG-ACC", "user": "U", "warehouse": "W", "auth": "pat", "token": "t",
            "url": "http://127.0.0.1:9",
        },
        "postgres": { "host": "127.0.0.1", "port": 9, "user": "u", "password": "p" },
        "sources": [{
            "source_name": "s", "enabled": true, "source_sf_database": "D", "source_sf_schema": "S",
            "target_pg_database": "d", "target_pg_schema": "public",
            "tables": [{ "enabled": true, "source": "T", "target": "t" }],
        }],
    })
}

/// Runs `planner check --offline` over `text` (`None`: there is no file).
async fn check(text: Option<&str>) -> Result<Finished> {
    let folder = TempDir::new()?;
    if let Some(text) = text {
        std::fs::write(folder.path().join("config.json"), text)?;
    }
    Launch::bin("planner", "planner", folder.path())?.args(["check", "--offline"]).run(PATIENCE).await
}

/// Exit code 1 and every part of the answer is there.
fn expect_refused(finished: &Finished, parts: &[&str]) -> Result<()> {
    let said = format!("{}{}", finished.stdout, finished.stderr);
    ensure!(finished.code == 1, "exit code {}: {said}", finished.code);
    for part in parts {
        ensure!(said.contains(part), "`{part}` is not in: {said}");
    }
    ensure!(!said.contains("panicked"), "{said}");
    Ok(())
}

async fn refuses(spoil: impl FnOnce(&mut Value), parts: &[&str]) -> Result<()> {
    let mut config = sound();
    spoil(&mut config);
    expect_refused(&check(Some(&config.to_string())).await?, parts)
}

#[tokio::test]
async fn the_sound_configuration_is_accepted() -> Result<()> {
    let finished = check(Some(&sound().to_string())).await?;
    ensure!(finished.code == 0, "{finished:?}");
    Ok(())
}

#[tokio::test]
async fn a_missing_file_is_named() -> Result<()> {
    expect_refused(&check(None).await?, &["config.json"])
}

#[tokio::test]
async fn an_unreadable_file_is_named() -> Result<()> {
    let folder = TempDir::new()?;
    std::fs::create_dir(folder.path().join("config.json"))?;
    let planner = Launch::bin("planner", "planner", folder.path())?.args(["check", "--offline"]);
    expect_refused(&planner.run(PATIENCE).await?, &["config.json"])
}

#[tokio::test]
async fn broken_json_is_answered_with_line_and_column() -> Result<()> {
    expect_refused(&check(Some("{\n  \"snowflake\": {]\n}")).await?, &["line 2", "column"])
}

#[tokio::test]
async fn an_unknown_key_is_answered_with_the_nearest_known_one() -> Result<()> {
    refuses(
        |config| config["sources"][0]["tables"][0]["uniqueness_column"] = json!(["A"]),
        &["sources[0].tables[0].uniqueness_column", "uniqueness_columns"],
    )
    .await
}

#[tokio::test]
async fn an_unset_variable_is_named_with_its_key() -> Result<()> {
    refuses(
        |config| config["postgres"]["password"] = json!("${THAW_TEST_NO_SUCH_VARIABLE}"),
        &["postgres.password", "THAW_TEST_NO_SUCH_VARIABLE"],
    )
    .await
}

#[tokio::test]
async fn a_wrong_type_is_answered_with_its_path() -> Result<()> {
    refuses(|config| config["batch_size"] = json!("many"), &["batch_size"]).await?;
    refuses(|config| config["sources"][0]["tables"] = json!({}), &["sources[0].tables"]).await
}

#[tokio::test]
async fn empty_sources_are_refused() -> Result<()> {
    refuses(|config| config["sources"] = json!([]), &["sources"]).await
}

#[tokio::test]
async fn a_target_named_twice_is_refused_where_one_entry_truncates() -> Result<()> {
    let twice = |config: &mut Value| {
        config["sources"][0]["tables"] = json!([
            { "source": "A", "target": "t" },
            { "source": "B", "target": "t", "truncate_onstart": true },
        ]);
    };
    refuses(twice, &["sources[0].tables[", "truncate"]).await
}

#[tokio::test]
async fn a_key_that_is_no_key_is_refused_without_being_shown() -> Result<()> {
    let spoil = |config: &mut Value| {
        config["snowflake"]["auth"] = json!("keypair");
        config["snowflake"]["token"] = Value::Null;
        config["snowflake"]["rsa_key"] =
            json!("-----BEGIN PRIVATE KEY-----\ncanaryKey0123456789\n-----END PRIVATE KEY-----\n");
    };
    refuses(spoil, &["snowflake.rsa_key"]).await?;
    let mut config = sound();
    spoil(&mut config);
    let finished = check(Some(&config.to_string())).await?;
    ensure!(!finished.stderr.contains("canaryKey") && !finished.stdout.contains("canaryKey"), "{finished:?}");
    Ok(())
}

#[tokio::test]
async fn three_faults_are_answered_with_three_paths_within_a_second() -> Result<()> {
    let mut config = sound();
    config["snowflake"]["acount"] = json!("x");
    config["batch_size"] = json!(-5);
    config["sources"][0]["tables"][0]["target"] = json!(7);
    let start = Instant::now();
    let finished = check(Some(&config.to_string())).await?;
    let seconds = start.elapsed().as_secs_f64();
    expect_refused(&finished, &["snowflake.acount", "batch_size", "sources[0].tables[0].target"])?;
    ensure!(seconds < 1.0, "{seconds} s");
    Ok(())
}

/// `planner run` over a stage whose configuration is spoiled: refused, and the target database is as before.
async fn run_refused(stage: &Stage, pointer: &str, value: Value, parts: &[&str]) -> Result<()> {
    let folder = TempDir::new()?;
    let fleet = Fleet::new(folder.path(), &stage.builder.clone().set(pointer, value))?;
    for command in [&["check"][..], &["run"]] {
        let finished = fleet.planner("planner", command)?.run(PATIENCE).await?;
        expect_refused(&finished, parts)?;
    }
    let schemas = "select count(*) from pg_namespace where nspname like 'migration_status%'";
    let made: i64 = stage.client.query_one(schemas, &[]).await?.get(0);
    ensure!(made == 0, "something was written");
    let rows: i64 = stage.client.query_one("select count(*) from orders", &[]).await?.get(0);
    ensure!(rows == 0, "rows were written");
    Ok(())
}

async fn stage() -> Result<Stage> {
    Stage::set(Setting::of(ORDERS, 100, 1_000)).await
}

#[tokio::test]
async fn a_target_host_that_does_not_answer_is_named() -> Result<()> {
    let stage = stage().await?;
    run_refused(&stage, "/postgres/port", json!(thaw_harness::port::free()), &["postgres.host"]).await
}

#[tokio::test]
async fn a_source_that_does_not_answer_is_named() -> Result<()> {
    let stage = stage().await?;
    let nobody = format!("http://127.0.0.1:{}", thaw_harness::port::free());
    run_refused(&stage, "/snowflake/url", json!(nobody), &["nowflake"]).await
}

#[tokio::test]
async fn a_wrong_database_password_is_refused_without_being_shown() -> Result<()> {
    let stage = stage().await?;
    run_refused(&stage, "/postgres/password", json!("canary-wrong-password"), &["28P01"]).await
}

#[tokio::test]
async fn a_key_that_snowflake_does_not_know_is_refused() -> Result<()> {
    let stage = stage().await?;
    let stranger = thaw_harness::keys::KeyPair::generate()?;
    run_refused(&stage, "/snowflake/rsa_key", json!(stranger.private_pem), &["snowflake"]).await
}

#[tokio::test]
async fn a_role_that_may_not_read_the_source_is_refused_with_the_table() -> Result<()> {
    let stage = stage().await?;
    stage.emulator.deny("BLIND", "TPCH", "SF", "ORDERS").await?;
    run_refused(&stage, "/snowflake/role", json!("BLIND"), &["ORDERS"]).await
}

#[tokio::test]
async fn a_role_that_may_not_write_the_target_is_refused_with_the_table() -> Result<()> {
    let stage = stage().await?;
    let role = format!("reader_{}", uuid::Uuid::new_v4().simple());
    let make = format!("create role {role} login password 'reader'; grant select on orders to {role}");
    stage.client.batch_execute(&make).await?;
    let builder = stage.builder.clone().set("/postgres/user", json!(role));
    let spoiled = builder.set("/postgres/password", json!("reader"));
    let folder = TempDir::new()?;
    let finished = Fleet::new(folder.path(), &spoiled)?.planner("planner", &["run"])?.run(PATIENCE).await?;
    let drop_role = format!("drop owned by {role}; drop role {role}");
    stage.client.batch_execute(&drop_role).await?;
    expect_refused(&finished, &["orders"])
}

#[tokio::test]
async fn a_worker_refuses_the_same_file_with_the_same_words() -> Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("config.json"), "{\n  \"snowflake\": {]\n}")?;
    let finished = Launch::bin("worker", "worker", folder.path())?.run(PATIENCE).await?;
    expect_refused(&finished, &["line 2"])
}
