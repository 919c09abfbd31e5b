//! The budget of a worker: the bound holds over slots that load wide rows at once, and all of them get on.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures_util::future::join_all;
use thaw_harness::TestDatabase;
use thaw_model::{SourceType, TablePlan};
use thaw_snowflake::RowSink as _;
use thaw_worker::encode::{EncodeError, Encoded, RowEncoder};
use thaw_worker::load::{LoadRequest, Way, load as load_rows};
use thaw_worker::memory::MemoryBudget;

use crate::chunks::Store;
use crate::support::{copy_all, plan_for};

const MB: usize = 1024 * 1024;
const SLOTS: usize = 4;
/// What a slot may hold beside the budget: a small buffer and a small piece.
const BESIDE: usize = 2 * MB;
/// As the reader gives: 64 KiB of JSON, then a flush.
const STEP: usize = 64 * 1024;

/// The lengths of the texts that each slot loads, in order.
fn lengths(slot: usize) -> Vec<usize> {
    let wide = (0..12).map(|row| MB + (row * 7 + slot) % 5 * MB / 2);
    // One row larger than the whole budget, and small ones before and behind it.
    [10; 50].into_iter().chain(wide).chain([24 * MB]).chain([20; 50]).collect()
}

/// Feeds as the reader does: it holds a long cell itself until its end has come.
async fn feed(mut encoder: RowEncoder, lengths: &[usize]) -> Result<(), EncodeError> {
    for (id, length) in lengths.iter().enumerate() {
        for come in (STEP..*length).step_by(STEP) {
            encoder.reader_holds(come);
            encoder.flush().await?;
        }
        encoder.cell(0, Some(&id.to_string()))?;
        encoder.cell(1, Some(&"x".repeat(*length)))?;
        encoder.end_row()?;
        encoder.reader_holds(0);
        encoder.flush().await?;
    }
    encoder.finish().await.map(drop)
}

async fn load(database: &TestDatabase, budget: &MemoryBudget, plan: &TablePlan, slot: usize) -> u64 {
    let client = database.connect().await.expect("connects");
    let (encoder, rows) = RowEncoder::new(plan, false).expect("encodes");
    let (lengths, table) = (lengths(slot), format!("t{slot}"));
    let (fed, copied) =
        tokio::join!(feed(encoder.within(budget), &lengths), copy_all(&client, &table, "id, doc", rows));
    fed.expect("feeds");
    copied.expect("copies")
}

/// Loads wide rows in every slot at once; the most that was held.
async fn peak_under(megabytes: usize) -> usize {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    let budget = MemoryBudget::new(megabytes * MB, SLOTS, None);
    let mut plans = Vec::new();
    for slot in 0..SLOTS {
        let make = format!("create table t{slot} (id bigint, doc text)");
        client.batch_execute(&make).await.expect("made");
        let columns = [
            ("id", SourceType::Number { precision: 38, scale: 0 }),
            ("doc", SourceType::Text { length: None }),
        ];
        plans.push(plan_for(&client, &format!("t{slot}"), &columns).await);
    }
    let loads = plans.iter().enumerate().map(|(slot, plan)| load(&database, &budget, plan, slot));
    let copied = join_all(loads).await;
    for (slot, rows) in copied.into_iter().enumerate() {
        let expected = lengths(slot);
        assert_eq!(usize::try_from(rows).expect("few"), expected.len());
        let sum = format!("select sum(length(doc)) from t{slot}");
        let sum: i64 = client.query_one(&sum, &[]).await.expect("reads").get(0);
        assert_eq!(usize::try_from(sum).expect("positive"), expected.iter().sum::<usize>(), "every byte");
    }
    assert_eq!(budget.held(), 0, "all of it was given back");
    budget.peak()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_with_wide_rows_stay_within_one_budget_and_all_get_on() {
    let peak = peak_under(8).await;
    // The budget, the one row that does not fit into it (in a buffer, with the cell's own copy), and two small buffers a
    // slot.
    let bound = 8 * MB + 24 * MB + STEP + SLOTS * (BESIDE + STEP);
    assert!(peak <= bound, "{} MB were held", peak / MB);
    let generous = peak_under(256).await;
    assert!(generous > bound, "without the bound {} MB are held: the test could fail", generous / MB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_below_any_row_still_loads_every_row() {
    let peak = peak_under(1).await;
    assert!(peak <= MB + 24 * MB + STEP + SLOTS * (BESIDE + STEP), "{} MB were held", peak / MB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_for_memory_is_not_taken_for_silence_of_the_source() {
    let mut store = Store::create("create table t (id bigint, doc text)").await;
    let columns =
        [("id", SourceType::Number { precision: 38, scale: 0 }), ("doc", SourceType::Text { length: None })];
    let plan = plan_for(&store.client, "t", &columns).await;
    let chunk = store.claimed(&plan, None).await;
    let budget = MemoryBudget::new(MB, 0, None);
    // One slot has half the budget, one goes beyond it, and both wait for their sources.
    let mut greedy = Vec::new();
    for holds in [MB + MB / 2, 8 * MB] {
        let (encoder, rows) = RowEncoder::new(&plan, false).expect("encodes");
        let mut encoder = encoder.within(&budget);
        encoder.reader_holds(holds);
        encoder.flush().await.expect("goes on");
        greedy.push((encoder, rows));
    }
    let (encoder, rows) = RowEncoder::new(&plan, false).expect("encodes");
    // A small piece opens the COPY, and the next row must wait.
    let source =
        async { feed(encoder.within(&budget), &[MB / 2, 3 * MB]).await.map(|()| Encoded::default()) };
    let (stall, completion_sent) = (Duration::from_millis(300), AtomicBool::new(false));
    let request =
        LoadRequest { plan: &plan, chunk: &chunk, way: Way::Copy, stall, completion_sent: &completion_sent };
    let others = async {
        tokio::time::sleep(5 * stall).await;
        drop(greedy);
    };
    let (loaded, ()) = tokio::join!(load_rows(&mut store.client, &request, rows, source), others);
    assert_eq!(loaded.expect("waits and loads").accounting.inserted, 2);
}
