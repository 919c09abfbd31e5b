//! The load transaction: rows and status together, and never under a lost fence.

use thaw_model::{Accounting, Classify, Disposition, PhaseTimes, WorkerId};
use thaw_status::quarantine::{Wanted, list_quarantined};
use thaw_status::{Claim, CommitError, LoadTx, Outcome, QuarantinedRow, StoreError, Truth};

use crate::fixture::{Store, claimed, insert_rows, load, long, ten_rows};

const ROWS: &str = "select count(*) from public.rows";

#[tokio::test]
async fn rows_and_status_commit_together() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    load(&mut client, &chunk).await;
    assert_eq!(store.one::<i64>(ROWS).await, 10);
    assert_eq!(store.chunk_state(chunk.id).await, "completed");
    let again = thaw_status::claim(&client, loading.run, chunk.id, &worker).await.expect("asks");
    let Claim::NotClaimable(recorded) = again else { panic!("a completed chunk is over") };
    assert_eq!(recorded.outcome(), Outcome::Completed);
}

#[tokio::test]
async fn a_load_that_is_dropped_leaves_nothing() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    insert_rows(&open, &chunk).await;
    drop(open.complete(ten_rows(), PhaseTimes::default()).await.expect("completes"));
    assert_eq!(store.one::<i64>(ROWS).await, 0);
    load(&mut client, &chunk).await;
}

#[tokio::test]
async fn a_fence_that_is_lost_during_the_load_cannot_commit() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    insert_rows(&open, &chunk).await;
    let cancelled = thaw_status::cancel_run(&mut store.client, loading.run).await.expect("cancels");
    assert!(matches!(cancelled, thaw_status::Cancelled::Now { .. }));
    let error = open.complete(ten_rows(), PhaseTimes::default()).await.expect_err("the fence is lost");
    assert!(matches!(error, StoreError::FenceLost), "{error}");
    assert_eq!(error.disposition(), Disposition::Abandon);
    assert_eq!(store.one::<i64>(ROWS).await, 0);
    let begun = LoadTx::begin(&mut client, &chunk).await;
    assert!(matches!(begun, Err(StoreError::FenceLost)));
}

#[tokio::test]
async fn a_client_that_ignores_the_lost_fence_commits_nothing_all_the_same() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let chunk = claimed(&store.client, loading.run, loading.chunk(0), &worker).await;
    thaw_status::cancel_run(&mut store.client, loading.run).await.expect("cancels");
    let sql = include_str!("../../src/sql/complete_chunk_if_fence_mine.sql");
    let client = store.connect().await;
    client.batch_execute("begin; insert into public.rows values (0, 0)").await.expect("inserts");
    let (table, number, fence) = (chunk.id.table.0, chunk.id.number, chunk.fence.0);
    let worker = worker.as_str();
    let completed = client
        .query(
            sql,
            &[
                &table, &number, &fence, &worker, &1_i64, &1_i64, &0_i64, &0_i64, &0_i64, &0_i64, &1_i64, &0,
                &0, &0, &0_i64, &0_i64, &0_i64, &0_i64, &0_i64,
            ],
        )
        .await;
    assert_eq!(
        completed.expect_err("divides").code().map(|code| code.code().to_owned()),
        Some("22012".into())
    );
    // The driver calls this a success.
    client.batch_execute("commit").await.expect("says so");
    assert_eq!(store.one::<i64>(ROWS).await, 0);
}

#[tokio::test]
async fn an_open_load_transaction_counts_as_held_after_its_lease() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let (frozen, other) = (WorkerId::generate("worker"), WorkerId::generate("worker"));
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &frozen).await;
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    insert_rows(&open, &chunk).await;
    store.lapse(chunk.id).await;
    let claim = thaw_status::claim(&store.client, loading.run, chunk.id, &other).await.expect("asks");
    let Claim::NotClaimable(recorded) = claim else { panic!("taken from an open transaction") };
    assert_eq!(recorded.outcome(), Outcome::Held);
    // It wakes before anybody ended it: still its own, so it may commit.
    let completed = open.complete(ten_rows(), PhaseTimes::default()).await.expect("completes");
    assert_eq!(completed.commit().await.expect("commits").outcome(), Outcome::Completed);
}

#[tokio::test]
async fn a_connection_that_is_lost_before_the_answer_is_unknown_and_the_row_knows() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.expect("asks").get(0);
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    insert_rows(&open, &chunk).await;
    let completed = open.complete(ten_rows(), PhaseTimes::default()).await.expect("completes");
    store.one::<bool>(&format!("select pg_terminate_backend({pid}, 5000)")).await;
    let error = completed.commit().await.expect_err("there is no server");
    assert!(matches!(error, CommitError::Unknown(_)), "{error}");
    assert_eq!(error.disposition(), Disposition::Unknown);
    let truth = thaw_status::read_chunk(&store.client, &chunk).await.expect("reads");
    assert_eq!(truth, Truth::StillMine, "nothing was committed");
    assert_eq!(store.one::<i64>(ROWS).await, 0);
}

