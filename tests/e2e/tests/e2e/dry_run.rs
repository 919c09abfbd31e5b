//! The dry run says what a run would do, and leaves no trace of itself at either end.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};

const SOURCE: &[&str] = &[
    "create table TPCH.SF.T (ID number(38,0), WM timestamp_ntz(9), NAME varchar, EXTRA varchar)",
    "create table TPCH.SF.PLAIN (ID number(38,0), NAME varchar) data_retention_time_in_days = 0",
    "create table TPCH.SF.NULLS (ID number(38,0), NAME varchar)",
    "create view TPCH.SF.V as select ID, NAME from TPCH.SF.T",
    "create view TPCH.SF.W as select ID, NAME from TPCH.SF.PLAIN",
    "insert into TPCH.SF.PLAIN values (1, 'a')",
    "insert into TPCH.SF.NULLS values (1, 'a'), (null, 'b')",
];

const TARGET: &str = "create table t (\"ID\" bigint primary key, \"WM\" timestamp, \"NAME\" text); \
     create table plain (\"ID\" bigint, \"NAME\" text); create index plain_name on plain (\"NAME\"); \
     create table nulls (\"ID\" bigint unique, \"NAME\" text); \
     create table v (\"ID\" bigint primary key, \"NAME\" text); \
     create table w (\"ID\" bigint primary key, \"NAME\" text)";

fn rows() -> String {
    let rows: Vec<String> =
        (0..250).map(|id| format!("({id}, '2024-01-01 00:00:00', 'name', 'extra')")).collect();
    format!("insert into TPCH.SF.T values {}", rows.join(", "))
}

fn keyed(source: &str) -> Value {
    json!({
        "enabled": true, "source": source, "target": source.to_lowercase(),
        "chunking_columns": ["ID"], "chunking_column_types": ["int"], "uniqueness_columns": ["ID"],
    })
}

fn setting(entries: Vec<Value>) -> Setting {
    let mut source_sql: Vec<String> = SOURCE.iter().map(ToString::to_string).collect();
    source_sql.push(rows());
    Setting { source_sql, target_sql: vec![TARGET.into()], entries, ..Setting::default() }.batch(100)
}

fn sound() -> Vec<Value> {
    let mut t = keyed("T");
    t["source_watermark"] = json!("WM");
    t["target_watermark"] = json!("WM");
    let plain = json!({
        "enabled": true, "source": "PLAIN", "target": "plain", "truncate_onstart": true, "disable_index": true,
        "uniqueness_columns": ["ID"],
    });
    vec![t, plain, keyed("V"), keyed("W")]
}

async fn dry_run(stage: &Stage, name: &str, code: i32) -> Result<Value> {
    let said = stage.fleet.planner(name, &["run", "--dry-run", "--json"])?.run(PATIENCE).await?;
    ensure!(said.code == code, "{}: {}\n{}", said.code, said.stdout, said.stderr);
    serde_json::from_str(&said.stdout).with_context(|| said.stdout.clone())
}

#[tokio::test]
async fn it_writes_nothing_at_either_end() -> Result<()> {
    let stage = Stage::set(setting(sound())).await?;
    let before = stage.target.dump()?;
    stage.emulator.clear_statements().await?;
    dry_run(&stage, "first", 0).await?;
    ensure!(
        stage.target.dump()? == before,
        "the target database has changed: the status tables were made, perhaps"
    );
    let statements = stage.emulator.statements("").await?;
    ensure!(!statements.is_empty());
    for statement in &statements {
        let sql = statement["sql"].as_str().context("a statement has its text")?.trim_start().to_lowercase();
        ensure!(sql.starts_with("select") || sql.starts_with("show"), "{sql}");
    }
    let _worker = stage.worker("worker")?;
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await?;
    let after_run = stage.target.dump()?;
    ensure!(after_run != before);
    dry_run(&stage, "second", 0).await?;
    ensure!(stage.target.dump()? == after_run, "the target database has changed");
    Ok(())
}

