//! Planning at the size of the field: exactly as many chunks as there must be, and no statement too many. How long it
//! takes is `bench plan`'s to say, on a machine that does nothing else.

use anyhow::{Result, ensure};
use thaw_e2e::{PATIENCE, Setting, scale};

#[tokio::test]
async fn field_note_5_is_planned_to_the_chunk_with_one_statement() -> Result<()> {
    let stage = scale::field_note_5("date_range_offset", Setting::default()).await?;
    let planned = scale::dry_run(&stage).await?;
    ensure!(planned["rows"] == scale::ROWS, "{planned}");
    ensure!(planned["chunks"]["count"] == scale::CHUNKS, "{planned}");
    ensure!(planned["chunks"]["largest"] == 25_000, "{planned}");
    let (_, scans) = scale::statements(&stage).await?;
    ensure!(scans == 1, "{scans} statements scan a table");

    let text = stage.fleet.planner("text", &["run", "--dry-run"])?.run(PATIENCE).await?;
    ensure!(text.code == 0 && text.stdout.contains("10968"), "{}", text.stdout);
    ensure!(text.stdout.contains("date_range_offset"), "{}", text.stdout);
    Ok(())
}

#[tokio::test]
async fn field_note_5_under_auto_is_one_scan() -> Result<()> {
    let stage = scale::field_note_5("auto", Setting::default()).await?;
    let planned = scale::dry_run(&stage).await?;
    ensure!(planned["rows"] == scale::ROWS, "{planned}");
    ensure!(planned["strategy"]["choice"] == "result_partitions", "{planned}");
    ensure!(planned["statements"]["reading"] == 1, "{planned}");
    ensure!(
        planned["one_scan"].as_str().is_some_and(|saving| saving.contains("instead of 10880 pages")),
        "{planned}"
    );
    ensure!(planned["lost_result"]["choice"] == "loaded again over the same keys", "{planned}");
    Ok(())
}

#[tokio::test]
async fn a_table_of_695_days_with_nothing_new_costs_two_statements_and_one_chunk_at_most() -> Result<()> {
    let stage = scale::nothing_new(Setting::default()).await?;
    let again = stage.fleet.planner("again", &["run", "--local"])?.run(PATIENCE).await?;
    ensure!(again.code == 0, "{}\n{}", again.stdout, again.stderr);
    let (_, scans) = scale::statements(&stage).await?;
    ensure!(scans <= 2, "{scans} statements scan a table");
    let sql = "select chunk_count, inserted_rows + updated_rows from migration_status.migration_table_status \
               order by table_id desc limit 1";
    let row = stage.client.query_one(sql, &[]).await?;
    let (chunks, written): (i32, i64) = (row.get(0), row.get(1));
    ensure!(chunks <= 1 && written == 0, "{chunks} chunks wrote {written} rows");
    stage.expect_table_equal("TPCH.SF.VISITS", "visits").await
}
