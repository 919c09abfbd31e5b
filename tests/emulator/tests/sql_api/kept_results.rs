//! Results that outlive their submitter: how long, for whom, under which limits, and what they cost.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use thaw_harness::wait;

use crate::support::{Served, decode_rows};

#[tokio::test(flavor = "multi_thread")]
async fn a_result_ages_from_the_end_of_its_statement_and_a_running_one_does_not() {
    let served = Served::calm().await;
    served.small_table().await;
    served.fault(json!({"kind": "submit"}), json!({"takes_virtual_seconds": 30 * 3600})).await;
    let client = served.client();
    let handle = client.submit("select * from t", "async=true").await.handle();
    served.advance_hours(29).await;
    assert_eq!(client.get(&handle).await.status, StatusCode::ACCEPTED, "runs for a day and more");
    served.advance_hours(2).await;
    assert_eq!(client.until_ended(&handle).await.status, StatusCode::OK);
    served.advance_hours(23).await;
    assert_eq!(client.get(&handle).await.status, StatusCode::OK, "54 hours after its submission");
    served.advance_hours(1).await;
    wait::until("the result has expired", Duration::from_secs(10), async || {
        Ok(client.get(&handle).await.code() == "000709")
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_result_or_all_expire_on_demand_and_nobody_else_may_read_them() {
    let served = Served::start(&["--calm", "--partition-rows", "2"]).await;
    served.small_table().await;
    let client = served.client();
    let first = client.submit("select * from t", "").await.handle();
    let second = client.submit("select id from t", "").await.handle();
    for path in [first.clone(), format!("{first}?partition=1")] {
        let other = served.client_of("OTHER").get(&path).await;
        assert_eq!((other.status, other.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "000709"));
    }
    let expired = served.admin(Method::POST, "/expire", Some(json!({"handle": first}))).await;
    assert_eq!(expired["expired"], 1);
    for path in [first.clone(), format!("{first}?partition=1")] {
        let gone = client.get(&path).await;
        assert_eq!((gone.status, gone.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "000709"));
    }
    assert_eq!(client.get(&format!("{second}?partition=1")).await.status, StatusCode::OK);
    assert_eq!(served.admin(Method::POST, "/expire", Some(json!({}))).await["expired"], 1);
    assert_eq!(client.get(&second).await.code(), "000709");
}

#[tokio::test(flavor = "multi_thread")]
async fn resubmissions_at_once_execute_once_and_one_of_a_result_that_is_gone_executes_again() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let query = format!("async=true&retry=true&requestId={}", uuid::Uuid::new_v4());
    let mut submissions = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (client, query) = (client.clone(), query.clone());
        submissions.spawn(async move { client.submit("select * from t", &query).await.handle() });
    }
    let mut handles = submissions.join_all().await;
    handles.dedup();
    assert_eq!(handles.len(), 1);
    assert_eq!(served.log().await.len(), 1);
    client.until_ended(&handles[0]).await;
    served.admin(Method::POST, "/expire", Some(json!({}))).await;
    assert_ne!(client.submit("select * from t", &query).await.handle(), handles[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_above_the_accounts_limit_is_391908() {
    let served = Served::calm().await;
    served.orders(1000).await;
    let client = served.client();
    for limits in [json!({"result_rows": 999}), json!({"result_bytes": 5000})] {
        served.admin(Method::POST, "/limits", Some(limits)).await;
        let refused = client.submit("select * from orders", "").await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "391908"));
        assert_eq!(client.submit("select count(*) from orders", "").await.status, StatusCode::OK);
    }
    served.admin(Method::POST, "/limits", Some(json!({}))).await;
    assert_eq!(client.submit("select * from orders", "").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_partitions_are_cheap() {
    let served = Served::calm().await;
    served.orders(40_000).await;
    served.admin(Method::POST, "/limits", Some(json!({"partition_rows": 2}))).await;
    let client = served.client();
    let started = Instant::now();
    let first = client.submit("select o_orderkey from orders order by 1", "").await;
    let took = started.elapsed();
    let body = first.json();
    assert_eq!(body["resultSetMetaData"]["partitionInfo"].as_array().unwrap().len(), 20_000);
    // A debug build on a busy machine takes 3 s.
    assert!(took < Duration::from_secs(30), "{took:?}");
    let last = client.get(&format!("{}?partition=19999", first.handle())).await.json();
    assert_eq!(decode_rows(&last["data"]).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_above_the_rate_are_429_and_the_log_counts_what_was_given() {
    let served = Served::start(&["--calm", "--partition-rows", "2"]).await;
    served.small_table().await;
    let client = served.client();
    let handle = client.submit("select * from t", "").await.handle();
    served
        .admin(Method::POST, "/limits", Some(json!({"partition_rows": 2, "partitions_per_second": 3})))
        .await;
    let (mut given, mut refused) = (0, 0);
    for _ in 0..20 {
        let answer = client.get(&format!("{handle}?partition=1")).await;
        match answer.status {
            StatusCode::OK => given += 1,
            StatusCode::TOO_MANY_REQUESTS => {
                assert!(answer.code() == "390505" && !answer.headers.contains_key("retry-after"));
                refused += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0, "{given} given");
    assert_eq!(served.admin(Method::GET, "/limits", None).await["refused"], refused);
    let log = served.log().await;
    assert_eq!(log[0]["fetches"], json!({"0": 1, "1": given}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_what_a_statement_cost_the_source() {
    let served = Served::calm().await;
    served.orders(50_000).await;
    let client = served.client();
    client.submit("select * from orders order by o_orderkey limit 10 offset 40000", "").await;
    client.submit("select 1", "").await;
    let log = served.admin(Method::GET, "/statements?scan_cost=true", None).await;
    let costs: Vec<_> = log.as_array().unwrap().iter().map(|line| line["rows_scanned"].clone()).collect();
    assert_eq!(costs, [json!(50_000), json!(0)], "the rows that are skipped are read");
    let times: Vec<f64> = log.as_array().unwrap().iter().map(source_ms).collect();
    assert!(times[0] > 0.5 && times[0] > times[1], "{times:?}");
}

fn source_ms(line: &Value) -> f64 {
    line["source_ms"].as_f64().unwrap()
}
