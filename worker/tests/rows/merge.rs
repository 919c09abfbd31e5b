//! What a merge costs a target that holds most of the rows already, and that many merges get in each other's way.

use thaw_model::plan::{Arbiter, LoadMode};
use thaw_model::{PgIdent, SourceType as S, TablePlan};

use crate::chunks::Store;
use crate::support::{Cell, cell, plan_for};

const INT: S = S::Number { precision: 38, scale: 0 };
const TEXT: S = S::Text { length: None };
const NTZ: S = S::TimestampNtz { scale: 0 };

async fn keyed(store: &Store, mode: LoadMode) -> TablePlan {
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
