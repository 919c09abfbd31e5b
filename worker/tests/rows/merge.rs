//! What a merge costs a target that holds most of the rows already, and that many merges get in each other's way.

use std::collections::BTreeMap;
use std::time::Duration;

use thaw_model::plan::{Arbiter, LoadMode, OnDuplicate};
use thaw_model::{Classify as _, Disposition, PgIdent, SourceType as S, TablePlan};
use thaw_postgres::Client;
use thaw_status::ClaimedChunk;

use crate::chunks::{Store, attempt};
use crate::support::{Cell, cell, plan_for};

const INT: S = S::Number { precision: 38, scale: 0 };
const TEXT: S = S::Text { length: None };
const NTZ: S = S::TimestampNtz { scale: 0 };

pub(crate) async fn keyed(store: &Store, mode: LoadMode) -> TablePlan {
    let mut plan = plan_for(&store.client, "t", &[("id", INT), ("v", TEXT), ("at", NTZ)]).await;
    plan.load.mode = mode;
    plan.load.arbiter = Some(Arbiter {
        index: PgIdent::exact("t_pkey"),
        columns: vec![PgIdent::exact("id")],
        nulls_not_distinct: false,
    });
    plan.load.watermark = Some(PgIdent::exact("at"));
    plan
}

/// Rows as [`filled`] makes them; every `changed`-th has another value and is one second newer.
fn rows(count: i64, changed: i64) -> Vec<Vec<Cell>> {
    (1..=count)
        .map(|id| {
            let is_changed = id % changed == 0;
            let value = if is_changed { format!("changed {id}") } else { format!("value {id}") };
            vec![cell(&id.to_string()), cell(&value), cell(&(id + i64::from(is_changed)).to_string())]
        })
        .collect()
}

async fn filled(count: i64) -> Store {
    Store::create(&format!(
        "create table t (id int primary key, v text, at timestamp) with (autovacuum_enabled = off);
         insert into t select id, 'value ' || id, timestamp 'epoch' + id * interval '1 s' from generate_series(1, {count}) id;
         analyze t"
    ))
    .await
}

#[tokio::test]
async fn a_mostly_identical_upsert_leaves_dead_rows_only_where_something_changed() {
    let count = 20_000;
    let mut store = filled(count).await;
    let plan = keyed(&store, LoadMode::Upsert).await;
    let loaded = store.load(&plan, &rows(count, 33)).await.expect("loads").0;
    assert_eq!((loaded.accounting.updated, loaded.accounting.kept), (606, count - 606));
    store.client.batch_execute("select pg_stat_force_next_flush()").await.expect("flushes");
    let dead = store.rows("select n_dead_tup from pg_stat_user_tables where relname = 't'").await;
    assert_eq!(dead, ["606"]);
}

#[tokio::test]
async fn rows_that_do_not_differ_are_neither_written_nor_locked() {
    for mode in [LoadMode::Upsert, LoadMode::InsertOnly] {
        let mut store = filled(1000).await;
        let plan = keyed(&store, mode).await;
        let untouched = "select count(*) from t where xmax = 0";
        let written = if mode == LoadMode::Upsert { 10 } else { 0 };
        let loaded = store.load(&plan, &rows(1000, 100)).await.expect("loads").0;
        assert_eq!((loaded.accounting.updated, loaded.accounting.kept), (written, 1000 - written));
        // An updated row's new version was locked by its own upsert; every other row was not.
        assert_eq!(store.rows(untouched).await, [(1000 - written).to_string()], "{mode:?}");
    }
}

/// Numbers that look random and are the same in every run of the test.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A chunk of some of the keys, each with a watermark of a few: `(key, watermark)`, in random order.
fn overlapping(dice: &mut Dice) -> Vec<(u64, u64)> {
    let mut chunk: Vec<(u64, u64)> = (1..=12).map(|key| (key, dice.below(4))).collect();
    for at in (1..chunk.len()).rev() {
        let limit = u64::try_from(at + 1).expect("small");
        chunk.swap(at, usize::try_from(dice.below(limit)).expect("small"));
    }
    chunk.truncate(8);
    chunk
}

