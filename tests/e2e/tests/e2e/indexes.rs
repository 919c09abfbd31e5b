//! `disable_index`: the target's indexes are the same afterwards, whoever died in between.

use anyhow::{Result, ensure};
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::wait;

/// Indexes of every kind: what may be dropped, and what must stay.
const INDEXES: &str = r#"
    create index plain on orders ("O_CUSTKEY", "O_ORDERDATE" desc nulls last) include ("O_CLERK");
    create index "Odd name" on orders using hash ("O_ORDERSTATUS");
    create index expression on orders (lower("O_COMMENT"), ("O_CUSTKEY" + 1)) with (fillfactor = 70) where "O_CUSTKEY" > 3;
    alter index expression alter column 1 set statistics 400;
    comment on index expression is 'it''s theirs';
    create unique index proof on orders ("O_ORDERKEY", "O_CUSTKEY");
    create index clustered on orders ("O_ORDERDATE");
    alter table orders cluster on clustered;
    alter table orders replica identity using index proof;
    alter table orders alter column "O_ORDERKEY" set statistics 300;
    create sequence next_order increment 10 owned by orders."O_ORDERKEY""#;

fn setting() -> Setting {
    let mut setting = Setting::of(ORDERS, 1_500, 500).with("/sources/0/tables/0/disable_index", json!(true));
    setting.target_sql.push(INDEXES.to_owned());
    setting
}

/// Kills the process that gets to `point`, gives its work to another, and compares the definitions.
async fn kill_at(point: &str) -> Result<()> {
    let stage = Stage::set(setting()).await?;
    let before = stage.target.dump_definition("orders")?;
    ensure!(before.contains("Odd name") && before.contains("REPLICA IDENTITY"), "{before}");
    let faults = format!("{point}=kill");
    // The victim may be either: whoever starts the table, or whoever finalizes it. The planner leaves.
    let mut victim = stage.faulty_worker("victim", &faults)?.spawn()?;
    let detached = stage.fleet.planner("planner", &["run", "--detach"])?.env("THAW_FAULT_POINTS", &faults);
    let detached = detached.run(PATIENCE).await?;
    let planner_died = detached.code == 137;
    ensure!(planner_died || detached.code == 0, "{}", detached.stderr);
    if !planner_died {
        ensure!(victim.wait(PATIENCE).await? == 137, "nobody got to {point}");
    }
    let _successor = stage.worker("successor")?;
    stage.await_completed().await?;
    stage.expect_equal().await?;
    let after = stage.target.dump_definition("orders")?;
    ensure!(after == before, "killed {point}:\n{after}");
    let kept = "select count(*) from migration_status.migration_table_status where saved_indexes is not null";
    ensure!(stage.client.query_one(kept, &[]).await?.get::<_, i64>(0) == 0, "definitions are left");
    let valid = "select bool_and(indisvalid) from pg_index where indrelid = 'orders'::regclass";
    ensure!(stage.client.query_one(valid, &[]).await?.get::<_, bool>(0), "an index is not valid");
    expect_finalized(&stage, point).await
}

/// Every step of the finalizer has been done, and its account written once.
async fn expect_finalized(stage: &Stage, point: &str) -> Result<()> {
    let sql = r#"select nextval('next_order') > (select max("O_ORDERKEY") from orders),
                        (select reltuples from pg_class where oid = 'orders'::regclass) = 1500"#;
    let row = stage.client.query_one(sql, &[]).await?;
    ensure!(row.get::<_, bool>(0), "killed {point}: the sequence is behind");
    ensure!(row.get::<_, bool>(1), "killed {point}: the table was not analyzed");
    let said = "select string_agg(d ->> 'subject' || ' ' || (d ->> 'choice'), ', ' order by d ->> 'subject')
                from migration_status.migration_table_status, jsonb_array_elements(decisions) d
                where d ->> 'subject' in ('source rows', 'target rows')";
    let said: String = stage.client.query_one(said, &[]).await?.get(0);
    ensure!(said == "source rows compared, target rows compared", "killed {point}: {said}");
    Ok(())
}

#[tokio::test]
async fn indexes_survive_a_kill_in_each_phase_of_the_start() -> Result<()> {
    for point in ["during_start", "after_save_indexes", "before_start_commit", "after_start"] {
        kill_at(point).await?;
    }
    Ok(())
}

#[tokio::test]
async fn indexes_survive_a_kill_in_each_phase_of_their_builds() -> Result<()> {
    for point in ["during_finalize", "during_index", "between_indexes"] {
        kill_at(point).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_kill_in_each_phase_of_the_finalize_costs_nothing_but_its_work() -> Result<()> {
    for point in ["after_indexes", "after_sequences", "after_analyze", "after_account", "after_finalize"] {
        kill_at(point).await?;
    }
    Ok(())
}

#[tokio::test]
async fn note_27_indexes_are_dropped_for_a_large_part_and_come_back_after_a_failure() -> Result<()> {
    let mut setting = setting();
    setting
        .target_sql
        .push("alter table orders add constraint impossible check (\"O_ORDERKEY\" < 0) not valid".to_owned());
    let stage = Stage::set(setting).await?;
    let before = stage.target.dump_definition("orders")?;
    let _worker = stage.worker("worker")?;
    let mut planner = stage.planner_run()?;
    ensure!(planner.wait(PATIENCE).await? == 2, "no row can be loaded");
    ensure!(planner.stderr()?.contains("indexes: dropped and rebuilt"), "{}", planner.stderr()?);
    wait::until("the indexes to be back", PATIENCE, async || {
        Ok(stage.target.dump_definition("orders")? == before)
    })
    .await
}
