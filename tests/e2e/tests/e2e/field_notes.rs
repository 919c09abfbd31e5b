//! Failures that users of the script which Thaw replaces met in production, each as a test named after it.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;

fn entry(source: &str, target: &str, keys: &[&str], chunking: &[&str]) -> Value {
    json!({
        "enabled": true, "source": source, "target": target,
        "uniqueness_columns": keys, "chunking_columns": chunking,
    })
}

fn setting(source: &[&str], target: &[&str], entries: Vec<Value>) -> Setting {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Setting { source_sql: owned(source), target_sql: owned(target), entries, ..Setting::default() }.batch(100)
}

/// One planner and one worker over the setting, to a completed run.
async fn completed(setting: Setting) -> Result<Stage> {
    let stage = Stage::set(setting).await?;
    let _worker = stage.worker("worker")?;
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await?;
    Ok(stage)
}

/// One insert of the rows that `row` gives for 0, 1, 2 ...
fn insert(table: &str, rows: u32, row: impl Fn(u32) -> String) -> String {
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("insert into {table} values {}", rows.join(", "))
}

#[tokio::test]
async fn note_1_rows_whose_chunking_column_is_null_arrive() -> Result<()> {
    let stage = completed(setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), GRP number(38,0), NAME varchar)",
            &insert("TPCH.SF.T", 1_000, |n| format!("({n}, {n}, 'x')")),
            &insert("TPCH.SF.T", 57, |n| format!("({}, null, 'no group')", n + 5_000)),
        ],
        &["create table t (\"ID\" bigint primary key, \"GRP\" bigint, \"NAME\" text)"],
        vec![entry("T", "t", &["ID"], &["GRP"])],
    ))
    .await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn note_2_sparse_ids_give_no_empty_chunks() -> Result<()> {
    let stage = completed(setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), NAME varchar)",
            &insert("TPCH.SF.T", 1_000, |n| format!("({n}, 'dense')")),
            "insert into TPCH.SF.T values (9000000000000, 'far'), (900000000000000000, 'farther')",
        ],
        &["create table t (\"ID\" bigint primary key, \"NAME\" text)"],
        vec![entry("T", "t", &["ID"], &["ID"])],
    ))
    .await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    let chunks = "select count(*), count(*) filter (where fetched_rows = 0), max(fetched_rows) \
                  from migration_status.migration_chunk_status";
    let row = stage.client.query_one(chunks, &[]).await?;
    let (count, empty, largest): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!((10..=14).contains(&count) && empty == 0 && largest <= 100, "{count} {empty} {largest}");
    Ok(())
}

#[tokio::test]
async fn note_9_a_duplicate_key_in_copy_does_not_lose_the_chunk() -> Result<()> {
    // The source holds a key twice: COPY meets 23505 and the chunk is loaded again, another way.
    let stage = completed(setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), NAME varchar)",
            &insert("TPCH.SF.T", 150, |n| format!("({n}, 'x')")),
            "insert into TPCH.SF.T values (7, 'x')",
        ],
        &["create table t (\"ID\" bigint primary key, \"NAME\" text)"],
        vec![entry("T", "t", &["ID"], &["ID"])],
    ))
    .await?;
    let rows: i64 = stage.client.query_one("select count(*) from t", &[]).await?.get(0);
    let accounted = "select sum(fetched_rows)::bigint, sum(inserted_rows)::bigint, \
                     sum(deduplicated_rows + kept_rows)::bigint from migration_status.migration_chunk_status";
    let row = stage.client.query_one(accounted, &[]).await?;
    let (fetched, inserted, other): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!((rows, fetched, inserted, other) == (150, 151, 150, 1), "{rows} {fetched} {inserted} {other}");
    Ok(())
}

