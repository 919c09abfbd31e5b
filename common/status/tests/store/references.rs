//! Foreign keys between the tables of a run: parents first, one TRUNCATE for those that refer to each other, and no
//! waiting for what will never come.

use std::collections::HashMap;

use thaw_model::plan::StartPlan;
use thaw_model::{ChunkId, PgIdent, RunId, RunState, TableId, TableState, WorkerId};
use thaw_status::table::{ReferenceTrouble, reference_trouble};
use thaw_status::{NewPlan, NewRun, Opened, Opening, Outcome, PlannerClaim, Settlement, Start, StoreError};

use crate::fixture::{Store, claimed, load, long, new_plan, new_run, new_table, plan, report};

/// Tables of one run, by name.
struct Family {
    planner: PlannerClaim,
    tables: HashMap<String, TableId>,
}

impl Family {
    /// Reserves the tables and stores a plan of one chunk for each, empty where `start` says nothing.
    async fn planned(store: &mut Store, tables: &[(&str, Option<StartPlan>)]) -> Self {
        let reserved: Vec<_> = tables.iter().map(|(name, _)| new_table(name)).collect();
        let (planner, reserved) = store.reserve(&reserved, long()).await;
        let ids: HashMap<String, TableId> =
            tables.iter().zip(reserved).map(|((name, _), table)| ((*name).to_owned(), table.id)).collect();
        let family = Self { planner, tables: ids };
        for (name, start) in tables {
            if let Some(start) = start {
                family.plan(store, name, start.clone()).await;
            }
        }
        family
    }

    async fn plan(&self, store: &mut Store, name: &str, start: StartPlan) {
        let mut new = NewPlan { plan: plan(start), ..new_plan(1) };
        new.plan.target.table = PgIdent::exact(name);
        thaw_status::store_plan(&mut store.client, &self.planner, self.tables[name], &new)
            .await
            .expect("stores");
    }

    fn run(&self) -> RunId {
        self.planner.run
    }

    async fn start(&self, store: &mut Store, name: &str) -> Result<bool, StoreError> {
        let start = thaw_status::start_table(&mut store.client, self.run(), self.tables[name]).await?;
        Ok(matches!(start, Start::Started(_)))
    }

    /// Loads the one chunk of a started table and finalizes it.
    async fn finish(&self, store: &mut Store, name: &str, fails: bool) -> TableState {
        let (table, worker) = (self.tables[name], WorkerId::generate("worker"));
        let chunk = claimed(&store.client, self.run(), ChunkId { table, number: 0 }, &worker).await;
        if fails {
            let fatal = Settlement::Fatal { error: report("sqlstate_22003") };
            thaw_status::settle(&store.client, &chunk, &fatal).await.expect("settles");
        } else {
            load(&mut store.client, &chunk).await;
        }
        let claim = thaw_status::claim_finalize(&mut store.client, self.run(), table, &worker).await;
        let claim = claim.expect("asks").expect("ready");
        thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await.expect("finishes").state
    }

    async fn ready(&self, store: &mut Store) -> Vec<TableId> {
        let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
        found.jobs.iter().map(thaw_model::Job::table).collect()
    }
}

fn nothing() -> Option<StartPlan> {
    Some(StartPlan::default())
}

fn truncate() -> Option<StartPlan> {
    Some(StartPlan { truncate: true, ..StartPlan::default() })
}

/// `grandchild` refers to `child`, `child` to `parent`; each holds one row.
const LINE: &str = "
    create table parent (n int primary key); insert into parent values (1);
    create table child (n int primary key constraint to_parent references parent); insert into child values (1);
    create table grandchild (n int primary key constraint to_child references child); insert into grandchild values (1)";

async fn line() -> Store {
    let store = Store::create().await;
    store.client.batch_execute(LINE).await.expect("makes");
    store
}

