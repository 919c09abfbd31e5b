//! Wall clocks and instants in other zones than UTC: PostgreSQL's AT TIME ZONE is the oracle, at random moments and
//! around the moments when clocks are moved.

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use thaw_harness::TestDatabase;
use thaw_model::SourceType as S;
use thaw_model::plan::TablePlan;
use thaw_worker::encode::RowEncoder;
use tokio_postgres::Client;

use crate::support::{cell, copy_all, feed, plan_for};

/// Zones whose clocks have moved in every way: an hour, half an hour, a day, for good, and never.
const ZONES: [&str; 8] = [
    "America/New_York",
    "Europe/Berlin",
    "Europe/Moscow",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Caracas",
    "Asia/Kolkata",
];

/// Seconds since 1970 near which one of the zones has moved its clocks.
const MOVES: [i64; 12] = [
    1_710_055_800,
    1_730_613_600,
    1_711_846_800,
    1_729_990_800,
    1_414_281_600,
    1_301_180_400,
    1_728_142_200,
    1_712_415_600,
    1_325_239_200,
    1_197_187_200,
    1_462_087_800,
    -2_840_140_800,
];

fn moments() -> Vec<i64> {
    let mut runner = TestRunner::deterministic();
    // From 1800 to 2200.
    let random = proptest::collection::vec(-5_364_662_400_i64..7_258_118_400, 600);
    let mut all = random.new_tree(&mut runner).expect("draws").current();
    for at in MOVES {
        // A day and two hours to both sides, every ten minutes and a second.
        all.extend((-155..=155).map(|step| at + step * 601));
    }
    all
}

async fn loaded(client: &Client, plan: &TablePlan, wire: Vec<Vec<Option<String>>>) {
    let (encoder, rows) = RowEncoder::new(plan, false).expect("encodes");
    let columns = "n, i, w, d";
    let (encoded, copied) = tokio::join!(feed(encoder, wire), copy_all(client, "t", columns, rows));
    encoded.expect("encodes");
    copied.expect("copies");
}

#[tokio::test]
async fn every_zone_converts_as_at_time_zone_does() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    client.batch_execute("set timezone = 'UTC'").await.expect("sets");
    let moments = moments();
    for zone in ZONES {
        client
            .batch_execute(
                "drop table if exists t; create table t (n bigint, i timestamptz, w timestamp, d timestamptz)",
            )
            .await
            .expect("creates");
        let columns = [
            ("n", S::Number { precision: 18, scale: 0 }),
            ("i", S::TimestampNtz { scale: 0 }),
            ("w", S::TimestampLtz { scale: 0 }),
            ("d", S::Date),
        ];
        let mut plan = plan_for(&client, "t", &columns).await;
        zone.clone_into(&mut plan.source.timezone);
        let wire = moments.iter().map(|at| {
            let text = cell(&at.to_string());
            vec![text.clone(), text.clone(), text, cell(&at.div_euclid(86_400).to_string())]
        });
        loaded(&client, &plan, wire.collect()).await;
        let wrong = client
            .query(
                "with e as (select *, timestamp 'epoch' + n * interval '1 second' as wall from t) \
                 select n from e where i is distinct from wall at time zone $1 \
                 or w is distinct from (wall at time zone 'UTC') at time zone $1 \
                 or d is distinct from date_trunc('day', wall) at time zone $1",
                &[&zone],
            )
            .await
            .expect("compares");
        let wrong: Vec<i64> = wrong.iter().map(|row| row.get(0)).collect();
        assert!(wrong.is_empty(), "{zone}: {} of {}: {:?}", wrong.len(), moments.len(), wrong.first());
    }
}

#[tokio::test]
async fn a_zone_that_does_not_exist_is_refused_before_any_row() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    client.batch_execute("create table t (i timestamptz)").await.expect("creates");
    let mut plan = plan_for(&client, "t", &[("i", S::TimestampNtz { scale: 9 })]).await;
    "Europe/Nowhere".clone_into(&mut plan.source.timezone);
    let refused = RowEncoder::new(&plan, false).expect_err("refuses").to_string();
    assert!(refused.contains("time zone"), "{refused}");
}
