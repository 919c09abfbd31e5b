//! The tests themselves can fail: a comparison that a spoiled target passes would prove nothing.

use anyhow::Result;
use thaw_e2e::{Setting, Stage};
use thaw_harness::tpch::ORDERS;

#[tokio::test]
async fn a_missing_a_doubled_and_a_changed_row_are_each_found() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 1_000)).await?;
    let _worker = stage.worker("worker")?;
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await?;
    let copy = "create table copy as table orders; delete from orders where \"O_ORDERKEY\" = 1";
    stage.client.batch_execute(copy).await?;
    assert!(stage.expect_equal().await.is_err(), "a row is missing");
    stage.client.batch_execute("insert into orders select * from copy where \"O_ORDERKEY\" = 1").await?;
    stage.expect_equal().await?;
    let doubled = "alter table orders drop constraint orders_pkey; \
                   insert into orders select * from copy where \"O_ORDERKEY\" = 1";
    stage.client.batch_execute(doubled).await?;
    assert!(stage.expect_equal().await.is_err(), "a row is doubled");
    stage.client.batch_execute("truncate orders; insert into orders table copy").await?;
    let changed = "update orders set \"UPDATED_AT\" = \"UPDATED_AT\" + interval '1 microsecond' \
                   where \"O_ORDERKEY\" = 1";
    stage.client.batch_execute(changed).await?;
    assert!(stage.expect_equal().await.is_err(), "a row has other values");
    Ok(())
}

#[tokio::test]
async fn an_up_to_date_table_is_not_written_again() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 5_000, 1_000)).await?;
    let _worker = stage.worker("worker")?;
    let planner = stage.planner_run()?;
    let first = stage.expect_completed(planner).await?;
    stage.emulator.clear_statements().await?;
    let planner = stage.fleet.planner("planner-2", &["run"])?.spawn()?;
    let second = stage.expect_completed(planner).await?;
    assert_ne!(first.run, second.run);
    assert_eq!(second.rows_written, 0);
    assert!(second.chunks <= 1, "{second:?}");
    stage.expect_equal().await
}