/// Loads one chunk as the fleet does: what is snoozed comes again, and anything else fails the test. Returns how often
/// it was snoozed for a deadlock.
async fn load_until_done(
    client: &mut Client,
    (plan, chunk): (&TablePlan, &ClaimedChunk),
    rows: &[Vec<Cell>],
    pause: Duration,
) -> usize {
    let mut deadlocks = 0;
    loop {
        tokio::time::sleep(pause).await;
        match attempt(client, plan, chunk, rows).await {
            Ok((loaded, _)) => {
                assert!(loaded.accounting.is_balanced());
                return deadlocks;
            }
            Err(error) if error.class() == "sqlstate_40P01" => {
                assert!(matches!(error.disposition(), Disposition::Snooze { .. }), "not counted: {error}");
                deadlocks += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A target where every written row takes a moment, so that two loads meet between their rows; deadlocks are found soon.
const DAWDLING: &str = "
    create table t (id int primary key, v text, at timestamp);
    create function dawdle() returns trigger language plpgsql as
      $$ begin perform pg_sleep(random() * 0.0005); return new; end $$;
    create trigger dawdle before insert or update on t for each row execute function dawdle();
    do $$ begin execute format('alter database %I set deadlock_timeout = 5', current_database()); end $$";

/// 500 rounds of two chunks that share keys, on two connections, in whichever order they get through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_row_wins_whatever_way_two_chunks_interleave() {
    let mut store = Store::create(DAWDLING).await;
    let mut others = [store.pool.get().await.expect("connects"), store.pool.get().await.expect("connects")];
    let mut dice = Dice(20_260_101);
    let (mut merges_deadlocked, mut copies_deadlocked) = (0, 0);
    for round in 0..500 {
        // Every fifth round both try COPY first, in their own order of rows, where a deadlock is possible.
        let copies = round % 5 == 0;
        let mut plan = keyed(&store, if copies { LoadMode::Copy } else { LoadMode::Upsert }).await;
        plan.load.on_duplicate = OnDuplicate::Upsert;
        store.client.batch_execute("truncate t").await.expect("empties");
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        if !copies {
            store.client.batch_execute("insert into t select n, 'old', timestamp 'epoch' + interval '1 s' from generate_series(1, 6) n").await.expect("fills");
            newest.extend((1..=6).map(|key| (key, 1)));
        }
        let chunks = [overlapping(&mut dice), overlapping(&mut dice)];
        for (key, at) in chunks.iter().flatten() {
            let known = newest.entry(*key).or_default();
            *known = (*known).max(*at);
        }
        let rows = [1, 2].map(|number| {
            let chunk = &chunks[number - 1];
            let cells = |(key, at): &(u64, u64)| {
                vec![cell(&key.to_string()), cell(&format!("{at} of {number}")), cell(&at.to_string())]
            };
            chunk.iter().map(cells).collect::<Vec<_>>()
        });
        let claimed = [store.claimed(&plan, None).await, store.claimed(&plan, None).await];
        let pauses = [dice.below(3000), dice.below(3000)].map(Duration::from_micros);
        let [first, second] = &mut others;
        let deadlocks = tokio::join!(
            load_until_done(first, (&plan, &claimed[0]), &rows[0], pauses[0]),
            load_until_done(second, (&plan, &claimed[1]), &rows[1], pauses[1]),
        );
        *if copies { &mut copies_deadlocked } else { &mut merges_deadlocked } += deadlocks.0 + deadlocks.1;
        let expected: Vec<String> = newest.iter().map(|(key, at)| format!("{key}|{at}")).collect();
        let found = store.rows("select id, extract(epoch from at)::int from t order by id").await;
        assert_eq!(found, expected, "round {round}");
        let torn =
            "select count(*) from t where v <> 'old' and v !~ ('^' || extract(epoch from at)::int || ' of ')";
        assert_eq!(store.rows(torn).await, ["0"], "round {round}: a row is one source row as a whole");
    }
    assert_eq!(merges_deadlocked, 0, "merges write in the order of the key");
    assert!(
        copies_deadlocked > 0,
        "two COPYs in opposite orders do deadlock, or this test would prove nothing"
    );
}
