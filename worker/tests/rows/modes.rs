//! The load modes on a real server: what is written, what is not, and that every row is accounted for.

use std::future::pending;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thaw_model::plan::{Arbiter, LoadMode, OnBadRow, OnDuplicate, OneScanPlan};
use thaw_model::{Classify as _, Disposition, PgIdent, SourceType as S, TablePlan};
use thaw_snowflake::{RowSink as _, SnowflakeError};
use thaw_status::StoreError;
use thaw_worker::encode::{EncodeError, Encoded, RowEncoder};
use thaw_worker::load::{LoadError, LoadRequest, Loaded, Way, load};

use crate::chunks::{STALL, Store};
use crate::support::{Cell, cell, plan_for};

const INT: S = S::Number { precision: 38, scale: 0 };
const TEXT: S = S::Text { length: None };
const NTZ: S = S::TimestampNtz { scale: 0 };

/// `1|a|100`: cells of one row, `~` is NULL.
fn row(text: &str) -> Vec<Cell> {
    text.split('|').map(|part| if part == "~" { None } else { cell(part) }).collect()
}

fn rows(texts: &[&str]) -> Vec<Vec<Cell>> {
    texts.iter().map(|text| row(text)).collect()
}

fn arbiter(index: &str, columns: &[&str]) -> Arbiter {
    let columns = columns.iter().map(|name| PgIdent::exact(*name)).collect();
    Arbiter { index: PgIdent::exact(index), columns, nulls_not_distinct: false }
}

/// A keyed plan over `t (id, v, at)`, where `at` is the watermark.
async fn keyed(store: &Store, mode: LoadMode) -> TablePlan {
    let mut plan = plan_for(&store.client, "t", &[("id", INT), ("v", TEXT), ("at", NTZ)]).await;
    plan.load.mode = mode;
    plan.load.arbiter = Some(arbiter("t_pkey", &["id"]));
    plan.load.watermark = Some(PgIdent::exact("at"));
    plan
}

/// `fetched = inserted + updated + kept + deduplicated + quarantined`, in this order.
fn counts(loaded: &Loaded) -> [i64; 6] {
    let a = loaded.accounting;
    assert!(a.is_balanced(), "{a:?}");
    [a.fetched, a.inserted, a.updated, a.kept, a.deduplicated, a.quarantined]
}

#[tokio::test]
async fn copy_loads_rows_and_completion_together() {
    let mut store = Store::create("create table t (id int primary key, v text, at timestamp)").await;
    let plan = keyed(&store, LoadMode::Copy).await;
    let chunk = store.claimed(&plan, Some(3)).await;
    let (loaded, ways) =
        store.attempt(&plan, &chunk, &rows(&["1|a|0", "2|~|~", "3|c|60"])).await.expect("loads");
    assert_eq!(counts(&loaded), [3, 3, 0, 0, 0, 0]);
    assert!(loaded.accounting.bytes > 0);
    assert_eq!(ways, [Way::Copy]);
    assert_eq!(store.chunk_state(&chunk).await, "completed");
    assert_eq!(
        store.rows("select * from t order by id").await,
        ["1|a|1970-01-01 00:00:00", "2|~|~", "3|c|1970-01-01 00:01:00"]
    );
}

#[tokio::test]
async fn upsert_accounts_for_every_row_and_does_not_write_identical_ones() {
    let mut store = Store::create(
        "create table t (id int primary key, v text, at timestamp);
         insert into t values (1, 'same', 'epoch'), (2, 'old', 'epoch'), (3, 'newer', '2024-01-01'), (4, 'no mark', null),
                              (5, 'mark lost', 'epoch')",
    )
    .await;
    let plan = keyed(&store, LoadMode::Upsert).await;
    let unchanged = "select id, ctid, xmin from t where id in (1, 3, 5) order by id";
    let before = store.rows(unchanged).await;
    let chunk_rows = rows(&[
        "1|same|0",
        "2|new|60",
        "3|older|60",
        "4|marked|60",
        "5|changed|~",
        "6|first|60",
        "6|last of the newest|120",
        "6|late but older|90",
        "6|tie|120",
        "7|~|~",
    ]);
    let (loaded, ways) = store.load(&plan, &chunk_rows).await.expect("loads");
    // Inserted 6 and 7, updated 2 and 4, kept 1, 3 and 5, and three of the four rows of key 6 lost to the newest.
    assert_eq!(counts(&loaded), [10, 2, 2, 3, 3, 0]);
    assert_eq!(ways, [Way::Upsert]);
    assert_eq!(store.rows(unchanged).await, before, "what was kept was not written");
    assert_eq!(
        store.rows("select id, v from t order by id").await,
        ["1|same", "2|new", "3|newer", "4|marked", "5|mark lost", "6|tie", "7|~"]
    );
    let again = store.load(&plan, &chunk_rows).await.expect("loads").0;
    assert_eq!(counts(&again), [10, 0, 0, 7, 3, 0], "a second load of the same rows writes nothing");
}

