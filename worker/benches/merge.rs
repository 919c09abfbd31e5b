//! A mostly identical upsert, 3 percent of the rows changed and scattered, beside the plain one: time of the merge,
//! dead rows, WAL. `cargo bench --package thaw-worker --bench merge -- 0.1` takes a tenth of the million rows.
//!
//! Prints `BENCH name value unit`. The stage is filled by the server itself: COPY is the same in both,
//! and that no key is repeated is what the encoder tells. The server writes full pages to its WAL, as in production.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use thaw_harness::{Fsync, PostgresOptions, PostgresServer, TestDatabase};
use thaw_model::plan::{Arbiter, LoadMode};
use thaw_model::{PgIdent, SourceType, TablePlan};
use thaw_worker::load::merge_statements;
use tokio_postgres::Client;

#[path = "../tests/rows/support.rs"]
#[expect(dead_code, reason = "the tests' plans; their encoders are not needed here")]
mod support;

const ROWS: f64 = 1_000_000.0;
/// As an entry with six columns has it.
const TARGET: &str = "
    create table t (id bigint primary key, name text, amount numeric(12,2), note varchar(200), born date, at timestamp)
      with (autovacuum_enabled = off)";

/// The merge as it would be without any of our conditions.
const PLAIN: &str = "
    insert into t (id, name, amount, note, born, at)
    select distinct on (id) id, name, amount, note, born, at from pg_temp.thaw_stage
    order by id, at desc nulls last, thaw_ordinal desc
    on conflict (id) do update set name = excluded.name, amount = excluded.amount, note = excluded.note,
      born = excluded.born, at = excluded.at";

/// What a merge has cost.
struct Cost {
    seconds: f64,
    /// Of the server's session: what is left of a machine that others use as well.
    cpu_seconds: f64,
    dead_rows: i64,
    wal_bytes: i64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // Cargo gives `--bench` as well.
    let scale = std::env::args().find_map(|argument| argument.parse::<f64>().ok()).unwrap_or(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::as_conversions,
        reason = "a count of rows for a bench"
    )]
    let rows = (ROWS * scale) as i64;
    let options = PostgresOptions { fsync: Fsync::On, ..PostgresOptions::default() };
    let server = PostgresServer::start(&options)?;
    let plain = measure(&server, rows, Some(PLAIN)).await?;
    let ours = measure(&server, rows, None).await?;
    for (name, cost) in [("plain", &plain), ("ours", &ours)] {
        report(&format!("upsert_3_percent_{name}_merge"), format!("{:.3} s", cost.seconds));
        report(&format!("upsert_3_percent_{name}_merge_cpu"), format!("{:.2} s", cost.cpu_seconds));
        report(&format!("upsert_3_percent_{name}_dead_rows"), format!("{} rows", cost.dead_rows));
        report(&format!("upsert_3_percent_{name}_wal"), format!("{} bytes", cost.wal_bytes));
    }
    report("upsert_3_percent_time_ratio", format!("{:.3} of_plain", ours.seconds / plain.seconds));
    report("upsert_3_percent_cpu_ratio", format!("{:.3} of_plain", ours.cpu_seconds / plain.cpu_seconds));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench prints its numbers")]
fn report(name: &str, value: String) {
    println!("BENCH {name} {value}");
}

/// Fills a target and a stage, merges by `statement` or as the worker does, and commits.
async fn measure(server: &PostgresServer, rows: i64, statement: Option<&str>) -> Result<Cost> {
    let database = TestDatabase::create_on(&server.url()).await?;
    let mut client = database.connect().await?;
    client.batch_execute(TARGET).await?;
    client
        .batch_execute(&format!(
            "insert into t select n, 'name ' || n, n % 100000 * 1.25, repeat('note ', 8) || n,
               date '1950-01-01' + (n % 20000)::int, timestamp '2024-01-01' + n * interval '1 second'
             from generate_series(1, {rows}) n"
        ))
        .await?;
    client.batch_execute("vacuum analyze t").await?;
    client.batch_execute("checkpoint").await?;
    let plan = plan(&client).await;
    let [stage, analyze, merge] = merge_statements(&plan).context("the plan has an arbiter")?;
    let transaction = client.transaction().await?;
    transaction.batch_execute(&stage).await?;
    // Every thirty-third row is another, and the rows come in no order.
    transaction
        .batch_execute(
            "insert into pg_temp.thaw_stage
             select id, case when id % 33 = 0 then name || '!' else name end, amount, note, born,
                    case when id % 33 = 0 then at + interval '1 hour' else at end, row_number() over ()
             from t order by hashint8(id)",
        )
        .await?;
    let before = wal_position(&transaction).await?;
    let pid: i32 = transaction.query_one("select pg_backend_pid()", &[]).await?.get(0);
    let (cpu, began) = (cpu_seconds(pid)?, Instant::now());
    match statement {
        Some(statement) => transaction.batch_execute(statement).await?,
        None => {
            transaction.batch_execute(&analyze).await?;
            let counts = transaction.query_one(&merge, &[]).await?;
            ensure!(counts.get::<_, i64>("updated") == rows / 33, "a changed row was not written");
        }
    }
    let (seconds, cpu_seconds) = (began.elapsed().as_secs_f64(), cpu_seconds(pid)? - cpu);
    let wal_bytes = wal_position(&transaction).await? - before;
    transaction.commit().await?;
    client.batch_execute("select pg_stat_force_next_flush()").await?;
    let dead = "select n_dead_tup from pg_stat_user_tables where relname = 't'";
    Ok(Cost { seconds, cpu_seconds, wal_bytes, dead_rows: client.query_one(dead, &[]).await?.get(0) })
}

/// User and system time of a process, in hundredths as Linux counts them.
fn cpu_seconds(pid: i32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in parentheses, which may hold spaces.
    let (_, fields) = stat.rsplit_once(')').context("a process has a name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

async fn wal_position(client: &impl tokio_postgres::GenericClient) -> Result<i64> {
    let sql = "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

async fn plan(client: &Client) -> TablePlan {
    let text = SourceType::Text { length: None };
    let columns = [
        ("id", SourceType::Number { precision: 38, scale: 0 }),
        ("name", text),
        ("amount", SourceType::Number { precision: 12, scale: 2 }),
        ("note", text),
        ("born", SourceType::Date),
        ("at", SourceType::TimestampNtz { scale: 9 }),
    ];
    let mut plan = support::plan_for(client, "t", &columns).await;
    plan.load.mode = LoadMode::Upsert;
    plan.load.arbiter = Some(Arbiter {
        index: PgIdent::exact("t_pkey"),
        columns: vec![PgIdent::exact("id")],
        nulls_not_distinct: false,
    });
    plan.load.watermark = Some(PgIdent::exact("at"));
    plan
}
