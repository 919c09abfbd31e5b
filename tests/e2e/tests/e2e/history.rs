//! Several runs over one small table with a watermark, and what the status tables say about each.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};

/// A run that plans anew.
pub(crate) const FRESH: &[&str] = &["run", "--local", "--no-resume"];
pub(crate) const SOURCE: &str = "create table TPCH.SF.T (ID number(38,0), WM timestamp_ntz(9), NAME varchar)";
pub(crate) const TARGET: &str =
    "create table t (\"ID\" bigint primary key, \"WM\" timestamp, \"NAME\" varchar(20))";
pub(crate) const KEYLESS: &str = "create table t (\"ID\" bigint, \"WM\" timestamp, \"NAME\" varchar(20))";

/// What the status tables say about the last table that was planned.
#[derive(Debug, Default)]
pub(crate) struct Last {
    pub state: String,
    pub low: Option<String>,
    pub high: Option<String>,
    pub safe: Option<String>,
    pub leaves_gap: bool,
    pub fetched: i64,
    pub inserted: i64,
    pub updated: i64,
    pub chunks: i32,
    pub decisions: String,
}

pub(crate) async fn last(stage: &Stage) -> Result<Last> {
    let sql = "select status, watermark_low, watermark_high, watermark_safe, leaves_gap, coalesce(fetched_rows, 0), \
               coalesce(inserted_rows, 0), coalesce(updated_rows, 0), coalesce(chunk_count, 0), decisions::text \
               from migration_status.migration_table_status order by table_id desc limit 1";
    let row = stage.client.query_one(sql, &[]).await?;
    Ok(Last {
        state: row.get(0),
        low: row.get(1),
        high: row.get(2),
        safe: row.get(3),
        leaves_gap: row.get(4),
        fetched: row.get(5),
        inserted: row.get(6),
        updated: row.get(7),
        chunks: row.get(8),
        decisions: row.get(9),
    })
}

pub(crate) fn entry(extra: Value) -> Value {
    let mut entry = json!({
        "enabled": true, "source": "T", "target": "t", "chunking_columns": ["ID"],
        "uniqueness_columns": ["ID"], "source_watermark": "WM", "target_watermark": "WM",
    });
    if let (Some(entry), Some(extra)) = (entry.as_object_mut(), extra.as_object()) {
        entry.extend(extra.clone());
    }
    entry
}

pub(crate) async fn set(source: &[&str], target: &str, entries: Vec<Value>) -> Result<Stage> {
    let setting = Setting {
        source_sql: source.iter().map(|sql| (*sql).to_owned()).collect(),
        target_sql: vec![target.to_owned()],
        entries,
        ..Setting::default()
    };
    Stage::set(setting.batch(1)).await
}

pub(crate) async fn ends_with(stage: &Stage, arguments: &[&str], code: i32) -> Result<String> {
    let finished = stage.fleet.planner("planner", arguments)?.run(PATIENCE).await?;
    let said = format!("{}{}", finished.stdout, finished.stderr);
    ensure!(finished.code == code, "{arguments:?} ended with {}:\n{said}", finished.code);
    Ok(said)
}

pub(crate) async fn run(stage: &Stage, flags: &[&str]) -> Result<Last> {
    ends_with(stage, &[FRESH, flags].concat(), 0).await?;
    last(stage).await
}

/// Committed a minute ago, before the next run's snapshot and behind the last one's.
pub(crate) async fn commit(stage: &Stage, sql: &str) -> Result<()> {
    stage.emulator.sql_committed(&[sql], 30.0).await.map(drop)
}

pub(crate) async fn names(stage: &Stage) -> Result<Vec<String>> {
    let sql = "select coalesce(array_agg(\"NAME\"::text order by \"ID\", \"NAME\"), '{}') from t";
    Ok(stage.client.query_one(sql, &[]).await?.get(0))
}
