//! The life of a statement that reads a whole table: written down, taken on, sent, looked at, cut, lost.

use std::time::{Duration, Instant};

use thaw_model::plan::OneScanPlan;
use thaw_model::range::ResultPart;
use thaw_model::{ChunkRange, ErrorReport, RunId, TableId, TablePlan, WorkerId};
use thaw_status::one_scan::{self, Again, CutResult, Looked, NewStatement, ScanClaim, Stored};
use thaw_status::{FleetSettings, NewChunk, NewPlan, StoreError};
use uuid::Uuid;

use crate::fixture::{Store, new_plan, new_table, settings};

const SECOND: Duration = Duration::from_secs(1);

fn statement() -> NewStatement {
    NewStatement { request_id: Uuid::new_v4(), digest: "digest".into() }
}

fn one_scan_plan() -> TablePlan {
    let scan = OneScanPlan { rows_per_chunk: 10, allow_empty: false, counted: None, is_over_rows: false };
    TablePlan { one_scan: Some(scan), ..new_plan(0).plan }
}

fn planned() -> NewPlan {
    NewPlan { plan: one_scan_plan(), watermark: None, expected_rows: Some(30), chunks: Vec::new() }
}

fn cut(chunks: u32) -> CutResult {
    let chunk = |first| NewChunk {
        range: ChunkRange::ResultPartitions {
            part: ResultPart { handle: "01b2".into(), first, rows: vec![10], bytes: 100 },
        },
        expected_rows: Some(10),
    };
    CutResult {
        plan: one_scan_plan(),
        rows: i64::from(chunks) * 10,
        partitions: i32::try_from(chunks).expect("fits"),
        bytes: i64::from(chunks) * 100,
        chunks: (0..chunks).map(chunk).collect(),
    }
}

fn error(class: &str) -> ErrorReport {
    ErrorReport { class: class.into(), text: "text".into() }
}

async fn written_down(store: &mut Store, settings: FleetSettings) -> ScanClaim {
    let (planner, tables) = store.reserve(&[new_table("rows")], settings).await;
    let table = tables[0].id;
    one_scan::store_scan(&mut store.client, &planner, table, &planned(), &statement()).await.expect("stores")
}

/// Everything that was to be looked at later is due, and every lease is over.
async fn age(store: &Store) {
    let sql = "update migration_status.migration_executions \
               set look_at = now() - interval '1 s', lease_until = least(lease_until, now() - interval '1 s')";
    store.client.batch_execute(sql).await.expect("ages");
}

async fn take(store: &Store) -> Vec<ScanClaim> {
    one_scan::take(&store.client, &WorkerId::generate("poller"), 8).await.expect("takes")
}

async fn execution_states(store: &Store, table: TableId) -> String {
    let sql = format!(
        "select string_agg(execution || ' ' || status, ', ' order by execution) \
         from migration_status.migration_executions where table_id = {table}"
    );
    store.one(&sql).await
}

#[tokio::test]
async fn a_statement_is_in_the_hands_of_who_wrote_it_down_and_of_who_comes_when_that_one_is_dead() {
    let mut store = Store::create().await;
    let claim = written_down(&mut store, settings(SECOND * 60)).await;
    assert_eq!(store.table_state(claim.table).await, "planning");
    assert!(take(&store).await.is_empty(), "its writer has it");
    assert_eq!(one_scan::begin_submit(&store.client, &claim).await.expect("begins"), Some(1));
    age(&store).await;
    let taken = take(&store).await.remove(0);
    assert_eq!((taken.submits, taken.request_id, &taken.handle), (1, claim.request_id, &None));
    assert!(taken.is_wanted && taken.fence > claim.fence);
    // The dead one wakes up.
    assert_eq!(one_scan::begin_submit(&store.client, &claim).await.expect("asks"), None);
    assert!(!one_scan::extend(&store.client, &claim).await.expect("asks"));
    assert!(!one_scan::note_handle(&store.client, &claim, "old", SECOND).await.expect("asks"));
    assert_eq!(one_scan::begin_submit(&store.client, &taken).await.expect("begins"), Some(2));
    assert!(one_scan::extend(&store.client, &taken).await.expect("extends"));
    assert!(one_scan::note_handle(&store.client, &taken, "01b2", SECOND * 60).await.expect("notes"));
    assert!(take(&store).await.is_empty(), "nobody looks before it is due");
    let next = one_scan::next_look(&store.client).await.expect("reads").expect("one is open");
    assert!(next > SECOND * 50 && next <= SECOND * 60, "{next:?}");
}

#[tokio::test]
async fn a_finished_statement_becomes_chunks_once_and_its_result_has_a_day() {
    let mut store = Store::create().await;
    let claim = written_down(&mut store, settings(SECOND * 60)).await;
    one_scan::begin_submit(&store.client, &claim).await.expect("begins");
    one_scan::note_handle(&store.client, &claim, "01b2", Duration::ZERO).await.expect("notes");
    let first = take(&store).await.remove(0);
    one_scan::look_again(&store.client, &first, Looked::InVain, Duration::ZERO).await.expect("gives back");
    let second = take(&store).await.remove(0);
    assert_eq!((second.failures, second.handle.as_deref()), (1, Some("01b2")));
    let stored = one_scan::store_partitions(&mut store.client, &first, &cut(3)).await.expect("asks");
    assert_eq!(stored, Stored::Left, "its fence is old");
    let stored = one_scan::store_partitions(&mut store.client, &second, &cut(3)).await.expect("stores");
    assert_eq!(stored, Stored::Planned);
    assert_eq!(store.table_state(second.table).await, "planned");
    let stored = one_scan::store_partitions(&mut store.client, &second, &cut(3)).await.expect("asks");
    assert_eq!(stored, Stored::Left);
    let chunks = "select count(*) from migration_status.migration_chunk_status \
                  where counted_exactly and expected_rows = 10 and execution = 1 and strategy = 'result_partitions'";
    assert_eq!(store.one::<i64>(chunks).await, 3);
    let day = "select expires_at - submitted_at = interval '24 hours' and row_count = 30 \
               from migration_status.migration_executions";
    assert!(store.one::<bool>(day).await);
    let past = one_scan::past_scans(&store.client, "entry of rows").await.expect("reads");
    assert!(past.statement.is_some() && past.pages.is_none(), "{past:?}");
    let none = one_scan::past_scans(&store.client, "another").await.expect("reads");
    assert_eq!(none, one_scan::PastScans::default());
    assert_eq!(one_scan::next_look(&store.client).await.expect("reads"), None);
}

