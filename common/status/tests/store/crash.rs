//! A randomised crash test: workers die and freeze at every point of a chunk's life, hints are lost and doubled, and
//! every row arrives once. The control, the same without a fence, must go wrong: a test that cannot fail proves nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use thaw_model::{ChunkId, PhaseTimes, RunId, RunState, TableId, WorkerId};
use thaw_status::{Claim, ClaimedChunk, LoadTx, Redispatched};
use tokio_postgres::Client;

use crate::fixture::{Store, settings, ten_rows};

const CHUNKS: i64 = 24;
const WORKERS: usize = 8;
const LEASE: Duration = Duration::from_millis(300);
const TIME_LIMIT: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, PartialEq)]
enum Fencing {
    On,
    Off,
}

struct Shared {
    url: String,
    run: RunId,
    table: TableId,
    fencing: Fencing,
    finalized: AtomicI64,
}

/// Runs a fleet over one table until its run has ended; returns how many finalizers there were.
async fn run_fleet(store: &mut Store, fencing: Fencing) -> i64 {
    let mut fast = settings(LEASE);
    fast.first_hint = Duration::from_millis(100);
    // Deaths count; here a budget must not end a chunk.
    let mut table = crate::fixture::new_table("rows");
    table.max_attempts = 1000;
    let (planner, tables) = store.reserve(&[table], fast).await;
    let (run, table) = (planner.run, tables[0].id);
    let plan = crate::fixture::new_plan(CHUNKS);
    thaw_status::store_plan(&mut store.client, &planner, table, &plan).await.expect("stores");
    thaw_status::mark_run_planned(&store.client, &planner).await.expect("marks");
    thaw_status::start_table(&mut store.client, run, table).await.expect("starts");
    let shared =
        Arc::new(Shared { url: store.database.url(), run, table, fencing, finalized: AtomicI64::new(0) });
    let workers: Vec<_> = (0..WORKERS).map(|_| tokio::spawn(worker(Arc::clone(&shared)))).collect();
    let started = Instant::now();
    while thaw_status::run_state(&store.client, run).await.expect("reads") == Some(RunState::Running) {
        assert!(started.elapsed() < TIME_LIMIT, "the run did not end by itself");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for worker in workers {
        worker.await.expect("no worker panics");
    }
    assert_eq!(thaw_status::run_state(&store.client, run).await.expect("reads"), Some(RunState::Completed));
    shared.finalized.load(Ordering::SeqCst)
}

async fn connect(shared: &Shared) -> Client {
    loop {
        if let Ok((client, connection)) = tokio_postgres::connect(&shared.url, tokio_postgres::NoTls).await {
            tokio::spawn(connection);
            return client;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One worker process after another: each lives until it dies.
async fn worker(shared: Arc<Shared>) {
    let mut client = connect(&shared).await;
    let mut name = WorkerId::generate("worker");
    loop {
        let state = thaw_status::run_state(&client, shared.run).await;
        match state {
            Ok(Some(RunState::Running)) => {}
            Ok(_) => return,
            Err(_) => {
                client = connect(&shared).await;
                continue;
            }
        }
        if step(&shared, &mut client, &name).await.is_none() {
            // Dead: its session goes with it, its lease stays.
            client = connect(&shared).await;
            name = WorkerId::generate("worker");
        }
    }
}

/// A tick of redispatch and a hint or two; `None`: the worker has died.
async fn step(shared: &Shared, client: &mut Client, worker: &WorkerId) -> Option<()> {
    if shared.fencing == Fencing::On {
        drop(thaw_status::end_zombies(client).await);
    }
    let Redispatched { jobs, .. } = thaw_status::redispatch(client, 500).await.ok()?;
    // Hints: what redispatch says, doubled, lost, and some out of the blue.
    let mut hints: Vec<i32> = jobs
        .iter()
        .filter_map(|job| match job {
            thaw_model::Job::Chunk { chunk, .. } => Some(chunk.number),
            thaw_model::Job::Table { .. } => None,
        })
        .filter(|_| rand::rng().random_bool(0.7))
        .take(2)
        .collect();
    hints.push(rand::rng().random_range(0..i32::try_from(CHUNKS).expect("is small")));
    for number in hints {
        let id = ChunkId { table: shared.table, number };
        let Claim::Claimed(chunk) = thaw_status::claim(client, shared.run, id, worker).await.ok()? else {
            continue;
        };
        if die(0.1) {
            return None;
        }
        load(shared, client, &chunk).await?;
    }
    finalize(shared, client, worker).await
}

async fn finalize(shared: &Shared, client: &mut Client, worker: &WorkerId) -> Option<()> {
    let claim = thaw_status::claim_finalize(client, shared.run, shared.table, worker).await.ok()?;
    if let Some(claim) = claim {
        if die(0.3) {
            return None;
        }
        if thaw_status::finish_finalize(client, &claim, None, &[]).await.is_ok() {
            shared.finalized.fetch_add(1, Ordering::SeqCst);
        }
        if die(0.3) {
            return None;
        }
    }
    thaw_status::end_finished_runs(client).await.ok().map(drop)
}

async fn load(shared: &Shared, client: &mut Client, chunk: &ClaimedChunk) -> Option<()> {
    if shared.fencing == Fencing::Off {
        return load_without_fence(client, chunk).await;
    }
    // A lost fence is the end of this chunk, not of the worker.
    let Ok(load) = LoadTx::begin(client, chunk).await else { return Some(()) };
    // Its session may have been ended meanwhile.
    if load.transaction().execute(INSERT, &[&chunk.id.number]).await.is_err() || die(0.1) {
        return None;
    }
    freeze().await;
    let Ok(completed) = load.complete(ten_rows(), PhaseTimes::default()).await else { return Some(()) };
    if die(0.1) {
        return None;
    }
    // The answer of one COMMIT in ten is never heard.
    if die(0.1) {
        drop(completed.commit().await);
        return None;
    }
    drop(completed.commit().await);
    Some(())
}

/// What a naive worker does: rows in one transaction, the status by its number alone.
async fn load_without_fence(client: &mut Client, chunk: &ClaimedChunk) -> Option<()> {
    client.execute(INSERT, &[&chunk.id.number]).await.ok()?;
    if die(0.1) {
        return None;
    }
    freeze().await;
    let completed = "update migration_status.migration_chunk_status
        set status = 'completed', finished_at = now(), lease_until = null, redispatch_at = null, fetched_rows = 10, inserted_rows = 10,
            updated_rows = 0, kept_rows = 0, deduplicated_rows = 0, quarantined_rows = 0, bytes = 0
        where table_id = $1 and chunk_no = $2 and status = 'in_progress'";
    client.execute(completed, &[&chunk.id.table.0, &chunk.id.number]).await.ok()?;
    Some(())
}

fn die(probability: f64) -> bool {
    rand::rng().random_bool(probability)
}

/// A pause beyond the lease now and then, as a stopped virtual machine has.
async fn freeze() {
    if rand::rng().random_bool(0.1) {
        tokio::time::sleep(LEASE * 3).await;
    }
}

const INSERT: &str = "insert into public.rows select $1, generate_series(1, 10)";
const WRONG: &str =
    "select count(*) from (select c from generate_series(0, 23) c left join public.rows r on r.chunk = c
    group by c having count(r.n) <> 10 or count(distinct r.n) <> 10) wrong";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_arrives_once_however_workers_die() {
    let mut store = Store::create().await;
    let started = Instant::now();
    let mut rounds = 0;
    while started.elapsed() < Duration::from_secs(12) {
        store.client.batch_execute("truncate public.rows").await.expect("truncates");
        let finalizers = run_fleet(&mut store, Fencing::On).await;
        assert_eq!(store.one::<i64>(WRONG).await, 0, "round {rounds}: rows are lost or doubled");
        assert_eq!(finalizers, 1, "round {rounds}");
        rounds += 1;
    }
    assert!(rounds >= 2, "{rounds} rounds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fence_the_same_test_goes_wrong() {
    let mut store = Store::create().await;
    run_fleet(&mut store, Fencing::Off).await;
    assert!(store.one::<i64>(WRONG).await > 0, "the test above would not notice lost or doubled rows");
}
