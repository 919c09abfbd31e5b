//! What went wrong in other tools between a table and its chunks, and when a run went on after a death; the numbers
//! are those of the collection.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::{CUSTOMER, ORDERS};

use crate::history::ends_with;

/// Reads rows of a chunk: the planner's statements read only counts.
const READS: &str = "\"NAME\"";

/// As if the planner's lease had run out.
const PLANNER_IS_DEAD: &str = "update migration_status.migration_runs \
     set planner_lease_until = now() - interval '1 second' where planner_lease_until is not null";

/// 400 rows of every kind of chunking column, a tenth without a value in any.
fn source() -> Vec<String> {
    let row = |id: u32| {
        let value = |text: String| if id.is_multiple_of(10) { "null".to_owned() } else { text };
        let (group, day) = (id / 7, id % 28 + 1);
        format!(
            "({id}, {}, {}, {}, 'row {id}')",
            value(group.to_string()),
            value(format!("'group {group}'")),
            value(format!("'2024-01-{day:02}'")),
        )
    };
    let rows: Vec<String> = (0..400).map(row).collect();
    vec![
        "create table TPCH.SF.T (ID number(38,0), N number(38,0), G varchar, D date, NAME varchar)"
            .to_owned(),
        format!("insert into TPCH.SF.T values {}", rows.join(", ")),
    ]
}

const TARGET: &str =
    "create table t (\"ID\" bigint primary key, \"N\" bigint, \"G\" text, \"D\" date, \"NAME\" text)";

fn cut_by(column: &str, strategy: &str) -> Value {
    json!({
        "enabled": true, "source": "T", "target": "t", "uniqueness_columns": ["ID"],
        "chunking_columns": [column], "strategy": strategy,
    })
}

fn setting(entry: Value, batch: u64) -> Setting {
    Setting {
        source_sql: source(),
        target_sql: vec![TARGET.to_owned()],
        entries: vec![entry],
        ..Setting::default()
    }
    .batch(batch)
}

async fn fetched(stage: &Stage) -> Result<i64> {
    let sql = "select coalesce(sum(fetched_rows), 0)::bigint from migration_status.migration_chunk_status \
               where status = 'completed'";
    Ok(stage.client.query_one(sql, &[]).await?.get(0))
}

/// peerdb#3983: rows without a value in the partition key matched no range.
#[tokio::test]
async fn peers_13_rows_without_a_value_in_the_chunking_column_arrive() -> Result<()> {
    for (column, strategy) in [
        ("N", "numeric_range"),
        ("G", "grouped_values"),
        ("D", "date_range"),
        ("D", "date_range_offset"),
        ("N", "offset_based"),
    ] {
        let stage = Stage::set(setting(cut_by(column, strategy), 50)).await?;
        ends_with(&stage, &["run", "--local"], 0).await?;
        stage.expect_table_equal("TPCH.SF.T", "t").await?;
        ensure!(fetched(&stage).await? == 400, "{strategy} reads every row once");
    }
    Ok(())
}

/// peerdb#4479: "already synced" looked at the number of a part alone, and other tables stayed empty.
#[tokio::test]
async fn peers_14_a_completed_chunk_says_nothing_about_another_tables() -> Result<()> {
    let tables = vec![(CUSTOMER, 1_000), (ORDERS, 1_000)];
    let stage = Stage::set(Setting { tables, ..Setting::default() }.batch(250)).await?;
    ends_with(&stage, &["run", "--local", "--table", "customer"], 0).await?;
    // The other table's chunks have the same numbers, also in a run that goes on after a death.
    let dies = stage.fleet.planner("dies", &["run"])?.env("THAW_FAULT_POINTS", "after_store=kill");
    ensure!(dies.spawn()?.wait(PATIENCE).await? == 137);
    stage.client.batch_execute(PLANNER_IS_DEAD).await?;
    ends_with(&stage, &["run", "--local"], 0).await?;
    stage.expect_equal().await
}

/// peerdb#3720: numbering every row to plan took hours, and the plan began again each time.
#[tokio::test]
async fn peers_15_one_statement_plans_a_table_and_numbers_no_row() -> Result<()> {
    for (column, strategy) in
        [("N", "numeric_range"), ("G", "grouped_values"), ("D", "date_range"), ("N", "offset_based")]
    {
        let stage = Stage::set(setting(cut_by(column, strategy), 50)).await?;
        ends_with(&stage, &["run", "--dry-run"], 0).await?;
        let scans = stage.emulator.statements("at(timestamp").await?.len();
        ensure!(scans == 1, "{strategy} is planned by {scans} statements");
        ensure!(stage.emulator.statements("ntile").await?.is_empty());
    }
    Ok(())
}