#[tokio::test]
async fn a_lost_statement_is_followed_by_another_without_a_planner_and_the_third_loss_fails_the_table() {
    let mut store = Store::create().await;
    let mut claim = written_down(&mut store, settings(SECOND * 60)).await;
    let by = WorkerId::generate("worker");
    for execution in 1..=2 {
        let again = one_scan::begin_again(&mut store.client, &claim, &error("gone")).await.expect("asks");
        assert_eq!(again, Again::Execution(execution + 1));
        let late = one_scan::begin_again(&mut store.client, &claim, &error("gone")).await.expect("asks");
        assert_eq!(late, Again::Left, "of two that notice, one acts");
        let scan = one_scan::scans_to_prepare(&store.client, 8).await.expect("lists").remove(0);
        assert_eq!((scan.execution, scan.was_started), (execution + 1, false));
        let prepared = one_scan::prepare(&mut store.client, &scan, &one_scan_plan(), &statement(), &by).await;
        claim = prepared.expect("prepares").expect("nobody was faster");
        let twice = one_scan::prepare(&mut store.client, &scan, &one_scan_plan(), &statement(), &by).await;
        assert_eq!(twice.expect("asks"), None);
        assert!(one_scan::scans_to_prepare(&store.client, 8).await.expect("lists").is_empty());
    }
    assert_eq!(execution_states(&store, claim.table).await, "1 ended, 2 ended, 3 to_submit");
    let failed = one_scan::begin_again(&mut store.client, &claim, &error("gone")).await.expect("asks");
    assert_eq!(failed, Again::Failed);
    assert_eq!(store.table_state(claim.table).await, "failed");
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_taken_to_be_cancelled() {
    let mut store = Store::create().await;
    let claim = written_down(&mut store, settings(SECOND * 60)).await;
    one_scan::begin_submit(&store.client, &claim).await.expect("begins");
    one_scan::note_handle(&store.client, &claim, "01b2", SECOND * 60).await.expect("notes");
    let (run, by): (RunId, _) = (claim.run, WorkerId::generate("planner"));
    assert!(one_scan::take_unwanted(&store.client, &by, run).await.expect("takes").is_empty());
    thaw_status::cancel_run(&mut store.client, run).await.expect("cancels");
    let unwanted = one_scan::take_unwanted(&store.client, &by, run).await.expect("takes").remove(0);
    assert!(!unwanted.is_wanted && unwanted.handle.as_deref() == Some("01b2"));
    let stored = one_scan::store_partitions(&mut store.client, &unwanted, &cut(1)).await.expect("asks");
    assert_eq!(stored, Stored::Left, "nothing of a cancelled run is stored");
    one_scan::withdraw(&store.client, &unwanted, &error("not_wanted")).await.expect("withdraws");
    assert_eq!(execution_states(&store, claim.table).await, "1 ended");
    assert_eq!(store.table_state(claim.table).await, "cancelled");
}

#[tokio::test]
async fn a_table_with_a_statement_is_not_planned_twice() {
    let mut store = Store::create().await;
    let (planner, tables) = store.reserve(&[new_table("rows")], FleetSettings::default()).await;
    let table = tables[0].id;
    let store_scan = async |store: &mut Store| {
        one_scan::store_scan(&mut store.client, &planner, table, &planned(), &statement()).await
    };
    store_scan(&mut store).await.expect("stores");
    assert!(matches!(store_scan(&mut store).await, Err(StoreError::FenceLost)));
    // It has its plan, so its run is planned; but it is not done.
    assert!(thaw_status::mark_run_planned(&store.client, &planner).await.expect("marks"));
    assert_eq!(thaw_status::end_run(&mut store.client, planner.run).await.expect("asks"), None);
}

#[tokio::test]
async fn twenty_thousand_partitions_are_stored_in_a_moment() {
    let mut store = Store::create().await;
    let claim = written_down(&mut store, settings(SECOND * 60)).await;
    one_scan::begin_submit(&store.client, &claim).await.expect("begins");
    one_scan::note_handle(&store.client, &claim, "01b2", Duration::ZERO).await.expect("notes");
    let taken = take(&store).await.remove(0);
    let cut = cut(20_000);
    let started = Instant::now();
    let stored = one_scan::store_partitions(&mut store.client, &taken, &cut).await.expect("stores");
    assert_eq!(stored, Stored::Planned);
    println!("20,000 chunks stored in {:?}", started.elapsed());
    // About 0.6 s on an idle machine, in a debug build.
    assert!(started.elapsed() < SECOND * 10, "{:?}", started.elapsed());
}