#[tokio::test]
async fn it_says_for_every_table_what_would_happen_and_why() -> Result<()> {
    let stage = Stage::set(setting(sound())).await?;
    let said = dry_run(&stage, "planner", 0).await?;
    let tables = said["tables"].as_array().context("a list")?;
    let [t, plain, v, w] = tables.as_slice() else { anyhow::bail!("{said:#}") };
    assert_eq!(t["initial_full_load"], true, "{t:#}");
    assert_eq!((t["mode"].as_str(), t["strategy"]["choice"].as_str()), (Some("copy"), Some("numeric_range")));
    assert_eq!(t["bound"]["choice"], "none");
    assert_eq!((t["rows"].as_u64(), t["columns"].as_u64()), (Some(250), Some(3)));
    let chunks = &t["chunks"];
    let (count, largest) = (chunks["count"].as_u64().unwrap_or(0), chunks["largest"].as_u64().unwrap_or(0));
    ensure!(
        count >= 3 && largest <= 100 && chunks["smallest"].as_u64() <= chunks["median"].as_u64(),
        "{t:#}"
    );
    assert_eq!(t["statements"], json!({ "planning": 1, "reading": count }));
    assert_eq!(t["left_out"][0]["column"], "EXTRA");
    ensure!(
        t["snapshot"].is_string() && t["snapshot_decision"]["reason"].to_string().contains("1 day"),
        "{t:#}"
    );

    ensure!(
        plain["snapshot"].is_null()
            && plain["snapshot_decision"]["reason"].to_string().contains("retention 0")
    );
    ensure!(plain["smart_configuration"].is_object() && plain["indexes"].is_object(), "{plain:#}");
    ensure!(plain["start"].to_string().contains("truncated"), "{plain:#}");
    ensure!(plain["warnings"].to_string().contains("snapshot: none"), "{plain:#}");

    ensure!(
        v["snapshot"].is_string() && v["snapshot_decision"]["reason"].to_string().contains("a view"),
        "{v:#}"
    );
    ensure!(
        w["snapshot"].is_null() && w["snapshot_decision"]["reason"].to_string().contains("a view"),
        "{w:#}"
    );
    assert_eq!(w["statements"]["planning"], 2, "tried and refused");

    let text = stage.fleet.planner("text", &["run", "--dry-run"])?.run(PATIENCE).await?;
    assert_eq!(text.code, 0, "{}", text.stderr);
    for part in [
        "TPCH.SF.T -> ",
        "strategy: numeric_range",
        "load mode: copy",
        "snapshot: none",
        "bound: none",
        "rows: 250",
        "smallest",
        "median",
        "largest",
        "1 to plan",
        "columns: 3",
        "left out: EXTRA",
        "warning: ",
        "the target is truncated",
    ] {
        ensure!(text.stdout.contains(part), "`{part}` is not in: {}", text.stdout);
    }
    let line =
        "[T] Initial full load detected (empty table, no watermark) - will use fast COPY mode for all chunks";
    ensure!(text.stderr.contains(line), "{}", text.stderr);
    Ok(())
}

#[tokio::test]
async fn a_table_that_cannot_be_planned_is_said_and_the_others_are_planned() -> Result<()> {
    let mut entries = sound();
    entries.push(keyed("NULLS"));
    let stage = Stage::set(setting(entries.clone())).await?;
    let said = dry_run(&stage, "null-keys", 2).await?;
    let tables = said["tables"].as_array().context("a list")?;
    assert_eq!(tables.len(), 5);
    ensure!(tables[4]["error"]["text"].to_string().contains("NULL"), "{said:#}");
    ensure!(tables[..4].iter().all(|table| table["error"].is_null()), "{said:#}");

    let missing = json!({ "enabled": true, "source": "NULLS", "target": "no_such_table" });
    let config = stage.builder.clone().table(missing);
    config.write(stage.folder())?;
    let said = dry_run(&stage, "no-target", 1).await?;
    let tables = said["tables"].as_array().context("a list")?;
    assert_eq!(tables.len(), 6);
    ensure!(tables[5]["error"]["text"].to_string().contains("no_such_table"), "{said:#}");
    ensure!(tables[..4].iter().all(|table| table["error"].is_null()), "{said:#}");
    Ok(())
}
