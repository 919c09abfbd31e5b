//! Rows that the target cannot hold, from the run that sets them aside to the one that loads them.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::Finished;

fn setting(more: &Value) -> Setting {
    let mut entry = json!({
        "enabled": true, "source": "PATIENTS", "target": "patients", "chunking_columns": ["ID"],
        "uniqueness_columns": ["ID"], "source_watermark": "AT", "on_bad_row": "quarantine",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        entry[key] = value.clone();
    }
    Setting {
        source_sql: vec![
            "create table TPCH.SF.PATIENTS (ID number(38,0), NAME varchar, AT timestamp_ntz(9))".to_owned(),
            "insert into TPCH.SF.PATIENTS values (1, 'Ann', '2024-01-01'), (2, 'canaryPatientTwo', '2024-01-02'), \
             (3, 'Bob', '2024-01-03'), (4, 'canaryPatientFour', '2024-01-04'), (5, null, null)"
                .to_owned(),
        ],
        target_sql: vec![
            "create table patients (\"ID\" bigint primary key, \"NAME\" varchar(5), \"AT\" timestamp)".to_owned(),
        ],
        entries: vec![entry],
        ..Setting::default()
    }
}

async fn planner(stage: &Stage, name: &str, arguments: &[&str]) -> Result<Finished> {
    stage.fleet.planner(name, arguments)?.run(PATIENCE).await
}

fn expect(finished: &Finished, code: i32, parts: &[&str]) -> Result<()> {
    let said = format!("{}{}", finished.stdout, finished.stderr);
    ensure!(finished.code == code, "exit code {}: {said}", finished.code);
    for part in parts {
        ensure!(finished.stdout.contains(part), "`{part}` is not in: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn rows_set_aside_are_listed_and_loaded_once_the_target_can_hold_them() -> Result<()> {
    let stage = Stage::set(setting(&json!({}))).await?;
    let run = planner(&stage, "first", &["run", "--local"]).await?;
    expect(
        &run,
        0,
        &["quarantined 2", "warning: 2 row(s) were set aside", "5 read, 0 kept, 3 written, 2 quarantined"],
    )?;
    ensure!(stage.status().await?.state == "completed");

    let listed = planner(&stage, "list", &["quarantine", "list", "--table", "patients", "--json"]).await?;
    expect(&listed, 0, &[])?;
    let rows: Vec<Value> = listed.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(rows.len() == 2, "{}", listed.stdout);
    for row in &rows {
        ensure!(row["column"] == "NAME" && row["reason"] == "text longer than the column", "{row}");
        ensure!(
            row["statement"].is_string() && row.get("row").is_none() && row.get("keys").is_none(),
            "{row}"
        );
    }
    let shown = planner(&stage, "shown", &["quarantine", "list", "--show-values"]).await?;
    expect(&shown, 0, &["2 row(s)"])?;
    let kept = "select count(*) from migration_status.quarantined_rows where row_data is not null or key_data is not null";
    ensure!(stage.client.query_one(kept, &[]).await?.get::<_, i64>(0) == 0, "values are kept unasked");

    // A later run reads from its bound on: it meets the second of them again, and neither is forgotten.
    expect(&planner(&stage, "second", &["run", "--local"]).await?, 0, &[])?;
    expect(&planner(&stage, "still", &["quarantine", "list"]).await?, 0, &["3 row(s)"])?;

    stage.client.batch_execute("alter table patients alter column \"NAME\" type text").await?;
    let retried = planner(&stage, "retry", &["quarantine", "retry", "--local"]).await?;
    expect(&retried, 0, &["loading again: patients", "patients: 0 row(s) are set aside now"])?;
    stage.expect_table_equal("TPCH.SF.PATIENTS", "patients").await?;
    expect(&planner(&stage, "none", &["quarantine", "list"]).await?, 0, &["no row is set aside"])?;
    expect(&planner(&stage, "all", &["quarantine", "list", "--all"]).await?, 0, &["3 row(s)"])?;
    let exact = ["quarantine", "list", "--table", "\"patients\""];
    expect(&planner(&stage, "exact", &exact).await?, 0, &["no row is set aside"])?;
    for command in ["list", "retry"] {
        let mistyped = planner(&stage, command, &["quarantine", command, "--table", "patiens"]).await?;
        expect(&mistyped, 1, &[])?;
        ensure!(mistyped.stderr.contains("no enabled table is named `patiens`"), "{}", mistyped.stderr);
    }
    expect(
        &planner(&stage, "again", &["quarantine", "retry", "--local"]).await?,
        0,
        &["nothing to load again"],
    )?;
    ensure!(!stage.fleet.logs()?.contains("canary"), "a value is in the logs");
    Ok(())
}

#[tokio::test]
async fn values_are_shown_only_where_they_are_kept_and_asked_for() -> Result<()> {
    let stage = Stage::set(setting(&json!({ "quarantine_values": true }))).await?;
    expect(&planner(&stage, "run", &["run", "--local", "--log-level", "trace"]).await?, 0, &[])?;
    expect(&planner(&stage, "list", &["quarantine", "list"]).await?, 0, &["2 row(s)"])?;
    ensure!(!stage.fleet.logs()?.contains("canary"), "a value is in the logs");
    let shown = planner(&stage, "shown", &["quarantine", "list", "--show-values"]).await?;
    expect(&shown, 0, &["\"NAME\":\"canaryPatientTwo\"", "keys {\"ID\":\"4\"}"])
}

#[tokio::test]
async fn more_bad_rows_than_the_table_may_have_end_it() -> Result<()> {
    let stage = Stage::set(setting(&json!({ "max_bad_rows": 1 }))).await?;
    let run = planner(&stage, "run", &["run", "--local"]).await?;
    expect(&run, 2, &["too_many_bad_rows"])?;
    let rows = "select count(*) from migration_status.quarantined_rows";
    ensure!(stage.client.query_one(rows, &[]).await?.get::<_, i64>(0) <= 1, "the limit is passed");
    ensure!(!stage.fleet.logs()?.contains("canary"), "a value is in the logs");
    Ok(())
}
