//! Bad rows through the whole load: each kind with each policy, beside good rows, in every mode; the equation holds,
//! nothing else of the chunk is lost, and values are kept only where the plan says so.

use thaw_model::plan::{Arbiter, LoadMode, NulInText, OnBadRow};
use thaw_model::{Classify as _, Disposition, PgIdent, SourceType as S, TablePlan};
use thaw_worker::encode::EncodeError;
use thaw_worker::load::LoadError;

use crate::chunks::{Store, attempt};
use crate::support::{Cell, cell, plan_for};

const TEXT: S = S::Text { length: None };
const TABLE: &str = "create type mood as enum ('sad', 'ok'); \
    create table t (id int primary key, short varchar(5), note text, count int, amount numeric(5,2), born date, \
    at timestamp, u uuid, flag boolean, doc jsonb, feeling mood, list int[])";
const COLUMNS: &[(&str, S)] = &[
    ("id", S::Number { precision: 38, scale: 0 }),
    ("short", TEXT),
    ("note", TEXT),
    ("count", S::Number { precision: 38, scale: 0 }),
    ("amount", S::Float),
    ("born", TEXT),
    ("at", S::TimestampNtz { scale: 9 }),
    ("u", TEXT),
    ("flag", TEXT),
    ("doc", S::Variant),
    ("feeling", TEXT),
    ("list", S::Array),
];
const GOOD: [&str; 12] = [
    "1",
    "short",
    "a note",
    "7",
    "1.5",
    "1931-01-17",
    "-0.5",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    "true",
    "{}",
    "sad",
    "[1]",
];
/// A column, and what it cannot hold. Every text carries a canary.
const BAD: &[(&str, &str)] = &[
    ("short", "canary-4711"),
    ("note", "canary\x004711"),
    ("count", "4711471147114711"),
    ("count", "canary"),
    ("amount", "4711.5"),
    ("amount", "inf"),
    ("amount", "0.4711"),
    ("born", "canary.4711"),
    ("born", "1931-02-30"),
    ("at", "99999999999999.4711"),
    ("u", "canary-4711"),
    ("flag", "canary"),
    ("doc", "{canary"),
    ("doc", "\"canary\\u00004711\""),
    ("feeling", "canary"),
    ("list", "[\"canary\"]"),
];

fn row(id: usize, changed: Option<(&str, &str)>) -> Vec<Cell> {
    let mut row: Vec<Cell> = GOOD.iter().map(|text| cell(text)).collect();
    row[0] = cell(&id.to_string());
    if let Some((name, text)) = changed {
        let at = COLUMNS.iter().position(|(column, _)| *column == name).expect("a column");
        row[at] = cell(text);
    }
    row
}

/// Good and bad rows in turn, then a good one.
fn rows() -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    for (position, bad) in BAD.iter().enumerate() {
        rows.push(row(2 * position, None));
        rows.push(row(2 * position + 1, Some(*bad)));
    }
    rows.push(row(1_000, None));
    rows
}

async fn plan(store: &Store, mode: LoadMode, policy: OnBadRow) -> TablePlan {
    let mut plan = plan_for(&store.client, "t", COLUMNS).await;
    plan.load.mode = mode;
    plan.load.arbiter = Some(Arbiter {
        index: PgIdent::exact("t_pkey"),
        columns: vec![PgIdent::exact("id")],
        nulls_not_distinct: false,
    });
    plan.bad_rows.on_bad_row = policy;
    plan
}

