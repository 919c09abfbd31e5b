//! One run a target, and one planner a run.

use std::time::Duration;

use futures_util::future::join_all;
use thaw_model::{Fence, TableState, WorkerId};
use thaw_status::{Reservation, Start, StoreError};

use crate::fixture::{PLANNER_LEASE, Store, long, new_plan, new_run, new_table, report};

#[tokio::test]
async fn of_planners_that_want_one_target_one_gets_it_and_the_others_learn_who() {
    let store = Store::create().await;
    let mut clients = join_all((0..8).map(|_| store.connect())).await;
    for round in 0..20 {
        let tables = [new_table(&format!("a{round}")), new_table(&format!("b{round}"))];
        let results =
            join_all(
                clients.iter_mut().map(|client| {
                    let tables = &tables;
                    async move {
                        thaw_status::reserve_run(client, &new_run(long()), tables).await.expect("reserves")
                    }
                }),
            )
            .await;
        let winners: Vec<_> = results
            .iter()
            .filter_map(|result| match result {
                Reservation::Reserved { planner, .. } => Some(planner.run),
                Reservation::HeldBy(_) => None,
            })
            .collect();
        assert_eq!(winners.len(), 1, "round {round}");
        for result in results {
            if let Reservation::HeldBy(holder) = result {
                assert_eq!(holder.run, winners[0]);
                assert!(holder.planner_alive && !holder.planned, "{holder:?}");
            }
        }
        let runs: i64 = store.one("select count(*) from migration_status.migration_runs").await;
        assert_eq!(runs, round + 1, "the losers left nothing");
    }
}

#[tokio::test]
async fn a_planner_that_was_taken_over_writes_nothing_more() {
    let mut store = Store::create().await;
    let (old, tables) = store.reserve(&[new_table("rows")], long()).await;
    let other = WorkerId::generate("planner");
    let taken =
        thaw_status::take_over_run(&store.client, old.run, &other, PLANNER_LEASE).await.expect("asks");
    assert_eq!(taken, None, "its planner lives");
    assert!(thaw_status::renew_planner(&store.client, &old, Duration::ZERO).await.expect("renews"));
    let mut clients = join_all((0..6).map(|_| store.connect())).await;
    let claims = join_all(clients.iter_mut().map(|client| async {
        let planner = WorkerId::generate("planner");
        thaw_status::take_over_run(client, old.run, &planner, PLANNER_LEASE).await.expect("asks")
    }))
    .await;
    let claims: Vec<_> = claims.into_iter().flatten().collect();
    assert_eq!(claims.len(), 1, "one takes it over");
    assert_eq!(claims[0].fence, Fence(2));
    assert!(!thaw_status::renew_planner(&store.client, &old, PLANNER_LEASE).await.expect("asks"));
    let stored = thaw_status::store_plan(&mut store.client, &old, tables[0].id, &new_plan(2)).await;
    assert!(matches!(stored, Err(StoreError::FenceLost)));
    assert_eq!(store.one::<i64>("select count(*) from migration_status.migration_chunk_status").await, 0);
    let new = &claims[0];
    thaw_status::store_plan(&mut store.client, new, tables[0].id, &new_plan(2)).await.expect("stores");
    let again = thaw_status::store_plan(&mut store.client, new, tables[0].id, &new_plan(2)).await;
    assert!(matches!(again, Err(StoreError::FenceLost)), "planned once");
}

#[tokio::test]
async fn a_planner_that_leaves_may_be_followed_at_once() {
    let mut store = Store::create().await;
    let (old, _) = store.reserve(&[new_table("rows")], long()).await;
    thaw_status::release_planner(&store.client, &old).await.expect("leaves");
    // Its heartbeat may go on while its worker drains: the hold does not come back.
    assert!(!thaw_status::renew_planner(&store.client, &old, PLANNER_LEASE).await.expect("asks"));
    let other = WorkerId::generate("planner");
    let taken =
        thaw_status::take_over_run(&store.client, old.run, &other, PLANNER_LEASE).await.expect("asks");
    assert!(taken.is_some());
}

#[tokio::test]
async fn entries_of_one_target_hold_it_one_after_the_other() {
    let mut store = Store::create().await;
    let mut second = new_table("rows");
    second.entry = "second entry".into();
    let (planner, tables) = store.reserve(&[new_table("rows"), second], long()).await;
    assert_eq!(tables.iter().map(|table| table.holds_target).collect::<Vec<_>>(), vec![true, false]);
    for table in &tables {
        thaw_status::store_plan(&mut store.client, &planner, table.id, &new_plan(0)).await.expect("stores");
    }
    thaw_status::mark_run_planned(&store.client, &planner).await.expect("marks");
    let early = thaw_status::start_table(&mut store.client, planner.run, tables[1].id).await.expect("asks");
    assert!(matches!(early, Start::NotStartable(_)), "the first one holds the target");
    let worker = WorkerId::generate("worker");
    for table in &tables {
        let start = thaw_status::start_table(&mut store.client, planner.run, table.id).await.expect("starts");
        assert!(matches!(start, Start::Started(_)), "{start:?}");
        let claim = thaw_status::claim_finalize(&mut store.client, planner.run, table.id, &worker).await;
        let claim = claim.expect("asks").expect("ready");
        let finished =
            thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await.expect("finishes");
        assert_eq!(finished.state, TableState::Completed);
    }
    assert!(thaw_status::end_run(&mut store.client, planner.run).await.expect("ends").is_some());
    let (_, free) = store.reserve(&[new_table("rows")], long()).await;
    assert!(free[0].holds_target);
}

#[tokio::test]
async fn a_superseded_run_gives_its_targets_up_and_its_planner_learns_it() {
    let mut store = Store::create().await;
    let loading = store.loading(2, long()).await;
    let held = thaw_status::reserve_run(&mut store.client, &new_run(long()), &[new_table("rows")]).await;
    assert!(matches!(held.expect("asks"), Reservation::HeldBy(holder) if holder.planned));
    assert!(!thaw_status::supersede_run(&mut store.client, loading.run).await.expect("asks"), "it lives");
    assert!(thaw_status::renew_planner(&store.client, &loading.planner, Duration::ZERO).await.expect("dies"));
    assert!(thaw_status::supersede_run(&mut store.client, loading.run).await.expect("supersedes"));
    assert_eq!(store.chunk_state(loading.chunk(1)).await, "superseded");
    assert!(!thaw_status::renew_planner(&store.client, &loading.planner, PLANNER_LEASE).await.expect("asks"));
    store.reserve(&[new_table("rows")], long()).await;
}

#[tokio::test]
async fn a_table_that_cannot_be_planned_fails_with_its_reason() {
    let mut store = Store::create().await;
    let (planner, tables) = store.reserve(&[new_table("rows")], long()).await;
    thaw_status::fail_table(&mut store.client, &planner, tables[0].id, &report("no_arbiter"))
        .await
        .expect("fails");
    assert_eq!(store.table_state(tables[0].id).await, "failed");
    let again = thaw_status::fail_table(&mut store.client, &planner, tables[0].id, &report("x")).await;
    assert!(matches!(again, Err(StoreError::FenceLost)));
}
