//! Redispatch: what was lost is told again, bounded and ever more rarely; the dead are buried.

use std::time::Duration;

use futures_util::future::join_all;
use thaw_model::{ChunkId, Job, RunState, WorkerId};
use thaw_status::{Claim, LoadTx, Settlement};

use crate::fixture::{Store, claimed, insert_rows, load, long, new_chunk, new_plan, new_table, report};

fn chunks(jobs: &[Job]) -> Vec<i32> {
    jobs.iter()
        .filter_map(|job| match job {
            Job::Chunk { chunk, .. } => Some(chunk.number),
            Job::Table { .. } => None,
        })
        .collect()
}

async fn all_are_due(store: &Store) {
    let due = "update migration_status.migration_chunk_status set redispatch_at = now() - interval '1 s' where redispatch_at is not null";
    store.client.batch_execute(due).await.expect("sets back");
}

#[tokio::test]
async fn first_hints_are_left_alone_then_repeated_and_back_off() {
    let mut store = Store::create().await;
    let _loading = store.loading(5, long()).await;
    let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
    assert!(found.had_turn);
    assert_eq!(found.jobs, vec![], "the first hints are on their way");
    let mut waits = Vec::new();
    for _ in 0..3 {
        all_are_due(&store).await;
        let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
        assert_eq!(chunks(&found.jobs), vec![0, 1, 2, 3, 4]);
        let wait: f64 = store
            .one("select max(extract(epoch from redispatch_at - now()))::float8 from migration_status.migration_chunk_status")
            .await;
        waits.push(wait.round());
        let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
        assert_eq!(found.jobs, vec![], "told just now");
    }
    assert_eq!(waits, vec![60.0, 120.0, 240.0]);
}

#[tokio::test]
async fn never_claimed_chunks_wait_while_their_table_is_busy_and_due_retries_do_not() {
    let mut store = Store::create().await;
    let loading = store.loading(5, long()).await;
    let worker = WorkerId::generate("worker");
    let chunk = claimed(&store.client, loading.run, loading.chunk(4), &worker).await;
    let retry = Settlement::Retry { delay: Duration::ZERO, error: report("network") };
    thaw_status::settle(&store.client, &chunk, &retry).await.expect("settles");
    all_are_due(&store).await;
    let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
    assert_eq!(chunks(&found.jobs), vec![4]);
}

#[tokio::test]
async fn a_tick_is_bounded_and_one_process_has_it() {
    let mut store = Store::create().await;
    let _loading = store.loading(300, long()).await;
    all_are_due(&store).await;
    let mut clients = join_all((0..8).map(|_| store.connect())).await;
    let ticks = join_all(clients.iter_mut().map(|client| thaw_status::redispatch(client, 50))).await;
    let mut told = Vec::new();
    for tick in ticks {
        let tick = tick.expect("looks");
        assert!(tick.jobs.len() <= 52, "{}", tick.jobs.len());
        told.extend(chunks(&tick.jobs));
    }
    let count = told.len();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), count, "no chunk is told of twice");
}

#[tokio::test]
async fn a_chunk_that_kills_its_workers_fails_when_its_budget_is_used_up() {
    let mut store = Store::create().await;
    let loading = store.loading(2, long()).await;
    for attempt in 0..3 {
        let worker = WorkerId::generate("worker");
        let chunk = claimed(&store.client, loading.run, loading.chunk(0), &worker).await;
        assert_eq!(chunk.failures, attempt);
        store.lapse(chunk.id).await;
        let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
        if attempt < 2 {
            assert_eq!((chunks(&found.jobs), found.lost), (vec![0], vec![]));
        } else {
            assert_eq!((chunks(&found.jobs), found.lost), (vec![], vec![(loading.run, chunk.id)]));
        }
    }
    assert_eq!(store.chunk_state(loading.chunk(0)).await, "failed");
    let class: String =
        store.one("select error_class from migration_status.migration_chunk_status where chunk_no = 0").await;
    assert_eq!(class, "lease_lost");
}

#[tokio::test]
async fn the_session_of_a_frozen_owner_is_ended_and_its_chunk_goes_on() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let (frozen, other) = (WorkerId::generate("worker"), WorkerId::generate("worker"));
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &frozen).await;
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    insert_rows(&open, &chunk).await;
    assert_eq!(
        thaw_status::end_zombies(&store.client).await.expect("looks"),
        vec![],
        "its lease is not over"
    );
    store.lapse(chunk.id).await;
    let zombies = thaw_status::end_zombies(&store.client).await.expect("ends");
    assert_eq!(zombies.len(), 1);
    assert!(zombies[0].ended && zombies[0].chunk == chunk.id, "{zombies:?}");
    let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
    assert_eq!(chunks(&found.jobs), vec![0]);
    let mut successor = store.connect().await;
    let taken = claimed(&successor, loading.run, chunk.id, &other).await;
    load(&mut successor, &taken).await;
    assert!(open.rollback().await.is_err(), "its session is gone");
    assert_eq!(store.one::<i64>("select count(*) from public.rows").await, 10);
}