#[tokio::test]
async fn insert_only_keeps_what_is_there() {
    let mut store = Store::create(
        "create table t (id int primary key, v text, at timestamp); insert into t values (1, 'mine', 'epoch')",
    )
    .await;
    let plan = keyed(&store, LoadMode::InsertOnly).await;
    let loaded = store.load(&plan, &rows(&["1|theirs|60", "2|new|0", "2|newest|9"])).await.expect("loads").0;
    assert_eq!(counts(&loaded), [3, 1, 0, 1, 1, 0]);
    assert_eq!(store.rows("select id, v from t order by id").await, ["1|mine", "2|newest"]);
}

#[tokio::test]
async fn a_duplicate_key_under_copy_is_redone_as_the_plan_says() {
    for (on_duplicate, way, kept, value) in [
        (OnDuplicate::Upsert, Way::Upsert, 0, "theirs"),
        (OnDuplicate::DoNothing, Way::InsertOnly, 1, "mine"),
    ] {
        let mut store = Store::create(
            "create table t (id int primary key, v text, at timestamp); insert into t values (1, 'mine', 'epoch')",
        )
        .await;
        let mut plan = keyed(&store, LoadMode::Copy).await;
        plan.load.on_duplicate = on_duplicate;
        let (loaded, ways) = store.load(&plan, &rows(&["2|new|0", "1|theirs|60"])).await.expect("loads");
        assert_eq!(ways, [Way::Copy, way]);
        assert_eq!(counts(&loaded), [2, 1, 1 - kept, kept, 0, 0]);
        assert_eq!(store.rows("select v from t where id = 1").await, [value]);
    }
}

#[tokio::test]
async fn a_duplicate_key_is_fatal_where_the_plan_or_the_index_says_so() {
    let mut store = Store::create(
        "create table t (id int primary key, v text constraint other unique, at timestamp);
         insert into t values (1, 'mine', 'epoch')",
    )
    .await;
    let mut plan = keyed(&store, LoadMode::Copy).await;
    let chunk = store.claimed(&plan, None).await;
    let error = store.attempt(&plan, &chunk, &rows(&["1|x|0"])).await.expect_err("there already");
    assert_eq!((error.disposition(), error.class().as_str()), (Disposition::Fatal, "sqlstate_23505"));
    // The same chunk, now with a way out; but it is the other index that refuses.
    plan.load.on_duplicate = OnDuplicate::Upsert;
    let error = store.attempt(&plan, &chunk, &rows(&["2|mine|0"])).await.expect_err("there already");
    assert!(error.to_string().contains("constraint \"other\""), "{error}");
    assert_eq!(error.disposition(), Disposition::Fatal);
    assert!(!error.to_string().contains("mine"), "no value in {error}");
    assert_eq!(store.chunk_state(&chunk).await, "in_progress", "nothing was committed");
    assert_eq!(store.rows("select id from t").await, ["1"]);
}

#[tokio::test]
async fn partitions_count_like_plain_tables_and_their_indexes_are_traced_to_the_root() {
    let mut store = Store::create(
        "create table t (id int primary key, v text, at timestamp) partition by range (id);
         create table t_low partition of t for values from (0) to (10);
         create table t_high (at timestamp, v text, id int not null);
         alter table t attach partition t_high for values from (10) to (20);
         insert into t values (1, 'same', 'epoch'), (11, 'old', 'epoch')",
    )
    .await;
    let plan = keyed(&store, LoadMode::Upsert).await;
    let chunk_rows = rows(&["1|same|0", "11|new|0", "2|x|0", "12|y|0", "12|z|0"]);
    let loaded = store.load(&plan, &chunk_rows).await.expect("loads").0;
    assert_eq!(counts(&loaded), [5, 2, 1, 1, 1, 0]);
    let mut plan = keyed(&store, LoadMode::Copy).await;
    plan.load.on_duplicate = OnDuplicate::Upsert;
    let (loaded, ways) = store.load(&plan, &rows(&["12|w|60", "13|v|0"])).await.expect("loads");
    assert_eq!((counts(&loaded), ways), ([2, 1, 1, 0, 0, 0], vec![Way::Copy, Way::Upsert]));
}

