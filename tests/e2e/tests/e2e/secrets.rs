//! Canaries: passwords, tokens, keys and patients' values are in no log, at any level, also when things go wrong.

use anyhow::{Result, ensure};
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::{EmulatorOptions, Fleet};

const PASSWORD: &str = "canaryPostgresPassword7f3a";
const TOKEN: &str = "canarySnowflakeToken91bc";
const BROKER: &str = "canaryBrokerPassword55de";

/// Rows whose every value is a canary, and targets that refuse some of them: a duplicate key, a value too long, a NULL
/// where none may be, a number too large.
fn setting() -> Setting {
    let entry = |source: &str, target: &str| {
        json!({
            "enabled": true, "source": source, "target": target, "chunking_columns": ["ID"],
            "uniqueness_columns": ["ID"], "source_filter": "NAME IS NULL OR NAME <> 'canaryFilterValue'",
        })
    };
    let mut aside = entry("ASIDE", "aside");
    aside["on_bad_row"] = json!("quarantine");
    Setting {
        source_sql: vec![
            "create table TPCH.SF.GOOD (ID number(38,0), NAME varchar, BORN date)".to_owned(),
            "insert into TPCH.SF.GOOD values (770001234567, 'canaryPatientGood', '1931-01-17')".to_owned(),
            "create table TPCH.SF.DOUBLED (ID number(38,0), NAME varchar)".to_owned(),
            "insert into TPCH.SF.DOUBLED values (770001234567, 'canaryPatientOne'), (770001234567, 'canaryPatientTwo')"
                .to_owned(),
            "create table TPCH.SF.LONG_NAMES (ID number(38,0), NAME varchar)".to_owned(),
            "insert into TPCH.SF.LONG_NAMES values (770001234567, 'canaryPatientLong')".to_owned(),
            "create table TPCH.SF.EMPTY_NAMES (ID number(38,0), NAME varchar)".to_owned(),
            "insert into TPCH.SF.EMPTY_NAMES values (770001234567, 'canaryPatientEmpty'), (770001234568, null)"
                .to_owned(),
            "create table TPCH.SF.ASIDE (ID number(38,0), NAME varchar)".to_owned(),
            "insert into TPCH.SF.ASIDE values (770001234567, 'canaryPatientAside'), (770001234568, 'x')".to_owned(),
            "create table TPCH.SF.CHECKED (ID number(38,0), NAME varchar)".to_owned(),
            "insert into TPCH.SF.CHECKED values (770001234567, 'canaryPatientChecked')".to_owned(),
        ],
        target_sql: vec![
            "create table good (\"ID\" bigint primary key, \"NAME\" text, \"BORN\" date)".to_owned(),
            "create table doubled (\"ID\" bigint primary key, \"NAME\" text)".to_owned(),
            "create table long_names (\"ID\" bigint primary key, \"NAME\" varchar(5))".to_owned(),
            "create table empty_names (\"ID\" bigint primary key, \"NAME\" text not null)".to_owned(),
            "create table aside (\"ID\" bigint primary key, \"NAME\" varchar(5))".to_owned(),
            "create table checked (\"ID\" bigint primary key, \"NAME\" text check (\"NAME\" not like 'canary%'))"
                .to_owned(),
        ],
        entries: vec![
            entry("GOOD", "good"),
            entry("DOUBLED", "doubled"),
            entry("LONG_NAMES", "long_names"),
            entry("EMPTY_NAMES", "empty_names"),
            entry("CHECKED", "checked"),
            aside,
        ],
        emulator: EmulatorOptions {
            arguments: vec!["--token".to_owned(), format!("pat:LOADER={TOKEN}")],
            ..EmulatorOptions::default()
        },
        ..Setting::default()
    }
}

#[tokio::test]
async fn no_secret_and_no_value_is_in_any_log() -> Result<()> {
    let stage = Stage::set(setting()).await?;
    let role = format!("canary_{}", uuid::Uuid::new_v4().simple());
    stage.client.batch_execute(&format!("create role {role} superuser login password '{PASSWORD}'")).await?;
    let vhost = stage.vhost.as_ref().expect("the shared broker");
    let control = vhost.control();
    control.run(&["add_user", &role, BROKER])?;
    vhost.rabbitmqctl("set_permissions", &[&role, ".*", ".*", ".*"])?;
    let broker = vhost.url().replace("guest:guest", &format!("{role}:{BROKER}"));

    let builder = stage.builder.clone().amqp(&broker);
    let builder = builder.set("/postgres/user", json!(role)).set("/postgres/password", json!(PASSWORD));
    let builder = builder.set("/snowflake/auth", json!("pat")).set("/snowflake/token", json!(TOKEN));
    let builder = builder.set("/snowflake/rsa_key", json!(null)).set("/max_retry_attempts", json!(1));
    let fleet = Fleet::new(stage.folder(), &builder)?;
    let worker = fleet.worker("worker", 2)?.args(["--log-level", "trace"]).spawn()?;
    let report = stage.folder().join("report.json");
    let planner =
        fleet.planner("planner", &["run", "--log-level", "trace"])?.arg("--report-json").arg(&report);
    let finished = planner.run(PATIENCE).await?;
    fleet.planner("status", &["status", "--json"])?.run(PATIENCE).await?;
    let listed = fleet.planner("list", &["quarantine", "list"])?.run(PATIENCE).await?;
    ensure!(listed.stdout.contains("public.aside: chunk 0"), "{}{}", listed.stdout, listed.stderr);
    drop(worker);
    let status = stage.status().await;
    stage.client.batch_execute(&format!("reassign owned by {role} to current_user")).await.ok();
    control.run(&["delete_user", &role])?;

    ensure!(finished.code == 2, "exit code {}: {}\n{}", finished.code, finished.stdout, finished.stderr);
    let mut said = fleet.logs()?;
    said.push_str(&std::fs::read_to_string(report).unwrap_or_default());
    for column in ["error_text", "error_class"] {
        let texts = format!(
            "select coalesce(string_agg({column}, ' '), '') from (select {column} from migration_status.migration_chunk_status \
             union all select {column} from migration_status.migration_table_status) t"
        );
        said.push_str(&stage.client.query_one(&texts, &[]).await?.get::<_, String>(0));
    }
    let aside = "select coalesce(string_agg(q::text, ' '), '') from migration_status.quarantined_rows q";
    said.push_str(&stage.client.query_one(aside, &[]).await?.get::<_, String>(0));
    let status = status?;
    ensure!(
        finished.code == 2 && status.state == "partial",
        "{} {status:?}\n{}",
        finished.code,
        finished.stderr
    );
    for (table, state) in &status.tables {
        let refused = ["long_names", "empty_names", "checked"].contains(&table.as_str());
        ensure!(refused != (state == "completed"), "{table} is {state}");
    }
    for canary in ["canaryPatient", "canaryFilter", "770001234567", "1931-01-17", PASSWORD, TOKEN, BROKER] {
        if let Some(line) = said.lines().find(|line| line.contains(canary)) {
            anyhow::bail!("{canary} leaks: {line}");
        }
    }
    ensure!(said.len() > 10_000, "trace logs are long: is anything logged at all?");
    Ok(())
}
