//! Results in partitions: gzip, metadata once, cuts, spooling.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Served, decode_rows, send};

fn select_orders() -> Value {
    json!({"statement": "select * from orders order by o_orderkey", "database": "SALES", "schema": "PUBLIC"})
}

#[tokio::test(flavor = "multi_thread")]
async fn later_partitions_are_gzip_with_nothing_but_data() {
    let served = Served::start(&["--calm", "--partition-rows", "400"]).await;
    served.orders(1000).await;
    let client = served.client();
    let first = client.submit_body(&select_orders(), "").await;
    assert!(!first.is_gzip());
    let body = first.json();
    let info = body["resultSetMetaData"]["partitionInfo"].as_array().unwrap().clone();
    let counts: Vec<_> = info.iter().map(|one| one["rowCount"].as_u64().unwrap()).collect();
    assert_eq!(counts, [400, 400, 200]);
    assert_eq!(body["resultSetMetaData"]["numRows"], 1000);
    assert!(info[0].get("compressedSize").is_none() && info[1]["compressedSize"].as_u64().unwrap() > 100);
    let mut rows = decode_rows(&body["data"]);
    for number in 1..3 {
        let answer = client.get(&format!("{}?partition={number}", first.handle())).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.is_gzip());
        let body = answer.json();
        assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["data"], "no metadata");
        rows.extend(decode_rows(&body["data"]));
        let again = client.get(&format!("{}?partition={number}", first.handle())).await;
        assert_eq!(again.text, answer.text, "the same bytes each time");
    }
    let keys: Vec<i64> = rows.iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect();
    assert!(keys.is_sorted() && keys.len() == 1000);
    let links = |answer: &crate::support::Answer| answer.headers["link"].to_str().unwrap().to_owned();
    assert!(
        links(&first).contains("partition=1>; rel=\"next\"")
            && links(&first).contains("partition=2>; rel=\"last\"")
    );
    let middle = client.get(&format!("{}?partition=1", first.handle())).await;
    assert!(
        links(&middle).contains("partition=0>; rel=\"prev\"")
            && links(&middle).contains("partition=2>; rel=\"next\"")
    );
    let beyond = client.get(&format!("{}?partition=3", first.handle())).await;
    assert_eq!(beyond.status, StatusCode::BAD_REQUEST);
    let no_number = client.get(&format!("{}?partition=x", first.handle())).await;
    assert_eq!(no_number.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_zero_again_is_the_first_response_again() {
    let served = Served::start(&["--calm", "--partition-rows", "400"]).await;
    served.orders(1000).await;
    let client = served.client();
    let first = client.submit_body(&select_orders(), "").await;
    let again = client.get(&format!("{}?partition=0", first.handle())).await;
    assert_eq!(again.json()["data"], first.json()["data"]);
    assert_eq!(again.json()["resultSetMetaData"]["numRows"], 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_execution_is_cut_elsewhere_and_loses_nothing() {
    let served = Served::start(&["--seed", "3", "--partition-rows", "200"]).await;
    served.orders(1000).await;
    let client = served.client();
    let mut cuts = Vec::new();
    let mut empty_first = 0;
    let whole = client.rows(&select_orders()).await;
    assert_eq!(whole.len(), 1000);
    for _ in 0..25 {
        assert_eq!(client.rows(&select_orders()).await, whole);
        let first = client.submit_body(&select_orders(), "async=true").await;
        let done = client.until_ended(&first.handle()).await.json();
        let info = done["resultSetMetaData"]["partitionInfo"].as_array().unwrap().clone();
        empty_first += usize::from(info[0]["rowCount"] == 0);
        cuts.push(info.iter().map(|one| one["rowCount"].as_u64().unwrap()).collect::<Vec<_>>());
    }
    assert!(empty_first > 0, "an empty partition 0 now and then");
    cuts.sort();
    cuts.dedup();
    assert!(cuts.len() > 15, "{cuts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_result_chunk_size_caps_the_uncompressed_size() {
    let served = Served::calm().await;
    served.orders(200_000).await;
    let mut body = select_orders();
    body["statement"] = json!("select * from orders");
    body["parameters"] = json!({"client_result_chunk_size": 16});
    let client = served.client();
    let first = client.submit_body(&body, "").await.json();
    let info = first["resultSetMetaData"]["partitionInfo"].as_array().unwrap().clone();
    let sizes: Vec<_> = info.iter().map(|one| one["uncompressedSize"].as_u64().unwrap()).collect();
    // One row more than the cap at most, and partition 0 is small.
    assert!(sizes.iter().all(|size| *size < 16 * 1024 * 1024 + 4096) && sizes[0] < 2 << 20, "{sizes:?}");
    assert!(sizes.len() > 3, "{sizes:?}");
    assert_eq!(client.rows(&body).await.len(), 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_response_is_only_compressed_for_those_who_accept_it() {
    let served = Served::start(&["--seed", "2"]).await;
    let client = served.client();
    let mut compressed = 0;
    for _ in 0..40 {
        let submit = |encoding: &str| {
            let request = client.request(reqwest::Method::POST, "/api/v2/statements");
            send(request.header("Accept-Encoding", encoding).json(&json!({"statement": "select 1"})))
        };
        compressed += usize::from(submit("gzip").await.unwrap().is_gzip());
        assert!(!submit("identity").await.unwrap().is_gzip());
    }
    assert!((1..30).contains(&compressed), "{compressed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_result_has_one_partition_without_rows() {
    let served = Served::calm().await;
    served.small_table().await;
    let body = served.client().submit("select * from t where id < 0", "").await.json();
    assert_eq!(body["resultSetMetaData"]["numRows"], 0);
    assert_eq!(body["resultSetMetaData"]["partitionInfo"].as_array().unwrap().len(), 1);
    assert_eq!(body["data"], json!([]));
    assert_eq!(body["resultSetMetaData"]["rowType"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_query_answers_as_it_did_first_whatever_was_written() {
    let served = Served::start(&["--calm", "--freeze"]).await;
    served.orders(100).await;
    let client = served.client();
    let count = async |condition: &str| {
        let sql = format!("select count(*) from orders where {condition}");
        let rows = client.rows(&json!({"statement": sql, "database": "SALES", "schema": "PUBLIC"})).await;
        rows[0][0].clone()
    };
    assert_eq!(count("o_orderkey > 0").await.as_deref(), Some("100"));
    served.sql(&["delete from sales.public.orders"]).await;
    assert_eq!(count("o_orderkey > 0").await.as_deref(), Some("100"));
    assert_eq!(count("o_orderkey > -1").await.as_deref(), Some("0"), "a query that was not asked before");
}