#[tokio::test]
async fn a_commit_the_server_refuses_is_rolled_back() {
    let mut store = Store::create().await;
    let deferred = "alter table public.rows add constraint one unique (n) deferrable initially deferred";
    store.client.batch_execute(deferred).await.expect("alters");
    let loading = store.loading(2, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let first = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    load(&mut client, &first).await;
    let second = claimed(&client, loading.run, loading.chunk(1), &worker).await;
    let open = LoadTx::begin(&mut client, &second).await.expect("begins");
    insert_rows(&open, &second).await;
    let completed = open.complete(ten_rows(), PhaseTimes::default()).await.expect("completes");
    let error = completed.commit().await.expect_err("the rows are there twice");
    assert!(matches!(&error, CommitError::RolledBack(StoreError::Postgres(_))), "{error}");
    assert_eq!(error.class(), "sqlstate_23505");
    assert_eq!(store.chunk_state(second.id).await, "in_progress");
    assert_eq!(store.one::<i64>(ROWS).await, 10);
}

#[tokio::test]
async fn rows_that_are_not_accounted_for_cannot_be_completed() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    let one_short = Accounting { fetched: 10, inserted: 9, ..Accounting::default() };
    let error = open.complete(one_short, PhaseTimes::default()).await.expect_err("9 are not 10");
    assert_eq!(error.sqlstate(), Some("23514"), "{error}");
}

#[tokio::test]
async fn bad_rows_are_set_aside_with_their_chunk_or_not_at_all() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    let bad = [
        QuarantinedRow {
            ordinal: 3,
            column: "n".into(),
            reason: "out of range".into(),
            keys: None,
            row: None,
        },
        QuarantinedRow {
            ordinal: 7,
            column: "n".into(),
            reason: "no number".into(),
            keys: Some(serde_json::json!({ "N": "x" })),
            row: Some(serde_json::json!(["x"])),
        },
    ];
    let accounting = Accounting { fetched: 12, inserted: 10, quarantined: 2, ..Accounting::default() };
    let count = "select count(*) from migration_status.quarantined_rows";
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    open.quarantine(&bad, None).await.expect("sets aside");
    open.rollback().await.expect("rolls back");
    assert_eq!(store.one::<i64>(count).await, 0);
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    open.quarantine(&bad, Some("01b-statement")).await.expect("sets aside");
    assert_eq!(
        open.quarantined_elsewhere().await.expect("counts"),
        0,
        "its own rows are the caller's to count"
    );
    let completed = open.complete(accounting, PhaseTimes::default()).await.expect("completes");
    assert_eq!(completed.commit().await.expect("commits").outcome(), Outcome::Completed);
    assert_eq!(store.one::<i64>(count).await, 2);
    let named = "select count(*) from migration_status.quarantined_rows where statement = '01b-statement'";
    assert_eq!(store.one::<i64>(named).await, 2);
    let wanted = Wanted { table: None, settled: false, limit: 10 };
    let listed = list_quarantined(&client, &wanted).await.expect("lists");
    assert_eq!(listed.iter().map(|row| row.ordinal).collect::<Vec<_>>(), [3, 7]);
    assert_eq!((listed[0].reason.as_str(), &listed[0].keys), ("out of range", &None));
    assert_eq!(listed[1].row, Some(serde_json::json!(["x"])));
    assert!(!format!("{listed:?}").contains("\"x\""), "a value is printed");
    let other = Wanted { table: Some("another"), ..wanted };
    assert_eq!(list_quarantined(&client, &other).await.expect("lists"), []);
    let first = Wanted { limit: 1, ..wanted };
    assert_eq!(list_quarantined(&client, &first).await.expect("lists").len(), 1);
    client
        .batch_execute("update migration_status.migration_table_status set execution = execution + 1")
        .await
        .expect("updates");
    assert_eq!(
        list_quarantined(&client, &wanted).await.expect("lists"),
        [],
        "a fresh execution reads them again"
    );
}

#[tokio::test]
async fn the_database_holds_an_exact_count_to_the_rows_that_were_fetched() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    client
        .batch_execute(
            "update migration_status.migration_chunk_status set counted_exactly = true, expected_rows = 11",
        )
        .await
        .expect("updates");
    let open = LoadTx::begin(&mut client, &chunk).await.expect("begins");
    let error = open.complete(ten_rows(), PhaseTimes::default()).await.expect_err("10 are not 11");
    assert_eq!(error.sqlstate(), Some("23514"), "{error}");
}
