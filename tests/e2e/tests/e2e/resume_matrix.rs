//! Which run a planner goes on with, and which it leaves alone: each flag and each mismatch, by real processes.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::process::Finished;
use thaw_harness::tpch::{CUSTOMER, ORDERS};

/// The first chunk of the table breaks this rule, so it fails; without it everything loads.
const BREAK_ORDERS: &str = "alter table orders add constraint broken check (\"O_ORDERKEY\" <> 1)";
const MEND_ORDERS: &str = "alter table orders drop constraint broken";
const BREAK_CUSTOMER: &str = "alter table customer add constraint broken check (\"C_CUSTKEY\" <> 1)";
const MEND_CUSTOMER: &str = "alter table customer drop constraint broken";

async fn run(stage: &Stage, name: &str, arguments: &[&str]) -> Result<Finished> {
    stage.fleet.planner(name, arguments)?.run(PATIENCE).await
}

fn expect_code(finished: &Finished, code: i32) -> Result<()> {
    ensure!(
        finished.code == code,
        "{} is not {code}:\n{}\n{}",
        finished.code,
        finished.stdout,
        finished.stderr
    );
    Ok(())
}

/// Orders in four chunks, one of which has failed; the cause is mended. And the run's id.
async fn partial(setting: Setting) -> Result<(Stage, thaw_harness::Process, String)> {
    let stage = Stage::set(setting.batch(1_000)).await?;
    stage.client.batch_execute(BREAK_ORDERS).await?;
    let worker = stage.worker("worker")?;
    expect_code(&run(&stage, "broken", &["run"]).await?, 2)?;
    let status = stage.status().await?;
    ensure!(status.state == "partial" && status.chunks_failed == 1, "{status:?}");
    stage.client.batch_execute(MEND_ORDERS).await?;
    Ok((stage, worker, status.run))
}

fn orders() -> Setting {
    Setting { tables: vec![(ORDERS, 4_000)], ..Setting::default() }
}

fn both() -> Setting {
    Setting { tables: vec![(CUSTOMER, 500), (ORDERS, 4_000)], ..Setting::default() }
}

/// All signs of life of every run lie so many hours back.
async fn age(stage: &Stage, hours: i32) -> Result<()> {
    let then = format!("now() - interval '{hours} hours'");
    let sql = format!(
        "update migration_status.migration_runs set started_at = {then}, last_activity_at = {then}, \
           finished_at = case when finished_at is not null then {then} end, \
           planner_lease_until = case when planner_lease_until is not null then {then} end; \
         update migration_status.migration_table_status set planned_at = case when planned_at is not null then {then} end, \
           started_at = case when started_at is not null then {then} end, \
           finished_at = case when finished_at is not null then {then} end; \
         update migration_status.migration_chunk_status set claimed_at = case when claimed_at is not null then {then} end, \
           heartbeat_at = case when heartbeat_at is not null then {then} end, \
           finished_at = case when finished_at is not null then {then} end"
    );
    Ok(stage.client.batch_execute(&sql).await?)
}

async fn count(stage: &Stage, sql: &str) -> Result<i64> {
    Ok(stage.client.query_one(sql, &[]).await?.get(0))
}

const RUNS: &str = "select count(*) from migration_status.migration_runs";
const CLAIMS: &str = "select sum(fence)::bigint from migration_status.migration_chunk_status";

#[tokio::test]
async fn a_partial_run_is_resumed_by_default_and_reads_only_what_failed() -> Result<()> {
    let (stage, _worker, first) = partial(both()).await?;
    let claims = count(&stage, CLAIMS).await?;
    let again = run(&stage, "again", &["run"]).await?;
    expect_code(&again, 0)?;
    let status = stage.status().await?;
    assert_eq!((status.run.as_str(), status.state.as_str()), (first.as_str(), "completed"));
    assert_eq!(count(&stage, CLAIMS).await?, claims + 1, "one chunk was loaded again, no other was claimed");
    assert!(again.stderr.contains(&format!("going on with run {first}")), "{}", again.stderr);
    assert!(again.stderr.contains("use --no-resume to read them again"), "{}", again.stderr);
    stage.expect_equal().await?;
    // Nothing is left to resume: the next call is a run of its own.
    expect_code(&run(&stage, "third", &["run"]).await?, 0)?;
    assert_ne!(stage.status().await?.run, first);
    stage.expect_equal().await
}