#[tokio::test]
async fn null_keys_are_bad_rows_unless_the_index_holds_them_equal() {
    let mut store = Store::create(
        "create table t (id int, v text, at timestamp);
         create unique index distinct_nulls on t (id); create table u (like t);
         create unique index equal_nulls on u (id) nulls not distinct",
    )
    .await;
    let mut plan = keyed(&store, LoadMode::Upsert).await;
    plan.load.arbiter = Some(arbiter("distinct_nulls", &["id"]));
    let error = store.load(&plan, &rows(&["~|a|0"])).await.expect_err("a null key");
    assert_eq!(
        error.to_string(),
        "row 1 of the chunk, column \"id\": null in a key column, whose index holds nulls distinct"
    );
    plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
    let loaded = store.load(&plan, &rows(&["~|a|0", "1|b|0"])).await.expect("sets it aside").0;
    assert_eq!(counts(&loaded), [2, 1, 0, 0, 0, 1]);
    plan.target.table = PgIdent::exact("u");
    plan.load.arbiter = Some(Arbiter { nulls_not_distinct: true, ..arbiter("equal_nulls", &["id"]) });
    let loaded = store.load(&plan, &rows(&["~|a|0", "~|b|9", "1|b|0"])).await.expect("loads").0;
    assert_eq!(counts(&loaded), [3, 2, 0, 0, 1, 0]);
    let loaded = store.load(&plan, &rows(&["~|c|60"])).await.expect("loads").0;
    assert_eq!(counts(&loaded), [1, 0, 1, 0, 0, 0]);
}

#[tokio::test]
async fn null_keys_of_a_truncated_table_survive_its_redo_without_being_merged() {
    let mut store = Store::create(
        "create table t (id int, v text, at timestamp); create unique index keys on t (id);
         insert into t values (1, 'old', 'epoch')",
    )
    .await;
    let mut plan = keyed(&store, LoadMode::Copy).await;
    plan.load.arbiter = Some(arbiter("keys", &["id"]));
    plan.load.on_duplicate = OnDuplicate::Upsert;
    plan.start.truncate = true;
    let null_keys = rows(&["~|a|0", "~|a|0", "1|new|9"]);
    let twice = rows(&["~|a|0", "~|a|0", "1|new|9", "1|old|1"]);
    let (loaded, ways) = store.load(&plan, &twice).await.expect("loads");
    assert_eq!((counts(&loaded), ways.len()), ([4, 3, 0, 0, 1, 0], 2));
    // The first load of a table that is upserted from then on: the next run could not tell them apart.
    plan.start.truncate = false;
    let error = store.load(&plan, &null_keys).await.expect_err("a null key");
    assert!(error.to_string().contains("null in a key column"), "{error}");
}

#[tokio::test]
async fn names_identities_generated_columns_and_types_without_equality_load_in_every_mode() {
    let setup = r#"create extension if not exists citext;
        create table t ("Key ""A""" bigint generated always as identity, "thaw_ordinal" text, doc json, x xml, c citext,
                        doubled bigint generated always as ("Key ""A""" * 2) stored, primary key ("Key ""A"""))"#;
    let columns: [(&str, S); 5] =
        [("Key \"A\"", INT), ("thaw_ordinal", TEXT), ("doc", S::Variant), ("x", TEXT), ("c", TEXT)];
    for mode in [LoadMode::Copy, LoadMode::Upsert, LoadMode::InsertOnly] {
        let mut store = Store::create(setup).await;
        let mut plan = plan_for(&store.client, "t", &columns).await;
        plan.load.mode = mode;
        plan.load.arbiter = Some(arbiter("t_pkey", &["Key \"A\""]));
        plan.load.overriding_system_value = true;
        let first = rows(&["7|a|{\"k\":1}|<a/>|Word"]);
        assert_eq!(
            counts(&store.load(&plan, &first).await.expect("loads").0),
            [1, 1, 0, 0, 0, 0],
            "{mode:?}"
        );
        assert_eq!(store.rows("select * from t").await, ["7|a|{\"k\":1}|<a/>|Word|14"]);
        if mode == LoadMode::Upsert {
            assert_eq!(counts(&store.load(&plan, &first).await.expect("loads").0), [1, 0, 0, 1, 0, 0]);
            // Equal under citext is not identical.
            let changed = rows(&["7|a|{\"k\":1}|<a/>|WORD"]);
            assert_eq!(counts(&store.load(&plan, &changed).await.expect("loads").0), [1, 0, 1, 0, 0, 0]);
        }
    }
}