#[tokio::test]
async fn every_kind_of_bad_row_is_set_aside_in_every_mode_and_no_other_row_is_lost() {
    let bad = i64::try_from(BAD.len()).expect("small");
    for mode in [LoadMode::Copy, LoadMode::Upsert, LoadMode::InsertOnly] {
        let mut store = Store::create(TABLE).await;
        let plan = plan(&store, mode, OnBadRow::Quarantine).await;
        let (loaded, _) = store.load(&plan, &rows()).await.expect("loads");
        let counts = loaded.accounting;
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!((counts.fetched, counts.inserted, counts.quarantined), (2 * bad + 1, bad + 1, bad));
        let found = store.rows("select id from t order by id").await;
        let mut expected: Vec<String> = (0..BAD.len()).map(|at| (2 * at).to_string()).collect();
        expected.push("1000".to_owned());
        assert_eq!(found, expected, "{mode:?}");
        let aside = store
            .rows("select ordinal, column_name, key_data, row_data from migration_status.quarantined_rows order by 1")
            .await;
        let expected: Vec<String> =
            (1..).zip(BAD).map(|(position, (column, _))| format!("{}|{column}|~|~", 2 * position)).collect();
        assert_eq!(aside, expected, "{mode:?}");
        let everything = store.rows("select q::text from migration_status.quarantined_rows q").await.concat();
        assert!(!everything.contains("canary") && !everything.contains("4711"), "{everything}");
    }
}

#[tokio::test]
async fn every_kind_of_bad_value_can_become_null_and_is_counted() {
    let mut store = Store::create(TABLE).await;
    let plan = plan(&store, LoadMode::Upsert, OnBadRow::Null).await;
    let (loaded, _) = store.load(&plan, &rows()).await.expect("loads");
    let bad = i64::try_from(BAD.len()).expect("small");
    let counts = loaded.accounting;
    assert!(counts.is_balanced(), "{counts:?}");
    assert_eq!((counts.inserted, counts.quarantined, counts.nulled), (2 * bad + 1, 0, bad));
    let stored = store.rows("select nulled_values from migration_status.migration_chunk_status").await;
    assert_eq!(stored, [bad.to_string()]);
    for (position, (column, _)) in BAD.iter().enumerate() {
        let sql = format!("select {column}, num_nulls(t.*) from t where id = {}", 2 * position + 1);
        assert_eq!(store.rows(&sql).await.len(), 1);
        let sql = format!("select count(*) from t where {column} is null and id = {}", 2 * position + 1);
        assert_eq!(store.rows(&sql).await, ["1"], "{column}");
    }
}