#[tokio::test]
async fn a_child_starts_when_its_parents_are_finalized() {
    let mut store = line().await;
    // The child stands first in the configuration.
    let family = Family::planned(
        &mut store,
        &[("grandchild", nothing()), ("child", nothing()), ("parent", nothing())],
    )
    .await;
    // A run whose planner is gone: anybody starts what can be started.
    thaw_status::release_planner(&store.client, &family.planner).await.expect("leaves");
    assert_eq!(family.ready(&mut store).await, [family.tables["parent"]]);
    assert!(!family.start(&mut store, "child").await.expect("waits"));
    assert!(family.start(&mut store, "parent").await.expect("starts"));
    assert!(!family.start(&mut store, "child").await.expect("waits while the parent loads"));
    family.finish(&mut store, "parent", false).await;
    let freed = thaw_status::start::children_to_start(&store.client, family.run(), family.tables["parent"]);
    let freed: Vec<_> = freed.await.expect("lists").iter().map(thaw_model::Job::table).collect();
    assert_eq!(freed, [family.tables["child"]]);
    assert!(family.start(&mut store, "child").await.expect("starts"));
    assert!(!family.start(&mut store, "grandchild").await.expect("waits"));
    let said: String = store
        .one("select decisions::text from migration_status.migration_table_status where target_table = 'child'")
        .await;
    assert!(said.contains("starts after public.parent") && said.contains("to_parent"), "{said}");
}

#[tokio::test]
async fn a_failed_parent_fails_its_children_by_name() {
    let mut store = line().await;
    let family = Family::planned(
        &mut store,
        &[("parent", nothing()), ("child", nothing()), ("grandchild", nothing())],
    )
    .await;
    assert!(family.start(&mut store, "parent").await.expect("starts"));
    assert_eq!(family.finish(&mut store, "parent", true).await, TableState::Failed);
    for (child, message) in [
        ("child", "public.parent, which it refers to by constraint \"to_parent\", has failed"),
        ("grandchild", "public.child, which it refers to by constraint \"to_child\", has failed"),
    ] {
        let error = family.start(&mut store, child).await.expect_err("has no parent");
        assert_eq!(error.to_string(), message);
        let report = thaw_model::ErrorReport::of(&error);
        let recorded =
            thaw_status::table::fail_start(&mut store.client, family.run(), family.tables[child], &report)
                .await;
        assert_eq!(recorded.expect("fails").outcome(), Outcome::Table(TableState::Failed));
    }
}

#[tokio::test]
async fn note_12_tables_that_refer_to_each_other_share_one_truncate_and_nothing_else_is_emptied() {
    let mut store = line().await;
    let family =
        Family::planned(&mut store, &[("parent", truncate()), ("child", truncate()), ("grandchild", None)])
            .await;
    // Nobody knows yet whether the grandchild is emptied as well.
    assert!(!family.start(&mut store, "parent").await.expect("waits for the plan"));
    family.plan(&mut store, "grandchild", truncate().expect("a start")).await;
    assert!(family.start(&mut store, "parent").await.expect("starts"));
    let left = "select (select count(*) from parent) + (select count(*) from child) + (select count(*) from grandchild)";
    assert_eq!(store.one::<i64>(left).await, 0);
    let marked =
        "select count(*) from migration_status.migration_table_status where truncated_at is not null";
    assert_eq!(store.one::<i64>(marked).await, 3, "marked on each");
    family.finish(&mut store, "parent", false).await;
    // What came since is not emptied again: the child's TRUNCATE has been.
    store
        .client
        .batch_execute("insert into parent values (7); insert into child values (7)")
        .await
        .expect("inserts");
    assert!(family.start(&mut store, "child").await.expect("starts"));
    assert_eq!(store.one::<i64>("select count(*) from child").await, 1);
}