/// pgcopydb#49: who was to build the indexes was dead after a resume, and nobody did.
#[tokio::test]
async fn peers_18_indexes_are_built_by_another_where_their_builder_has_died() -> Result<()> {
    let mut entry = cut_by("N", "numeric_range");
    entry["disable_index"] = json!(true);
    let mut setting = setting(entry, 100);
    setting.target_sql.push("create index t_by_group on t (\"G\")".to_owned());
    let stage = Stage::set(setting).await?;
    let planner = stage.planner_run()?;
    let mut victim = stage.faulty_worker("victim", "during_finalize=kill")?.spawn()?;
    ensure!(victim.wait(PATIENCE).await? == 137);
    let index = "select count(*) from pg_indexes where indexname = 't_by_group'";
    let built: i64 = stage.client.query_one(index, &[]).await?.get(0);
    ensure!(built == 0, "the index was never dropped: the test proves nothing");
    let _successor = stage.worker("successor")?;
    stage.expect_completed(planner).await?;
    let built: i64 = stage.client.query_one(index, &[]).await?.get(0);
    ensure!(built == 1, "nobody built the index");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// pgcopydb#755, #644, #659: the parts of a table were off by one at their edges.
#[tokio::test]
async fn peers_19_no_part_is_off_by_one_at_its_edges() -> Result<()> {
    // Sizes that divide the rows, and that leave a rest.
    for batch in [40, 133] {
        for (column, strategy) in
            [("ID", "numeric_range"), ("ID", "offset_based"), ("D", "date_range_offset")]
        {
            let stage = Stage::set(setting(cut_by(column, strategy), batch)).await?;
            ends_with(&stage, &["run", "--local"], 0).await?;
            stage.expect_table_equal("TPCH.SF.T", "t").await?;
            ensure!(fetched(&stage).await? == 400, "{strategy} by {batch} reads every row once");
        }
    }
    Ok(())
}

/// Kills planner and worker after two of four chunks, and says how many chunks' rows are read until all have arrived.
async fn reads_after_a_death(entry: Value) -> Result<(usize, Stage)> {
    let stage = Stage::set(setting(entry, 100)).await?;
    let mut planner = stage.planner_run()?;
    let mut victim = stage.faulty_worker("victim", "after_commit=kill@2")?.spawn()?;
    ensure!(victim.wait(PATIENCE).await? == 137);
    planner.signal(thaw_harness::Signal::KILL)?;
    planner.wait(PATIENCE).await?;
    stage.emulator.clear_statements().await?;
    stage.client.batch_execute(PLANNER_IS_DEAD).await?;
    ends_with(&stage, &["run", "--local"], 0).await?;
    let reads = stage.emulator.statements(READS).await?.len();
    Ok((reads, stage))
}

/// pipelinewise#231: a full load could not be resumed and repeated what had been paid for.
#[tokio::test]
async fn peers_20_a_full_load_goes_on_where_it_was() -> Result<()> {
    let mut entry = cut_by("ID", "numeric_range");
    entry["uniqueness_columns"] = json!([]);
    entry["truncate_onstart"] = json!(true);
    let (reads, stage) = reads_after_a_death(entry).await?;
    ensure!(reads == 2, "{reads} chunks were read again or for the first time");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// posthog#103240: after the death of a worker everything was read again from row zero, again and again.
#[tokio::test]
async fn peers_21_only_what_was_not_committed_is_read_again_after_a_death() -> Result<()> {
    let (reads, stage) = reads_after_a_death(cut_by("ID", "offset_based")).await?;
    ensure!(reads == 2, "{reads} chunks were read again or for the first time");
    ensure!(fetched(&stage).await? == 400);
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// sling-cli#41, #242: a stream that broke was not tried again.
#[tokio::test]
async fn peers_22_streams_that_break_are_tried_again_and_nothing_else_is() -> Result<()> {
    let stage = Stage::set(setting(cut_by("ID", "numeric_range"), 100)).await?;
    for action in [json!("cut_connection"), json!({ "status": 503 }), json!("lose_response")] {
        let rule =
            json!({ "match": { "kind": "submit", "sql_contains": READS, "times": 1 }, "action": action });
        stage.emulator.fault(rule).await?;
    }
    ends_with(&stage, &["run", "--local"], 0).await?;
    ensure!(fetched(&stage).await? == 400);
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// freehire#2004: ranges of one width over sparse ids gave 31,900 statements, nearly all for nothing.
#[tokio::test]
async fn peers_23_sparse_ids_cost_no_statement_for_nothing() -> Result<()> {
    let mut setting = setting(cut_by("ID", "numeric_range"), 50);
    setting.source_sql.push("update TPCH.SF.T set ID = ID * ID * 1000003".to_owned());
    let stage = Stage::set(setting).await?;
    ends_with(&stage, &["run", "--local"], 0).await?;
    let reads = stage.emulator.statements(READS).await?.len();
    ensure!((8..=12).contains(&reads), "{reads} statements for 400 rows by 50");
    let empty = "select count(*) from migration_status.migration_chunk_status where fetched_rows = 0";
    ensure!(stage.client.query_one(empty, &[]).await?.get::<_, i64>(0) == 0, "a chunk was empty");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}