#[tokio::test]
async fn every_kind_of_bad_row_fails_its_chunk_alone_and_names_its_place() {
    let mut store = Store::create(TABLE).await;
    let plan = plan(&store, LoadMode::Upsert, OnBadRow::Fail).await;
    for bad in BAD {
        let chunk = store.claimed(&plan, None).await;
        let rows = [row(1, None), row(2, Some(*bad))];
        let error = store.attempt(&plan, &chunk, &rows).await.expect_err("a bad row");
        assert_eq!(error.disposition(), Disposition::Fatal);
        let text = error.to_string();
        assert!(text.starts_with(&format!("row 2 of the chunk, column \"{}\": ", bad.0)), "{text}");
        assert!(!text.contains("canary") && !format!("{error:?}").contains("4711"), "{error:?}");
        assert_eq!(store.rows("select id from t").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn values_are_kept_where_the_plan_says_so_under_the_names_of_the_source() {
    let mut store = Store::create("create table t (id int primary key, v text, n int)").await;
    let columns = [("id", S::Number { precision: 38, scale: 0 }), ("v", TEXT), ("n", TEXT)];
    let mut plan = plan_for(&store.client, "t", &columns).await;
    plan.load.mode = LoadMode::Upsert;
    plan.load.arbiter = Some(Arbiter {
        index: PgIdent::exact("t_pkey"),
        columns: vec![PgIdent::exact("id")],
        nulls_not_distinct: false,
    });
    plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
    plan.bad_rows.nul_in_text = NulInText::Fail;
    plan.bad_rows.keep_values = true;
    let long = "x".repeat(2 * 1024 * 1024);
    let rows = [
        vec![cell("1"), cell("good"), cell("1")],
        vec![cell("2"), cell("a\0b"), None],
        vec![cell("3"), cell(&long), cell("no number")],
        vec![cell("4"), None, cell("no number")],
    ];
    let (loaded, _) = store.load(&plan, &rows).await.expect("loads");
    assert_eq!((loaded.accounting.inserted, loaded.accounting.quarantined), (1, 3));
    let kept = store
        .rows("select ordinal, key_data, row_data from migration_status.quarantined_rows order by ordinal")
        .await;
    assert_eq!(
        kept,
        [
            "2|{\"ID\": \"2\"}|{\"N\": null, \"V\": \"a\u{2400}b\", \"ID\": \"2\"}",
            "3|~|~",
            "4|{\"ID\": \"4\"}|{\"N\": \"no number\", \"V\": null, \"ID\": \"4\"}",
        ]
    );
}

#[tokio::test]
async fn the_limit_of_bad_rows_is_the_tables_not_the_chunks() {
    let mut store = Store::create("create table t (v int)").await;
    let mut plan = plan_for(&store.client, "t", &[("v", TEXT)]).await;
    plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
    plan.bad_rows.max_bad_rows = 3;
    let chunks = store.claimed_chunks(&plan, &[None, None, None]).await;
    let two_bad = [vec![cell("1")], vec![cell("x")], vec![cell("y")]];
    store.attempt(&plan, &chunks[0], &two_bad).await.expect("two are allowed");
    let error = store.attempt(&plan, &chunks[1], &two_bad).await.expect_err("four are not");
    assert!(matches!(error, LoadError::TooManyBadRows { limit: 3, found: 4 }), "{error}");
    assert_eq!(
        (error.disposition(), error.class()),
        (Disposition::HaltTable, "too_many_bad_rows".to_owned())
    );
    let four_bad = [vec![cell("x")], vec![cell("x")], vec![cell("x")], vec![cell("x")]];
    let error = store.attempt(&plan, &chunks[1], &four_bad).await.expect_err("nor in one chunk");
    assert!(matches!(error, LoadError::Encode(EncodeError::TooManyBadRows { limit: 3, .. })), "{error}");
    let one_bad = [vec![cell("2")], vec![cell("x")]];
    store.attempt(&plan, &chunks[2], &one_bad).await.expect("three are");
    assert_eq!(store.rows("select v from t order by v").await, ["1", "2"]);
    assert_eq!(store.rows("select count(*) from migration_status.quarantined_rows").await, ["3"]);
}

/// Two chunks that commit at the same time, with two bad rows each of three that are allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_bad_rows_holds_for_chunks_that_commit_at_the_same_time() {
    let mut store = Store::create("create table t (v int)").await;
    let mut plan = plan_for(&store.client, "t", &[("v", TEXT)]).await;
    plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
    plan.bad_rows.max_bad_rows = 3;
    let two_bad = [vec![cell("1")], vec![cell("x")], vec![cell("y")]];
    for _ in 0..20 {
        store.client.batch_execute("truncate t, migration_status.quarantined_rows").await.expect("empties");
        let chunks = store.claimed_chunks(&plan, &[None, None]).await;
        let mut sessions =
            [store.pool.get().await.expect("connects"), store.pool.get().await.expect("connects")];
        let [first, second] = &mut sessions;
        let ends = tokio::join!(
            attempt(first, &plan, &chunks[0], &two_bad),
            attempt(second, &plan, &chunks[1], &two_bad)
        );
        let refused: Vec<LoadError> = [ends.0.err(), ends.1.err()].into_iter().flatten().collect();
        let [LoadError::TooManyBadRows { limit: 3, found: 4 }] = refused.as_slice() else {
            panic!("one of the two is refused: {refused:?}")
        };
        assert_eq!(store.rows("select v from t").await, ["1"]);
        assert_eq!(store.rows("select count(*) from migration_status.quarantined_rows").await, ["2"]);
    }
}

#[tokio::test]
async fn a_wait_for_another_chunks_bad_rows_is_no_lock_on_the_target_and_is_not_counted() {
    let mut store = Store::create("create table t (v int)").await;
    let mut plan = plan_for(&store.client, "t", &[("v", TEXT)]).await;
    plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
    let chunk = store.claimed(&plan, None).await;
    let other = store.pool.get().await.expect("connects");
    let key = "select pg_advisory_lock(hashtextextended('thaw/bad-rows/' || $1::bigint, 0))";
    other.execute(key, &[&chunk.id.table.0]).await.expect("locks");
    store.client.batch_execute("set lock_timeout = 100").await.expect("sets");
    let rows = [vec![cell("1")], vec![cell("x")]];
    let error = store.attempt(&plan, &chunk, &rows).await.expect_err("the other one has not ended");
    assert!(matches!(error, LoadError::BadRowsBusy), "{error}");
    assert!(!error.is_lock_timeout(), "nobody is to be named who has a lock on the target");
    assert_eq!(error.disposition(), Disposition::Snooze { after: None });
    other.batch_execute("select pg_advisory_unlock_all()").await.expect("unlocks");
    store.attempt(&plan, &chunk, &rows).await.expect("loads");
}

const MARKED: &str = "create table t (id int primary key, v text, at timestamp)";

async fn marked(store: &Store, mode: LoadMode) -> TablePlan {
    crate::merge::keyed(store, mode).await
}

/// Across chunks the target's row stands for the other one: the same key, the same watermark, other values.
#[tokio::test]
async fn rows_that_differ_under_one_key_and_watermark_in_two_chunks_are_counted_as_tied() {
    for copies in [false, true] {
        let mut store = Store::create(MARKED).await;
        let mut plan = marked(&store, LoadMode::Upsert).await;
        plan.load.copy_first = copies;
        plan.load.on_duplicate = thaw_model::plan::OnDuplicate::Upsert;
        let of = |id: &str, v: &str, at: &str| vec![cell(id), cell(v), cell(at)];
        let first = [of("1", "a", "60"), of("2", "a", "60"), of("3", "a", "60"), of("4", "a", "60")];
        // The same row, an older and a newer one, one nobody can choose, and a new one.
        let second = [
            of("1", "a", "60"),
            of("2", "b", "0"),
            of("3", "b", "120"),
            of("4", "b", "60"),
            of("5", "a", "60"),
        ];
        let counts = store.load(&plan, &first).await.expect("loads").0.accounting;
        assert_eq!((counts.inserted, counts.tied), (4, 0));
        let counts = store.load(&plan, &second).await.expect("loads").0.accounting;
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!((counts.inserted, counts.updated, counts.kept, counts.tied), (1, 2, 2, 1));
        let found = store.rows("select id, v from t order by id").await;
        assert_eq!(found, ["1|a", "2|a", "3|b", "4|b", "5|a"], "of equal ones the later stands");
        let stored = store.rows("select sum(tied_rows) from migration_status.migration_chunk_status").await;
        assert_eq!(stored, ["1"]);
    }
}

#[tokio::test]
async fn a_watermark_that_became_null_keeps_the_row_and_is_reported() {
    let mut store = Store::create(MARKED).await;
    let plan = marked(&store, LoadMode::Upsert).await;
    let of = |id: &str, v: &str, at: Option<&str>| vec![cell(id), cell(v), at.map(ToOwned::to_owned)];
    let first = [of("1", "a", Some("60")), of("2", "a", None), of("3", "a", Some("60"))];
    let counts = store.load(&plan, &first).await.expect("loads").0.accounting;
    assert_eq!((counts.inserted, counts.null_watermarks, counts.watermark_lost), (3, 1, 0));
    let second = [
        of("1", "b", None),
        // Without one on both sides: nothing says that it is older.
        of("2", "b", None),
        // Has another row of its key in the chunk, which has one.
        of("3", "c", None),
        of("3", "b", Some("120")),
        of("4", "a", None),
    ];
    let counts = store.load(&plan, &second).await.expect("loads").0.accounting;
    assert!(counts.is_balanced(), "{counts:?}");
    assert_eq!((counts.inserted, counts.updated, counts.kept, counts.deduplicated), (1, 2, 1, 1));
    assert_eq!((counts.null_watermarks, counts.watermark_lost), (4, 1));
    let found = store.rows("select id, v from t order by id").await;
    assert_eq!(found, ["1|a", "2|b", "3|b", "4|a"]);
}

#[tokio::test]
async fn a_watermark_that_cannot_be_held_and_becomes_null_keeps_the_row_and_is_reported() {
    let mut store = Store::create(MARKED).await;
    let mut plan = marked(&store, LoadMode::Upsert).await;
    plan.bad_rows.on_bad_row = OnBadRow::Null;
    let of = |v: &str, at: &str| vec![vec![cell("1"), cell(v), cell(at)]];
    store.load(&plan, &of("a", "60")).await.expect("loads");
    let counts = store.load(&plan, &of("b", "99999999999999.5")).await.expect("loads").0.accounting;
    assert!(counts.is_balanced(), "{counts:?}");
    assert_eq!((counts.nulled, counts.kept, counts.null_watermarks, counts.watermark_lost), (1, 1, 1, 1));
    assert_eq!(store.rows("select v from t").await, ["a"]);
}

#[tokio::test]
async fn rows_that_differ_under_one_key_and_watermark_are_counted_as_the_sources_defect() {
    for (mode, has_watermark, expected) in
        [(LoadMode::Upsert, true, 2), (LoadMode::InsertOnly, true, 2), (LoadMode::Upsert, false, 3)]
    {
        let mut store = Store::create("create table t (id int primary key, v text, at timestamp)").await;
        let columns = [
            ("id", S::Number { precision: 38, scale: 0 }),
            ("v", TEXT),
            ("at", S::TimestampNtz { scale: 0 }),
        ];
        let mut plan = plan_for(&store.client, "t", &columns).await;
        plan.load.mode = mode;
        plan.load.arbiter = Some(Arbiter {
            index: PgIdent::exact("t_pkey"),
            columns: vec![PgIdent::exact("id")],
            nulls_not_distinct: false,
        });
        plan.load.watermark = has_watermark.then(|| PgIdent::exact("at"));
        let of = |id: &str, v: &str, at: &str| vec![cell(id), cell(v), cell(at)];
        let rows = [
            // Twice the same row, an older and a newer one: no defect where there is a watermark.
            of("1", "a", "0"),
            of("1", "a", "0"),
            of("2", "a", "0"),
            of("2", "b", "60"),
            // Two rows nobody can choose between.
            of("3", "a", "60"),
            of("3", "b", "60"),
            vec![cell("4"), cell("a"), None],
            vec![cell("4"), None, None],
        ];
        let (loaded, _) = store.load(&plan, &rows).await.expect("loads");
        let counts = loaded.accounting;
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!((counts.inserted, counts.deduplicated, counts.ambiguous), (4, 4, expected), "{mode:?}");
        let stored = store.rows("select ambiguous_rows from migration_status.migration_chunk_status").await;
        assert_eq!(stored, [expected.to_string()]);
    }
}

#[tokio::test]
async fn what_only_the_server_can_refuse_fails_the_chunk_with_the_constraint_and_the_row() {
    let mut store = Store::create(
        "create domain code as text constraint refused check (value not like 'canary%'); \
         create table of_domain (v code); create table of_xml (v xml); \
         create table of_check (v text constraint checked check (v not like 'canary%'))",
    )
    .await;
    for (table, good, bad, sqlstate, name) in [
        ("of_domain", "a", "canary", "23514", "constraint \"refused\""),
        ("of_check", "a", "canary", "23514", "constraint \"checked\""),
        ("of_xml", "<a/>", "<canary", "2200N", ""),
    ] {
        let mut plan = plan_for(&store.client, table, &[("v", TEXT)]).await;
        plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
        let rows = [vec![cell(good)], vec![cell(bad)], vec![cell(good)]];
        let error = store.load(&plan, &rows).await.expect_err("the server refuses it");
        let text = error.to_string();
        assert!(text.contains(sqlstate) && text.contains(name), "{text}");
        assert!(text.ends_with(", row 2 of the copy"), "{text}");
        assert!(!format!("{text} {error:?}").contains("canary\""), "{error:?}");
        assert_eq!(error.disposition(), Disposition::Fatal, "{text}");
        assert_eq!(store.rows(&format!("select v from {table}")).await, Vec::<String>::new());
    }
}

/// Columns and keys that take no NULL: a bad value there is set aside with its row, or fails the chunk. It is never
/// dropped, and never becomes NULL.
#[tokio::test]
async fn what_cannot_be_null_is_set_aside_or_fails_under_every_policy() {
    let bytes = S::Binary;
    let columns = [("id", S::Number { precision: 38, scale: 0 }), ("v", TEXT), ("b", bytes), ("note", TEXT)];
    let good = |id: &str| vec![cell(id), cell("1"), cell("00ff"), cell("a note")];
    let bad = [
        (None, cell("2"), cell("00"), "id"),
        (cell("99999999999"), cell("2"), cell("00"), "id"),
        (cell("3"), None, cell("00"), "v"),
        (cell("3"), cell("canary"), cell("00"), "v"),
        (cell("4"), cell("4"), None, "b"),
        (cell("4"), cell("4"), cell("canary"), "b"),
        (cell("4"), cell("4"), cell("0"), "b"),
    ]
    .map(|(id, v, b, column)| (vec![id, v, b, cell("canary\0")], column));
    for mode in [LoadMode::Copy, LoadMode::Upsert, LoadMode::InsertOnly] {
        let mut store =
            Store::create("create table t (id int primary key, v int not null, b bytea not null, note text)")
                .await;
        let mut plan = plan_for(&store.client, "t", &columns).await;
        plan.load.mode = mode;
        plan.load.arbiter = Some(Arbiter {
            index: PgIdent::exact("t_pkey"),
            columns: vec![PgIdent::exact("id")],
            nulls_not_distinct: false,
        });
        plan.bad_rows.nul_in_text = NulInText::Strip;
        for policy in [OnBadRow::Fail, OnBadRow::Null] {
            plan.bad_rows.on_bad_row = policy;
            for (row, column) in &bad {
                let rows = [good("1"), row.clone(), good("9")];
                let error = store.load(&plan, &rows).await.expect_err("refused").to_string();
                assert!(error.starts_with(&format!("row 2 of the chunk, column \"{column}\": ")), "{error}");
                assert_eq!(error.ends_with("cannot be null instead"), policy == OnBadRow::Null, "{error}");
                assert!(!error.contains("canary"), "{error}");
                assert_eq!(store.rows("select 1 from t").await, Vec::<String>::new());
            }
        }
        plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
        plan.bad_rows.nul_in_text = NulInText::Replace;
        let mut rows: Vec<Vec<Cell>> = bad.iter().map(|(row, _)| row.clone()).collect();
        rows.insert(0, good("1"));
        // A character that is replaced makes no bad row.
        rows.push(vec![cell("9"), cell("1"), cell("00FF"), cell("a\0b")]);
        let counts = store.load(&plan, &rows).await.expect("loads").0.accounting;
        assert!(counts.is_balanced(), "{counts:?}");
        assert_eq!((counts.fetched, counts.inserted, counts.quarantined), (9, 2, 7), "{mode:?}");
        let found = store.rows("select id, b, note from t order by id").await;
        assert_eq!(found, ["1|\\x00ff|a note", "9|\\x00ff|a\u{fffd}b"]);
        let aside = "select column_name from migration_status.quarantined_rows order by ordinal";
        assert_eq!(store.rows(aside).await, bad.clone().map(|(_, column)| column.to_owned()));
    }
}
