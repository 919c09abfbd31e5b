//! `planner verify`: what differs between the two sides, and nothing that is a value unless it is asked for.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};

fn setting() -> Setting {
    Setting {
        source_sql: vec![
            "create table TPCH.SF.T (ID number(38,0), NAME varchar, AT timestamp_ntz)".to_owned(),
            "insert into TPCH.SF.T values (1, 'a', '2024-01-01 00:00:00.123456789'), (2, 'b', null), \
             (4711, 'c', '2024-03-01'), (9, 'demo', '2025-01-01')"
                .to_owned(),
        ],
        target_sql: vec![
            "create table t (\"ID\" bigint primary key, \"NAME\" text, \"AT\" timestamp)".to_owned(),
        ],
        entries: vec![json!({
            "enabled": true, "source": "T", "target": "t", "uniqueness_columns": ["ID"],
            "source_watermark": "AT", "target_watermark": "AT", "source_filter": "NAME <> 'demo'",
        })],
        ..Setting::default()
    }
}

async fn verify(stage: &Stage, arguments: &[&str]) -> Result<(i32, String)> {
    let arguments: Vec<&str> = ["verify"].iter().chain(arguments).copied().collect();
    let finished = stage.fleet.planner("verify", &arguments)?.run(PATIENCE).await?;
    Ok((finished.code, format!("{}{}", finished.stdout, finished.stderr)))
}

#[tokio::test]
async fn verify_says_which_aggregate_differs_and_shows_no_value_unasked() -> Result<()> {
    let stage = Stage::set(setting()).await?;
    let _worker = stage.worker("worker")?;
    stage.expect_completed(stage.planner_run()?).await?;
    // A row of another origin does not count: it is outside of the entry's filter.
    stage.client.batch_execute("insert into t values (77777, 'demo', '2031-01-01')").await?;
    let (code, said) = verify(&stage, &[]).await?;
    ensure!(code == 0 && said.contains("equal, 3 rows at the source, 3 here"), "{code} {said}");

    stage
        .client
        .batch_execute("delete from t where \"ID\" = 4711; update t set \"AT\" = now() where \"ID\" = 2")
        .await?;
    let (code, said) = verify(&stage, &["--table", "T"]).await?;
    ensure!(code == 2, "{code} {said}");
    for expected in [
        "rows differs: source 3, target 2",
        "NULLs of \"AT\" differs: source 1, target 0",
        "greatest \"ID\" differs",
        "greatest \"AT\" differs",
    ] {
        ensure!(said.contains(expected), "{expected}: {said}");
    }
    ensure!(
        !said.contains("least \"ID\"") && !said.contains("4711") && !said.contains("2024-03-01"),
        "{said}"
    );

    let (code, said) = verify(&stage, &["--json", "--show-values"]).await?;
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let document: Value = serde_json::from_str(line)?;
    ensure!(code == 2 && document["equal"] == json!(false), "{said}");
    let greatest = json!({ "aggregate": "greatest \"ID\"", "source": "4711", "target": "2" });
    ensure!(document["differences"].as_array().is_some_and(|all| all.contains(&greatest)), "{document}");
    Ok(())
}

#[tokio::test]
async fn what_only_a_load_would_meet_keeps_nobody_from_comparing() -> Result<()> {
    let setting = Setting {
        source_sql: vec![
            "create table TPCH.SF.T (ID number(38,0), NAME varchar)".to_owned(),
            "insert into TPCH.SF.T values (1, 'a'), (2, 'too long')".to_owned(),
        ],
        target_sql: vec!["create table t (\"ID\" bigint, \"NAME\" varchar(3))".to_owned()],
        entries: vec![json!({ "enabled": true, "source": "T", "target": "t", "on_bad_row": "quarantine" })],
        ..Setting::default()
    };
    let stage = Stage::set(setting).await?;
    let run = stage.fleet.planner("run", &["run", "--local"])?.run(PATIENCE).await?;
    ensure!(run.code == 0, "{}", run.stderr);
    // Another run would double the row that is there.
    let (code, said) = verify(&stage, &[]).await?;
    ensure!(code == 2 && said.contains("rows differs: source 2, target 1"), "{code} {said}");
    ensure!(said.contains("1 row(s) of the table are set aside"), "{said}");
    stage.client.batch_execute("insert into t values (2, 'too')").await?;
    let (code, said) = verify(&stage, &[]).await?;
    ensure!(code == 0, "{code} {said}");
    stage.client.batch_execute("drop table t").await?;
    let (code, said) = verify(&stage, &[]).await?;
    ensure!(code == 1 && said.contains("has no table public.t"), "{code} {said}");
    Ok(())
}
