//! The start of a table: once, whole, and not past somebody's lock; indexes come back as they were.

use futures_util::future::join_all;
use thaw_model::plan::{ReplaceTail, StartPlan};
use thaw_model::{ChunkId, PgIdent, TableId, TableState, WorkerId};
use thaw_status::{NewPlan, Outcome, PlannerClaim, Start, StoreError};

use crate::fixture::{Store, claimed, load, long, new_plan, new_table, plan, report};

async fn planned(store: &mut Store, start: StartPlan) -> (PlannerClaim, TableId) {
    let (planner, tables) = store.reserve(&[new_table("rows")], long()).await;
    let new = NewPlan { plan: plan(start), ..new_plan(1) };
    thaw_status::store_plan(&mut store.client, &planner, tables[0].id, &new).await.expect("stores");
    thaw_status::mark_run_planned(&store.client, &planner).await.expect("marks");
    (planner, tables[0].id)
}

#[tokio::test]
async fn of_many_that_start_a_table_one_truncates_it() {
    let mut store = Store::create().await;
    store.client.batch_execute("insert into public.rows values (1, 1)").await.expect("inserts");
    let (planner, table) = planned(&mut store, StartPlan { truncate: true, ..StartPlan::default() }).await;
    let mut clients = join_all((0..6).map(|_| store.connect())).await;
    let starts =
        join_all(clients.iter_mut().map(|client| thaw_status::start_table(client, planner.run, table))).await;
    let started =
        starts.into_iter().filter(|start| matches!(start.as_ref().expect("asks"), Start::Started(_)));
    assert_eq!(started.count(), 1);
    assert_eq!(store.one::<i64>("select count(*) from public.rows").await, 0);
    let marked: bool =
        store.one("select truncated_at is not null from migration_status.migration_table_status").await;
    assert!(marked);
}

#[tokio::test]
async fn a_start_that_cannot_get_its_lock_changes_nothing() {
    let mut store = Store::create().await;
    store
        .client
        .batch_execute("insert into public.rows values (1, 1); create index i on public.rows (n)")
        .await
        .expect("makes");
    let start = StartPlan { truncate: true, drop_indexes: true, ..StartPlan::default() };
    let (planner, table) = planned(&mut store, start).await;
    let mut person = store.connect().await;
    let reading = person.transaction().await.expect("begins");
    reading.query("select * from public.rows", &[]).await.expect("reads");
    let error = thaw_status::start_table(&mut store.client, planner.run, table).await.expect_err("locked");
    assert_eq!(error.sqlstate(), Some("55P03"));
    assert_eq!(store.table_state(table).await, "planned");
    reading.rollback().await.expect("goes");
    assert_eq!(store.one::<i64>("select count(*) from public.rows").await, 1);
    let start = thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    assert!(matches!(start, Start::Started(_)));
}

#[tokio::test]
async fn a_start_that_met_a_lock_is_put_off_for_the_whole_fleet_and_longer_each_time() {
    let mut store = Store::create().await;
    let (planner, table) = planned(&mut store, StartPlan::default()).await;
    // As of a planner that died a while ago: it is for anybody to start.
    store
        .client
        .batch_execute(
            "update migration_status.migration_runs set planner_lease_until = now() - interval '1 minute';
             update migration_status.migration_table_status set planned_at = now() - interval '1 minute'",
        )
        .await
        .expect("aged");
    assert_eq!(thaw_status::redispatch(&mut store.client, 10).await.expect("looks").jobs.len(), 1);
    let due = "update migration_status.migration_table_status set start_due_at = now()";
    let mut pauses = Vec::new();
    for tries in 1..=8 {
        let snoozed = thaw_status::snooze_start(&store.client, planner.run, table).await.expect("snoozes");
        let snoozed = snoozed.expect("planned");
        assert_eq!(snoozed.tries, tries);
        pauses.push(snoozed.pause.as_secs_f64());
        // Of two who met the same lock.
        let other = thaw_status::snooze_start(&store.client, planner.run, table).await.expect("looks");
        assert_eq!(other, None, "put off already");
        if tries < 8 {
            store.client.batch_execute(due).await.expect("due");
        }
    }
    for (pause, expected) in pauses.iter().zip([2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]) {
        assert!((expected * 0.7..=expected * 1.25).contains(pause), "{pauses:?}");
    }
    assert_eq!(thaw_status::redispatch(&mut store.client, 10).await.expect("looks").jobs, []);
    // A message from before the pause, or a planner that tries all the same.
    let early = thaw_status::start_table(&mut store.client, planner.run, table).await.expect("looks");
    assert!(matches!(early, Start::NotStartable(_)), "{early:?}");
    store.client.batch_execute(due).await.expect("due");
    assert_eq!(thaw_status::redispatch(&mut store.client, 10).await.expect("looks").jobs.len(), 1);
    let start = thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    assert!(matches!(start, Start::Started(_)));
    assert_eq!(thaw_status::snooze_start(&store.client, planner.run, table).await.expect("looks"), None);
}