#[tokio::test]
async fn no_resume_begins_a_new_run_and_what_it_has_started_is_not_revived() -> Result<()> {
    let (stage, _worker, first) = partial(orders()).await?;
    expect_code(&run(&stage, "anew", &["run", "--no-resume"]).await?, 0)?;
    let second = stage.status().await?;
    assert_ne!(second.run, first);
    stage.expect_equal().await?;
    for arguments in [&["run", "--resume-run-id", &first][..], &["retry", &first]] {
        let refused = run(&stage, "refused", arguments).await?;
        expect_code(&refused, 1)?;
        assert!(refused.stderr.contains(&second.run), "the later run is named: {}", refused.stderr);
    }
    let left = "select count(*) from migration_status.migration_table_status where status = 'partial'";
    assert_eq!(count(&stage, left).await?, 1, "the table is left as it was");
    expect_code(&run(&stage, "third", &["run"]).await?, 0)?;
    assert_eq!(count(&stage, RUNS).await?, 3, "an old partial run is not resumed over a later one");
    Ok(())
}

#[tokio::test]
async fn note_03_the_age_of_a_run_counts_from_its_last_progress() -> Result<()> {
    let (stage, _worker, first) = partial(orders()).await?;
    age(&stage, 13).await?;
    let anew = run(&stage, "dry", &["run", "--dry-run"]).await?;
    expect_code(&anew, 0)?;
    assert!(!anew.stdout.contains("goes on with"), "{}", anew.stdout);
    // It began 13 hours ago, and a chunk of it was completed an hour ago.
    stage
        .client
        .batch_execute(
            "update migration_status.migration_chunk_status set finished_at = now() - interval '1 hour' \
             where chunk_no = 2 and status = 'completed'",
        )
        .await?;
    let tables = "select count(*) from migration_status.migration_table_status";
    let before = count(&stage, tables).await?;
    let dry = run(&stage, "dry-text", &["run", "--dry-run"]).await?;
    expect_code(&dry, 0)?;
    assert!(dry.stdout.contains(&format!("goes on with run {first}: 1 table(s)")), "{}", dry.stdout);
    let dry = run(&stage, "dry-json", &["run", "--dry-run", "--json"]).await?;
    let document: Value = serde_json::from_str(&dry.stdout)?;
    assert_eq!(document["resumes"], json!(first), "{document}");
    assert_eq!(
        (count(&stage, RUNS).await?, count(&stage, tables).await?),
        (1, before),
        "nothing was written"
    );
    // The limit may be a fraction of an hour.
    stage.client.batch_execute(BREAK_ORDERS).await?;
    expect_code(&run(&stage, "resumed", &["run"]).await?, 2)?;
    assert_eq!(stage.status().await?.run, first, "active an hour ago: resumed");
    stage.client.batch_execute(MEND_ORDERS).await?;
    age(&stage, 13).await?;
    expect_code(&run(&stage, "older", &["run", "--resume-max-age", "13.5"]).await?, 0)?;
    assert_eq!(stage.status().await?.run, first, "13 hours without activity, and 13.5 are allowed");
    stage.expect_equal().await
}

#[tokio::test]
async fn a_run_without_a_sign_of_life_for_13_hours_is_not_resumed() -> Result<()> {
    let (stage, _worker, first) = partial(orders()).await?;
    age(&stage, 13).await?;
    expect_code(&run(&stage, "anew", &["run"]).await?, 0)?;
    assert_ne!(stage.status().await?.run, first);
    stage.expect_equal().await
}

