//! Claim, heartbeat, settle, cancel: one winner, and no loser that writes.

use std::time::Duration;

use futures_util::future::join_all;
use thaw_model::{Fence, WorkerId};
use thaw_status::{Claim, LoadTx, Outcome, Settlement, Truth};

use crate::fixture::{self, Store, claimed, insert_rows, load, long, report, ten_rows};

#[tokio::test]
async fn of_many_that_claim_a_chunk_one_gets_it() {
    let mut store = Store::create().await;
    let loading = store.loading(10, long()).await;
    let clients = join_all((0..16).map(|_| store.connect())).await;
    for number in 0..10 {
        let chunk = loading.chunk(number);
        let claims = join_all(clients.iter().map(|client| async move {
            let worker = WorkerId::generate("worker");
            thaw_status::claim(client, loading.run, chunk, &worker).await.expect("claims")
        }))
        .await;
        let won = claims.iter().filter(|claim| matches!(claim, Claim::Claimed(_))).count();
        assert_eq!(won, 1);
        for claim in claims {
            if let Claim::NotClaimable(recorded) = claim {
                // Pending: the winner's row was still locked, and undecided counts as held.
                assert!(matches!(recorded.outcome(), Outcome::Held | Outcome::Pending), "{recorded:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_message_of_another_run_or_of_no_row_is_not_ours() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    for (run, chunk) in [(thaw_model::RunId::generate(), loading.chunk(0)), (loading.run, loading.chunk(7))] {
        let claim = thaw_status::claim(&store.client, run, chunk, &worker).await.expect("asks");
        let Claim::NotClaimable(recorded) = claim else { panic!("claimed {chunk}") };
        assert_eq!(recorded.outcome(), Outcome::NotOurs);
    }
}

#[tokio::test]
async fn a_chunk_is_claimable_only_while_its_table_loads() {
    let mut store = Store::create().await;
    let (planner, tables) = store.reserve(&[fixture::new_table("rows")], long()).await;
    let table = tables[0].id;
    thaw_status::store_plan(&mut store.client, &planner, table, &fixture::new_plan(1)).await.expect("stores");
    let chunk = thaw_model::ChunkId { table, number: 0 };
    let worker = WorkerId::generate("worker");
    let early = thaw_status::claim(&store.client, planner.run, chunk, &worker).await.expect("asks");
    assert!(matches!(early, Claim::NotClaimable(_)), "nobody loads before the start");
    thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    claimed(&store.client, planner.run, chunk, &worker).await;
}

#[tokio::test]
async fn a_lapsed_lease_is_taken_over_and_counts_once() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let (first, second) = (WorkerId::generate("worker"), WorkerId::generate("worker"));
    let old = claimed(&store.client, loading.run, loading.chunk(0), &first).await;
    assert_eq!((old.fence, old.failures), (Fence(1), 0));
    assert!(!format!("{old:?}").contains("low"), "a range is the user's data");
    store.lapse(old.id).await;
    let new = claimed(&store.client, loading.run, loading.chunk(0), &second).await;
    assert_eq!((new.fence, new.failures), (Fence(2), 1));
    assert_eq!(
        thaw_status::heartbeat(&store.client, &first, &[(old.id, old.fence)]).await.expect("asks"),
        vec![]
    );
    let settled = thaw_status::settle(&store.client, &old, &Settlement::Interrupted).await.expect("asks");
    assert!(!settled.written, "a lost fence writes nothing");
    assert_eq!(settled.recorded.outcome(), Outcome::Held);
    assert!(matches!(thaw_status::read_chunk(&store.client, &new).await.expect("reads"), Truth::StillMine));
}

#[tokio::test]
async fn a_heartbeat_passes_a_row_that_hangs_and_extends_the_others() {
    let mut store = Store::create().await;
    let loading = store.loading(3, long()).await;
    let worker = WorkerId::generate("worker");
    let mut held = Vec::new();
    for number in 0..3 {
        let chunk = claimed(&store.client, loading.run, loading.chunk(number), &worker).await;
        held.push((chunk.id, chunk.fence));
    }
    let mut hanging = store.connect().await;
    let locked = hanging.transaction().await.expect("begins");
    locked
        .execute(
            "select 1 from migration_status.migration_chunk_status where table_id = $1 and chunk_no = 1 for update",
            &[&loading.table.0],
        )
        .await
        .expect("locks");
    let before: std::time::SystemTime =
        store.one("select max(lease_until) from migration_status.migration_chunk_status").await;
    let extended = thaw_status::heartbeat(&store.client, &worker, &held).await.expect("extends");
    assert_eq!(extended, vec![loading.chunk(0), loading.chunk(2)]);
    let after: std::time::SystemTime = store
        .one("select min(lease_until) from migration_status.migration_chunk_status where chunk_no <> 1")
        .await;
    assert!(after > before);
    locked.rollback().await.expect("rolls back");
    assert_eq!(thaw_status::heartbeat(&store.client, &worker, &held).await.expect("extends").len(), 3);
}

#[tokio::test]
async fn retries_use_the_budget_up_and_nothing_else_does() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let zero = Duration::ZERO;
    let free = [Settlement::Interrupted, Settlement::Snooze { delay: zero, error: report("sqlstate_53300") }];
    for settlement in free {
        let chunk = claimed(&store.client, loading.run, loading.chunk(0), &worker).await;
        let settled = thaw_status::settle(&store.client, &chunk, &settlement).await.expect("settles");
        assert_eq!(settled.recorded.outcome(), Outcome::Pending);
    }
    for (attempt, outcome) in [(0, Outcome::Pending), (1, Outcome::Pending), (2, Outcome::Failed)] {
        let chunk = claimed(&store.client, loading.run, loading.chunk(0), &worker).await;
        assert_eq!(chunk.failures, attempt);
        let retry = Settlement::Retry { delay: zero, error: report("network") };
        let settled = thaw_status::settle(&store.client, &chunk, &retry).await.expect("settles");
        assert_eq!(settled.recorded.outcome(), outcome);
    }
    let class: String = store.one("select error_class from migration_status.migration_chunk_status").await;
    assert_eq!(class, "network");
}

#[tokio::test]
async fn a_settled_chunk_waits_until_it_is_due_and_a_fatal_one_fails_at_once() {
    let mut store = Store::create().await;
    let loading = store.loading(2, long()).await;
    let worker = WorkerId::generate("worker");
    let chunk = claimed(&store.client, loading.run, loading.chunk(0), &worker).await;
    let snooze = Settlement::Snooze { delay: Duration::from_secs(60), error: report("sqlstate_55P03") };
    thaw_status::settle(&store.client, &chunk, &snooze).await.expect("settles");
    let again = thaw_status::claim(&store.client, loading.run, chunk.id, &worker).await.expect("asks");
    let Claim::NotClaimable(recorded) = again else { panic!("claimed before it was due") };
    assert_eq!(recorded.outcome(), Outcome::Pending);

    let chunk = claimed(&store.client, loading.run, loading.chunk(1), &worker).await;
    let fatal = Settlement::Fatal { error: report("sqlstate_22003") };
    let settled = thaw_status::settle(&store.client, &chunk, &fatal).await.expect("settles");
    assert_eq!(settled.recorded.outcome(), Outcome::Failed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_commits_after_a_cancel_has_returned() {
    let mut store = Store::create().await;
    let (mut committed, mut loads) = (0, 0);
    for round in 0..20_u64 {
        let loading = store.loading(8, long()).await;
        let mut tasks = Vec::new();
        for number in 0..8 {
            let mut client = store.connect().await;
            let chunk = loading.chunk(number);
            let run = loading.run;
            loads += 1;
            tasks.push(tokio::spawn(async move {
                let worker = WorkerId::generate("worker");
                let Claim::Claimed(chunk) = thaw_status::claim(&client, run, chunk, &worker).await? else {
                    return Err(thaw_status::StoreError::FenceLost);
                };
                let load = LoadTx::begin(&mut client, &chunk).await?;
                insert_rows(&load, &chunk).await;
                let completed = load.complete(ten_rows(), thaw_model::PhaseTimes::default()).await?;
                completed.commit().await.map(drop).map_err(|_| thaw_status::StoreError::CommitRefused)
            }));
        }
        // Another moment of their lives in each round.
        tokio::time::sleep(Duration::from_millis(round)).await;
        let cancelled = thaw_status::cancel_run(&mut store.client, loading.run).await.expect("cancels");
        assert!(matches!(cancelled, thaw_status::Cancelled::Now { .. }));
        let count = "select count(*) from public.rows";
        let at_return: i64 = store.one(count).await;
        for task in tasks {
            // Claimed nothing, lost its fence, or committed before the cancel.
            let ended: Result<(), thaw_status::StoreError> = task.await.expect("no panic");
            committed += i32::from(ended.is_ok());
        }
        assert_eq!(store.one::<i64>(count).await, at_return, "round {round}");
        let open: i64 = store
            .one("select count(*) from migration_status.migration_chunk_status where status in ('pending', 'in_progress')")
            .await;
        assert_eq!(open, 0);
    }
    assert!(
        0 < committed && committed < loads,
        "{committed} of {loads}: the cancel came always too late or too early"
    );
}

#[tokio::test]
async fn a_fault_of_the_whole_table_stops_its_chunks_and_ends_it_partial() {
    let mut store = Store::create().await;
    let loading = store.loading(3, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    load(&mut client, &chunk).await;
    let met = claimed(&client, loading.run, loading.chunk(1), &worker).await;
    let halted =
        thaw_status::halt_table(&mut client, loading.run, loading.table, &report("sqlstate_42P01")).await;
    assert!(halted.expect("halts"));
    let Truth::Recorded(recorded) = thaw_status::read_chunk(&client, &met).await.expect("reads") else {
        panic!("the chunk is cancelled")
    };
    assert_eq!(recorded.outcome(), Outcome::Closed);
    let claim =
        thaw_status::claim_finalize(&mut client, loading.run, loading.table, &worker).await.expect("asks");
    let claim = claim.expect("no chunk is open");
    let finished = thaw_status::finish_finalize(&mut client, &claim, None, &[]).await.expect("finishes");
    assert_eq!(finished.state, thaw_model::TableState::Partial);
    let class: String = store.one("select error_class from migration_status.migration_table_status").await;
    assert_eq!(class, "sqlstate_42P01");
}
