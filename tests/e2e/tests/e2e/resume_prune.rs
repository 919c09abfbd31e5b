//! Pruning: old runs go, what the next bound is made of stays.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::process::Finished;

async fn run(stage: &Stage, name: &str, arguments: &[&str]) -> Result<Finished> {
    let finished = stage.fleet.planner(name, arguments)?.run(PATIENCE).await?;
    ensure!([0, 2].contains(&finished.code), "{}:\n{}\n{}", finished.code, finished.stdout, finished.stderr);
    Ok(finished)
}

/// What the next run would decide, without the moment it reads.
async fn decisions(stage: &Stage, name: &str) -> Result<Vec<Value>> {
    let plan: Value = serde_json::from_str(&run(stage, name, &["run", "--dry-run", "--json"]).await?.stdout)?;
    let all = plan["tables"][0]["decisions"].as_array().cloned().unwrap_or_default();
    ensure!(!all.is_empty(), "{plan}");
    Ok(all.into_iter().filter(|decision| decision["subject"] != "snapshot").collect())
}

async fn count(stage: &Stage, sql: &str) -> Result<i64> {
    Ok(stage.client.query_one(sql, &[]).await?.get(0))
}

const TABLES: &str = "select count(*) from migration_status.migration_table_status";
const RANGES: &str = "select count(*) from migration_status.migration_chunk_status where range <> '{}'";

#[tokio::test]
async fn a_run_after_pruning_reads_the_same() -> Result<()> {
    let setting = Setting {
        source_sql: vec![
            "create table TPCH.SF.T (ID number(38,0), WM timestamp_ntz(9), NAME varchar)".into(),
            "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a'), (2, '2024-06-01 00:00:00', 'b')"
                .into(),
        ],
        target_sql: vec![
            "create table t (\"ID\" bigint primary key, \"WM\" timestamp, \"NAME\" text)".into(),
        ],
        entries: vec![json!({
            "enabled": true, "source": "T", "target": "t", "chunking_columns": ["ID"],
            "uniqueness_columns": ["ID"], "source_watermark": "WM", "target_watermark": "WM",
        })],
        ..Setting::default()
    };
    let stage = Stage::set(setting.batch(100)).await?;
    let local = ["run", "--local", "--no-resume"];
    run(&stage, "full", &local).await?;
    run(&stage, "second", &local).await?;
    run(&stage, "third", &local).await?;
    // A gap that nothing has released: the last run failed.
    stage.client.batch_execute("alter table t add constraint broken check (\"ID\" <> 3)").await?;
    stage
        .emulator
        .sql_committed(&["insert into TPCH.SF.T values (3, '2024-07-01 00:00:00', 'c')"], 60.0)
        .await?;
    run(&stage, "gap", &local).await?;
    stage.client.batch_execute("alter table t drop constraint broken").await?;
    stage
        .client
        .batch_execute(
            "update migration_status.migration_runs set finished_at = now() - interval '40 days', \
             last_activity_at = now() - interval '40 days'",
        )
        .await?;
    let (before, tables) = (decisions(&stage, "before").await?, count(&stage, TABLES).await?);
    assert_eq!(tables, 4);
    let dry = run(&stage, "dry", &["prune", "--older-than", "30d", "--dry-run"]).await?;
    assert!(dry.stdout.contains("1 run(s), 1 table(s)"), "{}", dry.stdout);
    assert_eq!(count(&stage, TABLES).await?, tables, "nothing was written");
    let young = run(&stage, "young", &["prune", "--older-than", "6w"]).await?;
    assert!(young.stdout.contains("0 run(s), 0 table(s) and 0 chunk(s) deleted"), "{}", young.stdout);

    run(&stage, "prune", &["prune", "--older-than", "30d"]).await?;
    // The full load, the last completed one and the gap are kept; one completed run between them is not needed.
    assert_eq!((count(&stage, TABLES).await?, count(&stage, RANGES).await?), (3, 0));
    assert_eq!(decisions(&stage, "after").await?, before);
    run(&stage, "fifth", &["run", "--local"]).await?;
    assert_eq!(
        count(&stage, "select count(*) from migration_status.migration_runs").await?,
        4,
        "not revived"
    );
    stage.expect_table_equal("TPCH.SF.T", "t").await
}
