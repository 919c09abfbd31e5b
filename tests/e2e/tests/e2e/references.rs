//! Tables that refer to each other by foreign keys, in one run.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};

/// `child` refers to `parent`, which stands behind it in the configuration; both hold old rows.
fn family(truncate: bool) -> Setting {
    let entry = |source: &str, target: &str| -> Value {
        json!({
            "enabled": true, "source": source, "target": target, "truncate_onstart": truncate,
            "uniqueness_columns": ["ID"], "chunking_columns": ["ID"],
        })
    };
    Setting {
        source_sql: vec![
            "create table TPCH.SF.P (ID number(38,0))".to_owned(),
            "create table TPCH.SF.C (ID number(38,0), P number(38,0))".to_owned(),
            format!("insert into TPCH.SF.P values {}", rows(|n| format!("({n})"))),
            format!("insert into TPCH.SF.C values {}", rows(|n| format!("({n}, {})", 399 - n))),
        ],
        target_sql: vec![
            "create table p (\"ID\" bigint primary key)".to_owned(),
            "create table c (\"ID\" bigint primary key, \"P\" bigint constraint c_to_p references p)"
                .to_owned(),
            "insert into p values (7)".to_owned(),
            "insert into c values (8, 7)".to_owned(),
        ],
        entries: vec![entry("C", "c"), entry("P", "p")],
        ..Setting::default()
    }
    .batch(100)
}

fn rows(row: impl Fn(u32) -> String) -> String {
    (0..400).map(row).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_child_loads_behind_its_parent_and_both_are_emptied_together() -> Result<()> {
    for truncate in [true, false] {
        let stage = Stage::set(family(truncate)).await?;
        let _worker = stage.worker("worker")?;
        stage.expect_completed(stage.planner_run()?).await?;
        stage.expect_table_equal("TPCH.SF.P", "p").await?;
        stage.expect_table_equal("TPCH.SF.C", "c").await?;
        let ordered = "select c.started_at >= p.finished_at, c.truncated_at is not null and p.truncated_at is not null \
                       from migration_status.migration_table_status c, migration_status.migration_table_status p \
                       where c.target_table = 'c' and p.target_table = 'p'";
        let row = stage.client.query_one(ordered, &[]).await?;
        ensure!(row.get::<_, bool>(0), "the child has not waited");
        ensure!(row.get::<_, bool>(1) == truncate, "truncated: {truncate}");
        let failures = "select coalesce(sum(failures), 0)::int8 from migration_status.migration_chunk_status";
        let failures: i64 = stage.client.query_one(failures, &[]).await?.get(0);
        ensure!(failures == 0, "{failures} chunks met a missing parent");
    }
    Ok(())
}

#[tokio::test]
async fn a_failed_parent_fails_its_child_by_name() -> Result<()> {
    let mut setting = family(false);
    // Refuses every row of the parent.
    setting
        .target_sql
        .push("alter table p add constraint impossible check (\"ID\" < 0) not valid".to_owned());
    let stage = Stage::set(setting).await?;
    let _worker = stage.worker("worker")?;
    let mut planner = stage.planner_run()?;
    ensure!(planner.wait(PATIENCE).await? == 2, "the run cannot be completed");
    let errors = "select string_agg(concat_ws(' ', target_table, status, error_class, error_text), e'\\n' order by target_table) \
                  from migration_status.migration_table_status";
    let said: String = stage.client.query_one(errors, &[]).await?.get(0);
    ensure!(
        said.contains(
            "c failed parent_failed public.p, which it refers to by constraint \"c_to_p\", has failed"
        ),
        "{said}"
    );
    ensure!(said.contains("p failed sqlstate_23514") && said.contains("impossible"), "{said}");
    Ok(())
}