#[tokio::test]
async fn a_tail_is_deleted_from_the_bound_on_and_where_it_is_null() {
    let mut store = Store::create().await;
    store
        .client
        .batch_execute("insert into public.rows values (1, 1), (1, 5), (1, 9), (1, null)")
        .await
        .expect("inserts");
    let start = StartPlan { replace_tail: Some(tail(Some("5"), None)), ..StartPlan::default() };
    let (planner, table) = planned(&mut store, start).await;
    thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    assert_eq!(store.one::<Vec<i32>>("select array_agg(n) from public.rows").await, vec![1]);
}

#[tokio::test]
async fn a_tail_under_a_filter_leaves_the_rows_of_other_entries() {
    for (bound, left) in [(Some("5"), vec![1, 6, 7]), (None, vec![6, 7])] {
        let mut store = Store::create().await;
        let rows = "insert into public.rows values (1, 1), (1, 5), (1, null), (2, 6), (2, 7), (1, 9)";
        store.client.batch_execute(rows).await.expect("inserts");
        let filter = "chunk = 1 or false";
        let start = StartPlan { replace_tail: Some(tail(bound, Some(filter))), ..StartPlan::default() };
        let (planner, table) = planned(&mut store, start).await;
        thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
        assert_eq!(store.one::<Vec<i32>>("select array_agg(n order by n) from public.rows").await, left);
    }
}