#[tokio::test]
async fn an_old_dead_run_never_blocks_the_nightly_one() -> Result<()> {
    let stage = Stage::set(orders().batch(1_000)).await?;
    expect_code(&run(&stage, "yesterday", &["run", "--detach"]).await?, 0)?;
    let first = stage.status().await?.run;
    age(&stage, 13).await?;
    // No worker of the fleet may be first: a run that is at work again is not dead.
    let nightly = run(&stage, "nightly", &["run", "--local"]).await?;
    expect_code(&nightly, 0)?;
    assert_ne!(stage.status().await?.run, first);
    assert!(nightly.stderr.contains("is superseded"), "{}", nightly.stderr);
    let superseded = "select count(*) from migration_status.migration_runs where status = 'superseded'";
    assert_eq!(count(&stage, superseded).await?, 1);
    stage.expect_equal().await
}

#[tokio::test]
async fn a_detached_run_is_superseded_by_no_resume_and_its_living_worker_writes_nothing_more() -> Result<()> {
    let stage = Stage::set(orders().batch(1_000)).await?;
    let mut slow = stage.faulty_worker("slow", "before_complete=stop")?.spawn()?;
    expect_code(&run(&stage, "detached", &["run", "--detach"]).await?, 0)?;
    stage.await_status("a chunk in progress", |status| status.chunks_in_progress == 1).await?;
    let _worker = stage.worker("worker")?;
    expect_code(&run(&stage, "anew", &["run", "--no-resume"]).await?, 0)?;
    stage.expect_equal().await?;
    slow.signal(thaw_harness::Signal::CONT)?;
    expect_code(&run(&stage, "again", &["run"]).await?, 0)?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_table_whose_configuration_has_changed_is_planned_anew_and_the_keys_are_named() -> Result<()> {
    let (stage, _worker, first) = partial(both()).await?;
    let changed = stage.builder.clone().set("/sources/0/tables/1/batch_size", json!(500));
    let changed = changed.set("/sources/0/tables/1/batch_size_copy_mode", json!(500));
    changed.set("/sources/0/tables/1/source_filter", json!("O_ORDERKEY > 0")).write(stage.folder())?;
    let again = run(&stage, "again", &["run"]).await?;
    expect_code(&again, 0)?;
    assert_eq!(stage.status().await?.run, first);
    assert!(
        again.stderr.contains("changed since (batch_size, batch_size_copy_mode, source_filter)"),
        "{}",
        again.stderr
    );
    assert!(!again.stderr.contains("O_ORDERKEY > 0"), "a filter may hold a value: {}", again.stderr);
    let states = "select count(*) from migration_status.migration_table_status where status = $1";
    for (state, expected) in [("superseded", 1), ("completed", 2)] {
        let row = stage.client.query_one(states, &[&state]).await?;
        assert_eq!(row.get::<_, i64>(0), expected, "{state}");
    }
    stage.expect_equal().await
}

#[tokio::test]
async fn entries_that_the_run_does_not_have_are_added_to_it() -> Result<()> {
    let stage = Stage::set(both().batch(1_000)).await?;
    stage.client.batch_execute(BREAK_ORDERS).await?;
    let _worker = stage.worker("worker")?;
    expect_code(&run(&stage, "one", &["run", "--table", "orders"]).await?, 2)?;
    let first = stage.status().await?.run;
    stage.client.batch_execute(MEND_ORDERS).await?;
    expect_code(&run(&stage, "both", &["run"]).await?, 0)?;
    let status = stage.status().await?;
    assert_eq!((status.run, status.tables.len(), status.state.as_str()), (first, 2, "completed"));
    stage.expect_equal().await
}

#[tokio::test]
async fn a_planner_that_leaves_goes_on_with_every_run_that_holds_a_table() -> Result<()> {
    let stage = Stage::set(both().batch(1_000)).await?;
    for table in ["customer", "orders"] {
        expect_code(&run(&stage, table, &["run", "--detach", "--table", table]).await?, 0)?;
    }
    assert_eq!(count(&stage, RUNS).await?, 2);
    let again = run(&stage, "again", &["run", "--detach"]).await?;
    expect_code(&again, 0)?;
    assert_eq!(again.stderr.matches("going on with run").count(), 2, "{}", again.stderr);
    let _worker = stage.worker("worker")?;
    stage.await_status("the end of the newest", |status| status.state == "completed").await?;
    let open = "select count(*) from migration_status.migration_runs where status <> 'completed'";
    thaw_harness::wait::until(
        "both runs to complete",
        PATIENCE,
        async || Ok(count(&stage, open).await? == 0),
    )
    .await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_narrowed_call_does_not_wait_for_tables_that_nobody_plans() -> Result<()> {
    let stage = Stage::set(both().batch(1_000)).await?;
    let killed =
        stage.fleet.planner("killed", &["run", "--detach"])?.env("THAW_FAULT_POINTS", "after_reserve=kill");
    assert_eq!(killed.spawn()?.wait(PATIENCE).await?, 137);
    let past = "update migration_status.migration_runs set planner_lease_until = now() - interval '1 hour'";
    stage.client.batch_execute(past).await?;
    let _worker = stage.worker("worker")?;
    let narrowed = run(&stage, "narrowed", &["run", "--table", "orders"]).await?;
    expect_code(&narrowed, 0)?;
    assert!(narrowed.stderr.contains("[CUSTOMER] was never planned"), "{}", narrowed.stderr);
    assert_eq!(stage.status().await?.state, "partial", "the run is over, and customer is not in it");
    expect_code(&run(&stage, "whole", &["run"]).await?, 0)?;
    stage.expect_equal().await
}

#[tokio::test]
async fn only_the_selected_entries_are_revived_and_the_exit_code_is_theirs() -> Result<()> {
    let stage = Stage::set(both().batch(1_000)).await?;
    stage.client.batch_execute(BREAK_ORDERS).await?;
    stage.client.batch_execute(BREAK_CUSTOMER).await?;
    let _worker = stage.worker("worker")?;
    expect_code(&run(&stage, "broken", &["run"]).await?, 2)?;
    let first = stage.status().await?.run;
    stage.client.batch_execute(MEND_CUSTOMER).await?;
    let report = stage.folder().join("report.json");
    let path = report.to_str().context("UTF-8")?;
    let arguments = ["run", "--table", "customer", "--report-json", path];
    expect_code(&run(&stage, "customer", &arguments).await?, 0)?;
    let status = stage.status().await?;
    assert_eq!((status.run.as_str(), status.state.as_str()), (first.as_str(), "partial"));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&report)?)?;
    assert_eq!(report["tables"].as_array().map(Vec::len), Some(1), "{report}");
    stage.client.batch_execute(MEND_ORDERS).await?;
    expect_code(&run(&stage, "rest", &["run"]).await?, 0)?;
    assert_eq!(stage.status().await?.run, first);
    stage.expect_equal().await
}