#[tokio::test]
async fn a_table_of_keys_alone_inserts_what_is_missing() {
    let mut store =
        Store::create("create table t (a int, b int, primary key (a, b)); insert into t values (1, 1)").await;
    let mut plan = plan_for(&store.client, "t", &[("a", INT), ("b", INT)]).await;
    plan.load.mode = LoadMode::Upsert;
    plan.load.arbiter = Some(arbiter("t_pkey", &["b", "a"]));
    let loaded = store.load(&plan, &rows(&["1|1", "1|2", "1|2"])).await.expect("loads").0;
    assert_eq!(counts(&loaded), [3, 1, 0, 1, 1, 0]);
}

#[tokio::test]
async fn an_empty_result_completes_the_chunk_and_touches_nothing_else() {
    let mut store = Store::create("create table t (id int primary key, v text, at timestamp)").await;
    let plan = keyed(&store, LoadMode::Upsert).await;
    let chunk = store.claimed(&plan, None).await;
    // With the target locked by somebody else, anything but the status would wait.
    let mut other = store.pool.get().await.expect("connects");
    let lock = other.transaction().await.expect("begins");
    lock.batch_execute("lock table t in access exclusive mode").await.expect("locks");
    let loaded = store.attempt(&plan, &chunk, &[]).await.expect("loads").0;
    assert_eq!(counts(&loaded), [0; 6]);
    assert_eq!(store.chunk_state(&chunk).await, "completed");
}

#[tokio::test]
async fn quarantined_rows_commit_with_the_chunk_and_hold_no_value() {
    let mut store = Store::create("create table t (id int primary key, v text, at timestamp)").await;
    let mut plan = keyed(&store, LoadMode::Upsert).await;
    plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
    let chunk = store.claimed(&plan, None).await;
    let chunk_rows = rows(&["1|a|0", "99999999999|canary|0", "3|c|0", "~|canary|0"]);
    let loaded = store.attempt(&plan, &chunk, &chunk_rows).await.expect("loads").0;
    assert_eq!(counts(&loaded), [4, 2, 0, 0, 0, 2]);
    let quarantined = store.rows("select * from migration_status.quarantined_rows order by ordinal").await;
    assert_eq!(quarantined.len(), 2);
    assert!(quarantined[0].contains("|2|id|number out of the column's range"), "{quarantined:?}");
    assert!(!quarantined.concat().contains("canary"));
}

#[tokio::test]
async fn another_number_of_rows_than_the_snapshot_or_the_result_has_is_never_committed() {
    let mut store = Store::create("create table t (id int primary key, v text, at timestamp)").await;
    let plan = keyed(&store, LoadMode::Copy).await;
    let (mut snapshot, mut result) = (plan.clone(), plan);
    snapshot.source.snapshot = Some("2024-01-10 00:00:00 +0000".to_owned());
    result.one_scan =
        Some(OneScanPlan { rows_per_chunk: 2, allow_empty: false, counted: None, is_over_rows: false });
    let one = rows(&["1|a|0"]);
    for (plan, chunk_rows) in [(&snapshot, one.clone()), (&snapshot, Vec::new()), (&result, one)] {
        let chunk = store.claimed(plan, Some(2)).await;
        let error = store.attempt(plan, &chunk, &chunk_rows).await.expect_err("too few");
        assert!(matches!(error, LoadError::WrongRowCount { expected: 2, .. }), "{error}");
        assert_eq!(error.disposition(), Disposition::Retry);
        assert_eq!(store.chunk_state(&chunk).await, "in_progress");
    }
    assert!(store.rows("select * from t").await.is_empty());
}

#[tokio::test]
async fn a_source_that_fails_or_falls_silent_half_way_leaves_nothing() {
    let mut store = Store::create("create table t (id int primary key, v text, at timestamp)").await;
    let plan = keyed(&store, LoadMode::Copy).await;
    let chunk = store.claimed(&plan, None).await;
    for silent in [true, false] {
        let (mut encoder, encoded) = RowEncoder::new(&plan, false).expect("a plan");
        let half = async move {
            // More than one piece, so that the COPY is open.
            for id in 0..40_000 {
                for (column, text) in [id.to_string().as_str(), "some text", "0"].into_iter().enumerate() {
                    encoder.cell(column, Some(text))?;
                }
                encoder.end_row()?;
                encoder.flush().await?;
            }
            if silent {
                pending::<()>().await;
            }
            Err::<Encoded, _>(EncodeError::Shape)
        };
        let stall = if silent { Duration::from_millis(200) } else { STALL };
        let completion_sent = AtomicBool::new(false);
        let request = LoadRequest {
            plan: &plan,
            chunk: &chunk,
            way: Way::Copy,
            stall,
            completion_sent: &completion_sent,
        };
        let error = load(&mut store.client, &request, encoded, half).await.expect_err("half a chunk");
        match (silent, &error) {
            (true, LoadError::SourceStalled { .. }) | (false, LoadError::Encode(EncodeError::Shape)) => {}
            _ => panic!("{error}"),
        }
        // The roll back is over: another session sees no lock and no row, and the chunk can be loaded.
        let other = store.pool.get().await.expect("connects");
        other
            .batch_execute("lock table t in access exclusive mode nowait")
            .await
            .expect_err("outside a transaction");
        other
            .batch_execute("begin; lock table t in access exclusive mode nowait; rollback")
            .await
            .expect("unlocked");
    }
    assert!(store.rows("select * from t limit 1").await.is_empty());
    store.attempt(&plan, &chunk, &rows(&["1|a|0"])).await.expect("loads after all");
}