fn tail(bound: Option<&str>, filter: Option<&str>) -> ReplaceTail {
    ReplaceTail {
        column: PgIdent::exact("n"),
        bound: bound.map(str::to_owned),
        pg_type: "integer".into(),
        by_bytes: false,
        filter: filter.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_start_that_cannot_succeed_fails_the_table() {
    let mut store = Store::create().await;
    store
        .client
        .batch_execute("alter table public.rows add primary key (n); create table public.child (n int references public.rows)")
        .await
        .expect("makes");
    let (planner, table) = planned(&mut store, StartPlan { truncate: true, ..StartPlan::default() }).await;
    let error = thaw_status::start_table(&mut store.client, planner.run, table).await.expect_err("refused");
    assert!(matches!(error, StoreError::TruncateReferenced { .. }), "never CASCADE: {error}");
    let recorded =
        thaw_status::table::fail_start(&mut store.client, planner.run, table, &report("truncate_referenced"))
            .await;
    assert_eq!(recorded.expect("fails").outcome(), Outcome::Table(TableState::Failed));
    assert_eq!(store.table_state(table).await, "failed");
    assert!(thaw_status::end_run(&mut store.client, planner.run).await.expect("ends").is_some());
}

const CATALOGUE: &str = "select string_agg(concat_ws('|', pg_get_indexdef(i.indexrelid), obj_description(i.indexrelid, 'pg_class'), \
    i.indisclustered, (select string_agg(a.attnum || '=' || a.attstattarget, ',' order by a.attnum) from pg_attribute a where a.attrelid = i.indexrelid)), E'\\n' order by i.indexrelid::regclass::text) \
    from pg_index i where i.indrelid = 'public.rows'::regclass";

#[tokio::test]
async fn dropped_indexes_come_back_with_everything_they_had() {
    let mut store = Store::create().await;
    store
        .client
        .batch_execute(
            "alter table public.rows add column t text, add column k int unique;
             create index \"Odd name\" on public.rows (n desc nulls last) include (chunk) where n > 3;
             create index expression on public.rows (lower(t), (n + 1)) with (fillfactor = 70);
             comment on index public.expression is 'it''s mine';
             alter index public.expression alter column 1 set statistics 400;
             alter table public.rows cluster on expression;
             create unique index proof on public.rows (n, chunk);",
        )
        .await
        .expect("makes");
    let before: String = store.one(CATALOGUE).await;
    let (planner, table) =
        planned(&mut store, StartPlan { drop_indexes: true, ..StartPlan::default() }).await;
    thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    let left: i64 = store.one("select count(*) from pg_index where indrelid = 'public.rows'::regclass").await;
    assert_eq!(left, 2, "unique ones stay");
    // The run dies; nothing else is forgotten.
    let cancelled = thaw_status::cancel_run(&mut store.client, planner.run).await.expect("cancels");
    assert!(matches!(cancelled, thaw_status::Cancelled::Now { .. }));
    let behind = thaw_status::indexes::tables_without_their_indexes(&store.client).await.expect("lists");
    assert_eq!(behind, vec![table]);
    let mut clients = join_all((0..3).map(|_| store.connect())).await;
    let built =
        join_all(clients.iter_mut().map(|client| thaw_status::indexes::restore_indexes(client, table))).await;
    assert_eq!(built.into_iter().map(|built| built.expect("builds")).sum::<usize>(), 2, "each once");
    assert_eq!(store.one::<String>(CATALOGUE).await, before);
    let behind = thaw_status::indexes::tables_without_their_indexes(&store.client).await.expect("lists");
    assert_eq!(behind, vec![]);
}

#[tokio::test]
async fn a_finalizer_builds_what_a_superseded_run_left_behind() {
    let mut store = Store::create().await;
    store.client.batch_execute("create index i on public.rows (n)").await.expect("makes");
    let drop_indexes = StartPlan { drop_indexes: true, ..StartPlan::default() };
    let (dead, left) = planned(&mut store, drop_indexes.clone()).await;
    thaw_status::start_table(&mut store.client, dead.run, left).await.expect("starts");
    thaw_status::release_planner(&store.client, &dead).await.expect("leaves");
    assert!(thaw_status::supersede_run(&mut store.client, dead.run).await.expect("supersedes"));

    let (planner, table) = planned(&mut store, drop_indexes).await;
    let behind = thaw_status::indexes::tables_without_their_indexes(&store.client).await.expect("lists");
    assert_eq!(behind, vec![], "the target is about to be loaded again");
    thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    let worker = WorkerId::generate("worker");
    let chunk = claimed(&store.client, planner.run, ChunkId { table, number: 0 }, &worker).await;
    load(&mut store.client, &chunk).await;
    let claim = thaw_status::claim_finalize(&mut store.client, planner.run, table, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    assert!(!claim.indexes_dropped, "there was nothing left to drop");
    for expected in [1, 0] {
        let built = thaw_status::indexes::restore_indexes_of_target(&mut store.client, table).await;
        assert_eq!(built.expect("builds"), expected);
    }
    thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await.expect("finishes");
    assert_eq!(store.one::<i64>("select count(*) from pg_indexes where indexname = 'i'").await, 1);
    let saved =
        "select count(*) from migration_status.migration_table_status where saved_indexes is not null";
    assert_eq!(store.one::<i64>(saved).await, 0);
}

#[tokio::test]
async fn a_table_without_its_indexes_cannot_be_completed() {
    let mut store = Store::create().await;
    store.client.batch_execute("create index i on public.rows (n)").await.expect("makes");
    let (planner, tables) = store.reserve(&[new_table("rows")], long()).await;
    let table = tables[0].id;
    let start = StartPlan { drop_indexes: true, ..StartPlan::default() };
    let new = NewPlan { plan: plan(start), ..new_plan(0) };
    thaw_status::store_plan(&mut store.client, &planner, table, &new).await.expect("stores");
    thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    let worker = WorkerId::generate("worker");
    let claim = thaw_status::claim_finalize(&mut store.client, planner.run, table, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    assert!(claim.indexes_dropped);
    let finished = thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await;
    assert_eq!(finished.expect_err("an index is missing").sqlstate(), Some("23514"));
    assert_eq!(thaw_status::indexes::restore_indexes(&mut store.client, table).await.expect("builds"), 1);
    thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await.expect("finishes");
}

#[tokio::test]
async fn an_index_comes_back_into_its_tablespace() {
    let mut store = Store::create().await;
    let space = store.database.name().to_owned();
    store.client.batch_execute("set allow_in_place_tablespaces = on").await.expect("sets");
    store.client.batch_execute(&format!("create tablespace {space} location ''")).await.expect("makes");
    store
        .client
        .batch_execute(&format!("create index i on public.rows (n) tablespace {space}"))
        .await
        .expect("makes");
    let (planner, table) =
        planned(&mut store, StartPlan { drop_indexes: true, ..StartPlan::default() }).await;
    thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    thaw_status::indexes::restore_indexes(&mut store.client, table).await.expect("builds");
    let found: String = store.one("select tablespace::text from pg_indexes where indexname = 'i'").await;
    store.client.batch_execute("drop index public.i").await.expect("drops");
    store.client.batch_execute(&format!("drop tablespace {space}")).await.expect("drops");
    assert_eq!(found, space);
}

#[tokio::test]
async fn a_start_does_not_look_for_long_whether_its_target_is_empty() {
    let mut store = Store::create().await;
    let parts = "drop table public.rows;
        create table public.rows (chunk int, n int) partition by range (n);
        create table public.part partition of public.rows for values from (0) to (100)";
    store.client.batch_execute(parts).await.expect("makes");
    let (planner, table) = planned(&mut store, StartPlan::default()).await;
    // Stands for a heap of dead rows: a look that does not come to an end.
    let mut person = store.connect().await;
    let altering = person.transaction().await.expect("begins");
    altering.batch_execute("lock table only public.part in access exclusive mode").await.expect("locks");
    let start = thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    assert!(matches!(start, Start::Started(_)), "{start:?}");
    let found = "select target_was_empty from migration_status.migration_table_status";
    assert_eq!(store.one::<Option<bool>>(found).await, None, "unknown, which the finalizer says");
}