#[tokio::test]
async fn a_run_goes_on_by_its_id_whatever_its_age_and_its_configuration() -> Result<()> {
    let (stage, _worker, first) = partial(orders()).await?;
    age(&stage, 1_000).await?;
    stage.builder.clone().set("/sources/0/tables/0/batch_size", json!(10)).write(stage.folder())?;
    let chunks = stage.status().await?.chunks;
    expect_code(&run(&stage, "named", &["run", "--resume-run-id", &first]).await?, 0)?;
    let status = stage.status().await?;
    assert_eq!((status.run.as_str(), status.chunks), (first.as_str(), chunks), "the stored plan");
    stage.expect_equal().await?;
    for arguments in [&["run", "--resume-run-id", &first][..], &["retry", &first]] {
        let refused = run(&stage, "completed", arguments).await?;
        expect_code(&refused, 1)?;
        assert!(refused.stderr.contains("is completed"), "{}", refused.stderr);
    }
    let unknown = "0190aaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa";
    let refused = run(&stage, "unknown", &["run", "--resume-run-id", unknown]).await?;
    expect_code(&refused, 1)?;
    assert!(refused.stderr.contains(unknown), "{}", refused.stderr);
    Ok(())
}

#[tokio::test]
async fn a_superseded_run_is_not_revived_by_its_id() -> Result<()> {
    let stage = Stage::set(orders().batch(1_000)).await?;
    expect_code(&run(&stage, "detached", &["run", "--detach"]).await?, 0)?;
    let first = stage.status().await?.run;
    let _worker = stage.worker("worker")?;
    expect_code(&run(&stage, "anew", &["run", "--no-resume"]).await?, 0)?;
    let refused = run(&stage, "refused", &["run", "--resume-run-id", &first]).await?;
    expect_code(&refused, 1)?;
    assert!(refused.stderr.contains("was superseded"), "{}", refused.stderr);
    Ok(())
}