#[tokio::test]
async fn note_12_a_referencing_table_outside_the_run_is_an_error_that_names_the_constraint() {
    let mut store = line().await;
    let family = Family::planned(&mut store, &[("parent", truncate()), ("child", truncate())]).await;
    let error = family.start(&mut store, "parent").await.expect_err("the grandchild is not of this run");
    assert_eq!(
        error.to_string(),
        "grandchild refers to it by constraint \"to_child\" and is not truncated in this run, so that it cannot be \
         truncated; Thaw never cascades"
    );
    assert_eq!(store.one::<i64>("select count(*) from grandchild").await, 1);
    assert_eq!(store.one::<i64>("select count(*) from parent").await, 1);
}

#[tokio::test]
async fn tables_in_a_cycle_start_together_and_a_missed_row_is_waited_for_as_long_as_somebody_may_bring_it() {
    let mut store = Store::create().await;
    store
        .client
        .batch_execute(
            "create table hen (n int primary key); create table egg (n int primary key references hen);
             alter table hen add constraint from_egg foreign key (n) references egg",
        )
        .await
        .expect("makes");
    let family = Family::planned(&mut store, &[("hen", truncate()), ("egg", truncate())]).await;
    assert!(family.start(&mut store, "hen").await.expect("starts"));
    let chunk = ChunkId { table: family.tables["hen"], number: 0 };
    let worker = WorkerId::generate("worker");
    claimed(&store.client, family.run(), chunk, &worker).await;
    let trouble = |chunk| reference_trouble(&store.client, family.run(), chunk);
    assert_eq!(trouble(chunk).await.expect("asks"), ReferenceTrouble::Passes, "the egg is not started");
    let mut other = store.connect().await;
    thaw_status::start_table(&mut other, family.run(), family.tables["egg"]).await.expect("starts");
    assert_eq!(trouble(chunk).await.expect("asks"), ReferenceTrouble::Passes, "nobody has tried the egg");
    let egg = ChunkId { table: family.tables["egg"], number: 0 };
    let first_egg = claimed(&other, family.run(), egg, &worker).await;
    assert_eq!(trouble(chunk).await.expect("asks"), ReferenceTrouble::Passes, "the egg is on its way");
    let retry = Settlement::Retry { delay: std::time::Duration::ZERO, error: report("sqlstate_23503") };
    thaw_status::settle(&other, &first_egg, &retry).await.expect("settles");
    assert_eq!(trouble(chunk).await.expect("asks"), ReferenceTrouble::Counts, "both have only met this");
    let again = claimed(&other, family.run(), egg, &worker).await;
    load(&mut other, &again).await;
    assert_eq!(trouble(chunk).await.expect("asks"), ReferenceTrouble::Passes, "the egg has come meanwhile");
}

#[tokio::test]
async fn a_reference_to_a_table_that_is_not_of_the_run_stays_missed() {
    let mut store = line().await;
    let family = Family::planned(&mut store, &[("child", nothing())]).await;
    assert!(family.start(&mut store, "child").await.expect("has nobody to wait for"));
    let chunk = ChunkId { table: family.tables["child"], number: 0 };
    let trouble = reference_trouble(&store.client, family.run(), chunk).await.expect("asks");
    assert_eq!(trouble, ReferenceTrouble::Stays);
}

#[tokio::test]
async fn a_child_does_not_wait_for_a_parent_that_was_taken_out_of_the_run() {
    let mut store = line().await;
    let family = Family::planned(&mut store, &[("parent", None), ("child", nothing())]).await;
    assert!(!family.start(&mut store, "child").await.expect("waits for the plan of the parent"));
    thaw_status::release_planner(&store.client, &family.planner).await.expect("leaves");
    let run = NewRun { id: family.run(), ..new_run(long()) };
    let opening = Opening {
        run: &run,
        found: Some(RunState::Running),
        supersede: &[],
        resume: &[family.tables["child"]],
        replace: &[],
        abandon: &[family.tables["parent"]],
        add: &[],
    };
    let opened = thaw_status::open_run(&mut store.client, &opening).await.expect("opens");
    assert!(matches!(opened, Opened::Open(_)), "{opened:?}");
    assert!(family.start(&mut store, "child").await.expect("starts"));
}