#[tokio::test]
async fn note_12_a_referenced_table_is_not_emptied_with_those_that_reference_it() -> Result<()> {
    let mut truncating = entry("T", "t", &[], &["ID"]);
    truncating["truncate_onstart"] = json!(true);
    let stage = Stage::set(setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), NAME varchar)",
            "insert into TPCH.SF.T values (1, 'new')",
        ],
        &[
            "create table t (\"ID\" bigint primary key, \"NAME\" text)",
            "create table child (id bigint constraint child_of_t references t)",
            "insert into t values (1, 'old')",
            "insert into child values (1)",
        ],
        vec![truncating],
    ))
    .await?;
    let _worker = stage.worker("worker")?;
    let finished = stage.fleet.planner("planner", &["run"])?.run(PATIENCE).await?;
    let said = format!("{}{}", finished.stdout, finished.stderr);
    ensure!(finished.code != 0 && said.contains("child_of_t"), "{} {said}", finished.code);
    let kept =
        stage.client.query_one("select (select count(*) from t) + (select count(*) from child)", &[]).await?;
    ensure!(kept.get::<_, i64>(0) == 2, "rows are gone");
    Ok(())
}

#[tokio::test]
async fn note_14_null_is_null_in_every_type() -> Result<()> {
    let columns = "N number(12,2), F float, B boolean, D date, T time, TS timestamp_ntz, TL timestamp_ltz, \
                   V varchar, X binary";
    let target = "\"N\" numeric(12,2), \"F\" double precision, \"B\" boolean, \"D\" date, \"T\" time, \
                  \"TS\" timestamp, \"TL\" timestamptz, \"V\" text, \"X\" bytea";
    let stage = completed(setting(
        &[
            &format!("create table TPCH.SF.T (ID number(38,0), {columns})"),
            "insert into TPCH.SF.T (ID) values (1), (2)",
        ],
        &[&format!("create table t (\"ID\" bigint primary key, {target})")],
        vec![entry("T", "t", &["ID"], &["ID"])],
    ))
    .await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    let nulls = "select count(*) from t where num_nonnulls(\"N\",\"F\",\"B\",\"D\",\"T\",\"TS\",\"TL\",\"V\",\"X\") = 0";
    ensure!(stage.client.query_one(nulls, &[]).await?.get::<_, i64>(0) == 2);
    Ok(())
}

#[tokio::test]
async fn note_19_columns_that_the_target_lacks_are_left_out_and_reported() -> Result<()> {
    let stage = Stage::set(setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), NAME varchar, ONLY_THERE varchar)",
            "insert into TPCH.SF.T values (1, 'a', 'b')",
        ],
        &["create table t (\"ID\" bigint primary key, \"NAME\" text)"],
        vec![entry("T", "t", &["ID"], &["ID"])],
    ))
    .await?;
    let _worker = stage.worker("worker")?;
    let finished = stage.fleet.planner("planner", &["run"])?.run(PATIENCE).await?;
    ensure!(finished.code == 0, "{}", finished.stderr);
    ensure!(
        format!("{}{}", finished.stdout, finished.stderr).contains("ONLY_THERE"),
        "not reported: {finished:?}"
    );
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn note_22_names_with_spaces_and_mixed_case_and_filters_on_them_work() -> Result<()> {
    let mut mixed = entry("\"Patient Address\"", "\"Patient Address\"", &["Patient Id"], &["Patient Id"]);
    mixed["source_filter"] =
        json!("\"Is Active\" = TRUE AND \"Is Demo\" = FALSE AND \"Source System\" = 'hha' -- only ours");
    let stage = completed(setting(
        &[
            "create table TPCH.SF.\"Patient Address\" (\"Patient Id\" number(38,0), \"Is Active\" boolean, \
             \"Is Demo\" boolean, \"Source System\" varchar)",
            "insert into TPCH.SF.\"Patient Address\" values (1, true, false, 'hha'), (2, false, false, 'hha'), \
             (3, true, true, 'hha'), (4, true, false, 'other'), (5, true, false, 'hha')",
        ],
        &["create table \"Patient Address\" (\"Patient Id\" bigint primary key, \"Is Active\" boolean, \
           \"Is Demo\" boolean, \"Source System\" text)"],
        vec![mixed],
    ))
    .await?;
    let ids = "select array_agg(\"Patient Id\" order by \"Patient Id\") from \"Patient Address\"";
    ensure!(stage.client.query_one(ids, &[]).await?.get::<_, Vec<i64>>(0) == [1, 5]);
    Ok(())
}