#[tokio::test]
async fn a_chunk_whose_load_is_still_open_is_not_failed_by_redispatch() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    let spent = "update migration_status.migration_chunk_status set failures = 2";
    store.client.batch_execute(spent).await.expect("sets");
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    store.lapse(chunk.id).await;
    let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
    assert_eq!(found.lost, vec![]);
    open.rollback().await.expect("rolls back");
    let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
    assert_eq!(found.lost.len(), 1);
}

#[tokio::test]
async fn a_table_behind_a_dead_planner_is_told_to_start() {
    let mut store = Store::create().await;
    let (planner, tables) = store.reserve(&[new_table("rows")], long()).await;
    thaw_status::store_plan(&mut store.client, &planner, tables[0].id, &new_plan(1)).await.expect("stores");
    thaw_status::mark_run_planned(&store.client, &planner).await.expect("marks");
    thaw_status::release_planner(&store.client, &planner).await.expect("leaves");
    let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
    let table =
        Job::Table { database: store.database.name().to_owned(), run: planner.run, table: tables[0].id };
    assert_eq!(found.jobs, vec![table]);
}

#[tokio::test]
async fn a_capped_table_has_so_many_chunks_under_way_and_no_more() {
    let mut store = Store::create().await;
    let mut capped = new_table("rows");
    capped.parallel_cap = Some(2);
    let (planner, tables) = store.reserve(&[capped], long()).await;
    let (run, table) = (planner.run, tables[0].id);
    let mut plan = new_plan(0);
    plan.chunks = (0..5).map(new_chunk).collect();
    thaw_status::store_plan(&mut store.client, &planner, table, &plan).await.expect("stores");
    thaw_status::start_table(&mut store.client, run, table).await.expect("starts");
    let hints = thaw_status::list_hints(&mut store.client, table, None, 1000).await.expect("takes");
    assert_eq!(chunks(&hints), vec![0, 1]);
    let none = thaw_status::table::take_hints_within_cap(&mut store.client, table).await.expect("takes");
    assert_eq!(none, vec![], "two are under way");
    all_are_due(&store).await;
    let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
    assert_eq!(chunks(&found.jobs), vec![0, 1], "their hints were lost; the others keep waiting");
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, run, ChunkId { table, number: 0 }, &worker).await;
    load(&mut client, &chunk).await;
    let next = thaw_status::table::take_hints_within_cap(&mut store.client, table).await.expect("takes");
    assert_eq!(chunks(&next), vec![2]);
}

#[tokio::test]
async fn a_message_that_comes_twice_costs_a_spare_claim() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    load(&mut client, &chunk).await;
    for _ in 0..3 {
        let claim = thaw_status::claim(&client, loading.run, chunk.id, &worker).await.expect("asks");
        let Claim::NotClaimable(recorded) = claim else { panic!("claimed twice") };
        let job =
            Job::Chunk { database: store.database.name().to_owned(), run: loading.run, chunk: chunk.id };
        assert!(recorded.is_of(&job));
    }
}

async fn planner_is_dead(store: &Store) {
    let dead = "update migration_status.migration_runs set planner_lease_until = now() - interval '1 s'";
    store.client.batch_execute(dead).await.expect("sets back");
}

#[tokio::test]
async fn a_run_ends_whose_planner_died_before_it_could_say_that_all_is_planned() {
    let mut store = Store::create().await;
    let (planner, tables) = store.reserve(&[new_table("rows"), new_table("others")], long()).await;
    let (run, first, second) = (planner.run, tables[0].id, tables[1].id);
    let worker = WorkerId::generate("worker");
    for table in [first, second] {
        planner_is_dead(&store).await;
        let ended = thaw_status::end_finished_runs(&mut store.client).await.expect("looks");
        assert_eq!(ended, vec![], "a table has no plan");
        let planned: bool =
            store.one("select planned_at is not null from migration_status.migration_runs").await;
        assert!(!planned, "a table has no plan");
        thaw_status::store_plan(&mut store.client, &planner, table, &new_plan(0)).await.expect("stores");
        thaw_status::start_table(&mut store.client, run, table).await.expect("starts");
        let claim = thaw_status::claim_finalize(&mut store.client, run, table, &worker).await.expect("asks");
        let claim = claim.expect("a table without chunks is ready");
        thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await.expect("finishes");
        assert_eq!(thaw_status::end_run(&mut store.client, run).await.expect("asks"), None);
    }
    let alive =
        "update migration_status.migration_runs set planner_lease_until = now() + interval '1 minute'";
    store.client.batch_execute(alive).await.expect("sets");
    let ended = thaw_status::end_finished_runs(&mut store.client).await.expect("looks");
    assert_eq!(ended, vec![], "a living planner says it itself");
    planner_is_dead(&store).await;
    let ended = thaw_status::end_finished_runs(&mut store.client).await.expect("looks");
    assert_eq!(ended, vec![(run, RunState::Completed)]);
}