#[tokio::test]
async fn a_planner_killed_between_two_plans_is_followed_by_one_that_plans_the_rest() -> Result<()> {
    const TABLES: i64 = 8;
    let numbers = 0..TABLES;
    let source = |n| {
        [
            format!("create table TPCH.SF.T{n} (ID number(38,0), NAME varchar)"),
            format!("insert into TPCH.SF.T{n} values (1, 'a'), (2, 'b')"),
        ]
    };
    let stage = Stage::set(Setting {
        source_sql: numbers.clone().flat_map(source).collect(),
        target_sql: numbers
            .clone()
            .map(|n| format!("create table t{n} (\"ID\" bigint primary key, \"NAME\" text)"))
            .collect(),
        entries: numbers
            .clone()
            .map(|n| {
                json!({
                    "enabled": true, "source": format!("T{n}"), "target": format!("t{n}"),
                    "uniqueness_columns": ["ID"],
                })
            })
            .collect(),
        ..Setting::default()
    })
    .await?;
    let mut planner =
        stage.fleet.planner("planner", &["run"])?.env("THAW_FAULT_POINTS", "between_plans=kill").spawn()?;
    assert_eq!(planner.wait(PATIENCE).await?, 137);
    // Some are planned at a time, so a few may have been stored when the first one was done.
    let planned = "select count(*) from migration_status.migration_table_status where plan is not null";
    let before = count(&stage, planned).await?;
    assert!((1..TABLES).contains(&before), "{before}");
    let first = stage.status().await?.run;
    let _worker = stage.worker("worker")?;
    // Its lease is the configuration's: four seconds.
    let next = thaw_harness::wait::until_some("the dead planner's lease to run out", PATIENCE, async || {
        let next = run(&stage, "next", &["run"]).await?;
        Ok((next.code != 3).then_some(next))
    });
    expect_code(&next.await?, 0)?;
    assert_eq!(stage.status().await?.run, first);
    assert_eq!(count(&stage, planned).await?, TABLES);
    let versions = "select max(plan_version)::bigint from migration_status.migration_table_status";
    assert_eq!(count(&stage, versions).await?, 1, "no table was planned twice");
    for number in numbers {
        stage.expect_table_equal(&format!("TPCH.SF.T{number}"), &format!("t{number}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn note_18_of_two_planners_at_a_time_one_goes_on_and_the_other_ends_with_3_and_its_id() -> Result<()> {
    let stage = Stage::set(orders().batch(1_000)).await?;
    expect_code(&run(&stage, "detached", &["run", "--detach"]).await?, 0)?;
    let dead = stage.status().await?.run;
    // Over nothing, and over a run whose planner has left.
    for round in ["resumed", "fresh"] {
        let mut planners = Vec::new();
        for number in 0..2 {
            planners.push(stage.fleet.planner(&format!("{round}-{number}"), &["run"])?.spawn()?);
        }
        let refused = thaw_harness::wait::until_some("one planner to be refused", PATIENCE, async || {
            for planner in &mut planners {
                if planner.status()?.is_some() {
                    return Ok(Some((planner.id(), planner.stderr()?)));
                }
            }
            Ok(None)
        })
        .await?;
        let current = stage.status().await?.run;
        assert_eq!(round == "resumed", current == dead);
        assert!(refused.1.contains(&current), "{}", refused.1);
        let worker = stage.worker(&format!("worker-{round}"))?;
        for mut planner in planners {
            let code = planner.wait(PATIENCE).await?;
            assert_eq!(code, if planner.id() == refused.0 { 3 } else { 0 }, "{}", planner.stderr()?);
        }
        drop(worker);
        stage.expect_equal().await?;
    }
    Ok(())
}