#[tokio::test]
async fn note_23_the_scripts_own_status_schema_is_set_aside_and_kept() -> Result<()> {
    let legacy = "create schema migration_status; \
        create table migration_status.migration_runs (run_id uuid primary key, started_at timestamp, \
            completed_at timestamp, status text check (status in ('running','completed','failed','partial')), \
            config_hash text, total_sources int, total_tables int, completed_tables int, failed_tables int, \
            total_rows_copied bigint, error_message text, metadata jsonb, created_by text); \
        insert into migration_status.migration_runs (run_id, status) values (gen_random_uuid(), 'partial'); \
        create view migration_status.v_active_migrations as select * from migration_status.migration_runs";
    let stage = completed(setting(
        &["create table TPCH.SF.T (ID number(38,0))", "insert into TPCH.SF.T values (1)"],
        &[legacy, "create table t (\"ID\" bigint primary key)"],
        vec![entry("T", "t", &["ID"], &["ID"])],
    ))
    .await?;
    let kept = "select nspname from pg_namespace where nspname like 'migration_status_legacy%'";
    let schema: String = stage.client.query_one(kept, &[]).await?.get(0);
    let rows = format!("select count(*) from {schema}.migration_runs");
    ensure!(stage.client.query_one(&rows, &[]).await?.get::<_, i64>(0) == 1, "the old rows are kept");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn note_25_truncate_goes_before_every_other_rule() -> Result<()> {
    let mut every_rule = entry("T", "t", &["ID"], &["ID"]);
    for key in ["truncate_onstart", "insert_only_mode"] {
        every_rule[key] = json!(true);
    }
    every_rule["source_watermark"] = json!("CHANGED");
    every_rule["target_watermark"] = json!("CHANGED");
    let stage = completed(setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), CHANGED date)",
            "insert into TPCH.SF.T values (1, '2020-01-01'), (2, '2021-01-01')",
        ],
        &[
            "create table t (\"ID\" bigint primary key, \"CHANGED\" date)",
            "insert into t values (1, '2024-01-01'), (99, '2024-01-01')",
        ],
        vec![every_rule],
    ))
    .await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn note_28_rows_without_a_watermark_are_read_in_every_run() -> Result<()> {
    let mut watermarked = entry("T", "t", &["ID"], &["ID"]);
    watermarked["source_watermark"] = json!("CHANGED");
    watermarked["target_watermark"] = json!("CHANGED");
    let stage = completed(setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), NAME varchar, CHANGED timestamp_ntz)",
            "insert into TPCH.SF.T values (1, 'a', '2024-01-01 10:00:00'), (2, 'b', null)",
        ],
        &["create table t (\"ID\" bigint primary key, \"NAME\" text, \"CHANGED\" timestamp)"],
        vec![watermarked],
    ))
    .await?;
    stage.emulator.sql_committed(&["insert into TPCH.SF.T values (3, 'c', null)"], 30.0).await?;
    let _worker = stage.worker("worker-2")?;
    let planner = stage.fleet.planner("planner-2", &["run"])?.spawn()?;
    stage.expect_completed(planner).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn note_08_a_run_whose_chunks_are_all_done_is_ended_by_whoever_is_there() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 1_000)).await?;
    let detached = stage.fleet.planner("planner", &["run", "--detach"])?.run(PATIENCE).await?;
    ensure!(detached.code == 0, "{}", detached.stderr);
    let mut victim = stage.faulty_worker("victim", "after_commit=kill@2")?.spawn()?;
    ensure!(victim.wait(PATIENCE).await? == 137);
    let status = stage.status().await?;
    ensure!(status.state == "running" && status.chunks == status.chunks_completed, "{status:?}");
    let _worker = stage.worker("successor")?;
    stage.await_completed().await?;
    stage.expect_equal().await
}
