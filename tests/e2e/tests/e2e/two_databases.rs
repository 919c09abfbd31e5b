//! One run over two target databases: it has its rows in each, ends in each, and the worst end is its end.

use anyhow::{Result, ensure};
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::{Finished, Fleet, TestDatabase};
use tokio_postgres::Client;

const SOURCE: &str = "create table TPCH.SF.T (ID number(38,0), NAME varchar)";
const TARGET: &str = "create table t (\"ID\" bigint primary key, \"NAME\" text)";
const STATES: &str =
    "select run_id::text, status from migration_status.migration_runs order by started_at, run_id";

struct Two {
    stage: Stage,
    other: TestDatabase,
    client: Client,
}

/// The same table goes to both databases, fifty rows in five chunks.
async fn set() -> Result<Two> {
    let rows: Vec<String> = (0..50).map(|id| format!("({id}, 'name {id}')")).collect();
    let entry = json!({
        "enabled": true, "source": "T", "target": "t", "uniqueness_columns": ["ID"], "chunking_columns": ["ID"],
    });
    let setting = Setting {
        source_sql: vec![SOURCE.into(), format!("insert into TPCH.SF.T values {}", rows.join(", "))],
        target_sql: vec![TARGET.into()],
        entries: vec![entry],
        ..Setting::default()
    };
    let mut stage = Stage::set(setting.batch(10)).await?;
    let other = TestDatabase::create().await;
    let client = other.connect().await?;
    client.batch_execute(TARGET).await?;
    let first = stage.builder.value()["sources"][0].clone();
    let mut second = first.clone();
    second["source_name"] = json!("others");
    second["target_pg_database"] = json!(other.name());
    stage.builder = stage.builder.clone().set("/sources", json!([first, second]));
    stage.fleet = Fleet::new(stage.folder(), &stage.builder)?;
    Ok(Two { stage, other, client })
}

impl Two {
    async fn planner(&self, name: &str, arguments: &[&str], code: i32) -> Result<Finished> {
        let finished = self.stage.fleet.planner(name, arguments)?.run(PATIENCE).await?;
        ensure!(finished.code == code, "{}: {}{}", finished.code, finished.stdout, finished.stderr);
        Ok(finished)
    }

    /// Runs with their states, here and there.
    async fn runs(&self) -> Result<[Vec<(String, String)>; 2]> {
        Ok([runs(&self.stage.client).await?, runs(&self.client).await?])
    }

    async fn rows(&self) -> Result<[i64; 2]> {
        let count = async |client: &Client| -> Result<i64> {
            Ok(client.query_one("select count(distinct \"ID\") from t", &[]).await?.get(0))
        };
        Ok([count(&self.stage.client).await?, count(&self.client).await?])
    }
}

/// The oldest first; none where the status tables are not there yet.
async fn runs(client: &Client) -> Result<Vec<(String, String)>> {
    let made = "select to_regclass('migration_status.migration_runs') is not null";
    if !client.query_one(made, &[]).await?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    Ok(client.query(STATES, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

#[tokio::test]
async fn a_run_has_its_rows_in_each_database_and_one_worker_serves_both() -> Result<()> {
    let two = set().await?;
    let _worker = two.stage.worker("worker")?;
    let finished = two.planner("planner", &["run"], 0).await?;
    ensure!(two.rows().await? == [50, 50], "{}", finished.stdout);
    let [here, there] = two.runs().await?;
    ensure!(here == there && here.len() == 1 && here[0].1 == "completed", "{here:?} {there:?}");
    let status = two.planner("status", &["status", "--json"], 0).await?;
    for name in [two.stage.target.name(), two.other.name()] {
        ensure!(status.stdout.contains(name), "{name} is not in {}", status.stdout);
    }
    Ok(())
}

#[tokio::test]
async fn the_worse_end_counts_and_a_resume_reads_only_what_failed() -> Result<()> {
    let two = set().await?;
    two.client.batch_execute("alter table t add constraint no_name check (\"ID\" <> 33)").await?;
    let _worker = two.stage.worker("worker")?;
    two.planner("first", &["run"], 2).await?;
    let [here, there] = two.runs().await?;
    ensure!(here[0].0 == there[0].0, "{here:?} {there:?}");
    ensure!((here[0].1.as_str(), there[0].1.as_str()) == ("completed", "partial"), "{here:?} {there:?}");
    ensure!(two.rows().await? == [50, 40]);
    two.client.batch_execute("alter table t drop constraint no_name").await?;
    two.stage.emulator.clear_statements().await?;
    two.planner("second", &["run"], 0).await?;
    ensure!(two.runs().await? == [here, vec![(there[0].0.clone(), "completed".to_owned())]]);
    ensure!(two.rows().await? == [50, 50]);
    let reads = two.stage.emulator.statements("\"NAME\"").await?;
    ensure!(reads.len() == 1, "one chunk is read again: {reads:?}");
    Ok(())
}

#[tokio::test]
async fn a_database_that_refuses_cancels_what_the_others_have_been_told() -> Result<()> {
    let two = set().await?;
    // The later of the two by name is held by a run of its own.
    let (first, second, source) = if two.stage.target.name() < two.other.name() {
        (&two.stage.client, &two.client, "others")
    } else {
        (&two.client, &two.stage.client, "tests")
    };
    let mut holder = two.stage.fleet.planner("holder", &["run", "--source", source])?.spawn()?;
    let is_held = async || Ok(runs(second).await?.iter().any(|(_, state)| state == "running"));
    thaw_harness::wait::until("a run to hold the table", PATIENCE, is_held).await?;
    let refused = two.planner("refused", &["run"], 3).await?;
    let held = runs(second).await?;
    ensure!(held.len() == 1 && refused.stderr.contains(&held[0].0), "{held:?}: {}", refused.stderr);
    let told = runs(first).await?;
    ensure!(told.iter().all(|(_, state)| state == "cancelled"), "{told:?}");
    let _worker = two.stage.worker("worker")?;
    ensure!(holder.wait(PATIENCE).await? == 0, "{}", holder.stderr()?);
    two.planner("again", &["run"], 0).await?;
    ensure!(two.rows().await? == [50, 50]);
    Ok(())
}