#[tokio::test]
async fn a_chunk_that_somebody_else_has_taken_is_abandoned() {
    let mut store = Store::create("create table t (id int primary key, v text, at timestamp)").await;
    let plan = keyed(&store, LoadMode::Copy).await;
    let chunk = store.claimed(&plan, None).await;
    store
        .client
        .execute(
            "update migration_status.migration_chunk_status set fence = fence + 1 where table_id = $1",
            &[&chunk.id.table.0],
        )
        .await
        .expect("takes over");
    let error = store.attempt(&plan, &chunk, &rows(&["1|a|0"])).await.expect_err("lost");
    assert!(matches!(error, LoadError::Store(StoreError::FenceLost)), "{error}");
    assert_eq!(error.disposition(), Disposition::Abandon);
    assert!(store.rows("select * from t").await.is_empty());
}

#[tokio::test]
async fn what_the_target_refuses_keeps_its_disposition() {
    let mut store = Store::create(
        "create table parent (id int primary key); create table t (id int primary key references parent, v text, at timestamp)",
    )
    .await;
    let plan = keyed(&store, LoadMode::Copy).await;
    let chunk = store.claimed(&plan, None).await;
    let error = store.attempt(&plan, &chunk, &rows(&["1|a|0"])).await.expect_err("no parent");
    assert!(error.is_foreign_key_violation(), "{error}");
    store.client.batch_execute("alter table t drop column v").await.expect("drops");
    let error = store.attempt(&plan, &chunk, &rows(&["1|a|0"])).await.expect_err("no column");
    assert_eq!((error.class().as_str(), error.disposition()), ("sqlstate_42703", Disposition::HaltTable));
    store.client.batch_execute("drop table t").await.expect("drops");
    let error = store.attempt(&plan, &chunk, &rows(&["1|a|0"])).await.expect_err("no table");
    assert_eq!((error.class().as_str(), error.disposition()), ("sqlstate_42P01", Disposition::HaltTable));
}

#[tokio::test]
async fn an_error_of_the_source_is_the_cause_that_is_told() {
    let mut store = Store::create("create table t (id int primary key, v text, at timestamp)").await;
    let plan = keyed(&store, LoadMode::Copy).await;
    let chunk = store.claimed(&plan, None).await;
    let (encoder, encoded) = RowEncoder::new(&plan, false).expect("a plan");
    let completion_sent = AtomicBool::new(false);
    let request = LoadRequest {
        plan: &plan,
        chunk: &chunk,
        way: Way::Copy,
        stall: STALL,
        completion_sent: &completion_sent,
    };
    let failing = async move {
        drop(encoder);
        Err::<Encoded, EncodeError>(SnowflakeError::from(thaw_snowflake::ChunkQueryError::NoColumns).into())
    };
    let error = load(&mut store.client, &request, encoded, failing).await.expect_err("the source failed");
    assert!(matches!(error, LoadError::Encode(EncodeError::Source(_))), "{error}");
}

/// The encoder tells repeated keys by their bytes; a collation that holds `A` and `a` for equal is asked for itself.
#[tokio::test]
async fn keys_that_only_a_collation_holds_equal_are_one_key() {
    let mut store = Store::create(
        "create collation blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
         create table t (id text collate blind primary key, v text)",
    )
    .await;
    let text = S::Text { length: None };
    let mut plan = plan_for(&store.client, "t", &[("id", text), ("v", text)]).await;
    plan.load.mode = LoadMode::Upsert;
    plan.load.arbiter = Some(arbiter("t_pkey", &["id"]));
    let chunk = rows(&["a|first", "b|only", "A|last"]);
    let loaded = store.load(&plan, &chunk).await.expect("loads").0;
    assert_eq!((loaded.accounting.inserted, loaded.accounting.deduplicated), (2, 1));
    assert_eq!(store.rows("select v from t order by id").await, ["last", "only"]);
}
