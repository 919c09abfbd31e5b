//! Faults on demand, each as a client meets it.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Served, decode_rows};

/// A served table in three partitions of 300 rows, and a finished statement over it.
async fn three_partitions() -> (Served, Client, Answer) {
    let served = Served::start(&["--calm", "--partition-rows", "300"]).await;
    served.orders(900).await;
    let client = served.client();
    let first = client.submit("select * from orders", "").await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    (served, client, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_come_with_retry_after_and_do_not_execute() {
    let served = Served::calm().await;
    let client = served.client();
    served.fault(json!({"kind": "submit"}), json!({"status": 429, "retry_after": 7})).await;
    let limited = client.submit("select 1", "").await;
    assert_eq!((limited.status, limited.code()), (StatusCode::TOO_MANY_REQUESTS, "390505".to_owned()));
    assert_eq!(limited.headers["retry-after"], "7");
    assert!(limited.json().get("statementHandle").is_none());
    served.fault(json!({}), json!({"status": 503, "html": true})).await;
    let page = client.submit("select 1", "").await;
    assert_eq!(
        (page.status, page.headers["content-type"].to_str().unwrap()),
        (StatusCode::SERVICE_UNAVAILABLE, "text/html")
    );
    assert_eq!(served.log().await.len(), 0);
    assert_eq!(client.submit("select 1", "").await.status, StatusCode::OK, "the rules are spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_strike_by_kind_text_tag_and_partition_and_spare_the_first() {
    let (served, client, first) = three_partitions().await;
    let handle = first.handle();
    served
        .fault(json!({"kind": "partition", "partition": 2, "after": 1, "times": 2}), json!({"status": 500}))
        .await;
    let mut seen = Vec::new();
    for number in [1, 2, 2, 2, 2, 1] {
        seen.push(client.get(&format!("{handle}?partition={number}")).await.status.as_u16());
    }
    assert_eq!(seen, [200, 200, 500, 500, 200, 200]);
    served.fault(json!({"sql_contains": "from customers"}), json!({"status": 500})).await;
    served.fault(json!({"query_tag_contains": "run-9"}), json!({"status": 500})).await;
    assert_eq!(client.get(&handle).await.status, StatusCode::OK);
    let rules = served.admin(Method::GET, "/faults", None).await;
    assert_eq!((&rules[0]["seen"], &rules[0]["struck"]), (&json!(4), &json!(2)));
    assert_eq!(rules.as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_makes_no_sense_is_refused_with_a_reason() {
    let served = Served::calm().await;
    let client = reqwest::Client::new();
    let admin = format!("{}/faults", served.admin_url());
    for rule in
        [json!({"action": "explode"}), json!({"match": {"kindd": "poll"}, "action": "hang"}), json!({})]
    {
        let status = client.post(&admin).json(&rule).send().await.unwrap().status();
        assert!(status.is_client_error(), "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_cut_before_the_answer_and_in_the_middle_of_it() {
    let (served, client, first) = three_partitions().await;
    let path = format!("{}?partition=1", first.handle());
    served.fault(json!({"kind": "partition"}), json!("cut_connection")).await;
    assert!(client.try_get(&path).await.is_err());
    served.fault(json!({"kind": "partition"}), json!({"cut_after_bytes": 500})).await;
    let response = client.request(Method::GET, &format!("/api/v2/statements/{path}")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "the head had been sent");
    assert!(response.bytes().await.is_err(), "the body ends early");
    assert_eq!(client.get(&path).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_has_executed_and_a_cut_connection_has_not() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let count = async || {
        served.sql(&["select count(*) from sales.public.t where id = 9"]).await["rows"][0][0].clone()
    };
    let submit = async |query: String| {
        let body =
            json!({"statement": "insert into t (id) values (9)", "database": "SALES", "schema": "PUBLIC"});
        client.request(Method::POST, &format!("/api/v2/statements?{query}")).json(&body).send().await
    };
    let id = uuid::Uuid::new_v4();
    served.fault(json!({"kind": "submit"}), json!("cut_connection")).await;
    assert!(submit(format!("requestId={id}")).await.is_err());
    assert_eq!(count().await, "0");
    served.fault(json!({"kind": "submit"}), json!("lose_response")).await;
    assert!(submit(format!("requestId={id}")).await.is_err());
    assert_eq!(count().await, "1");
    assert_eq!(submit(format!("requestId={id}&retry=true")).await.unwrap().status(), StatusCode::OK);
    assert_eq!(count().await, "1", "the resubmission found the execution");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hang_lasts_until_the_client_gives_up_or_as_long_as_told() {
    let served = Served::calm().await;
    let client = served.client();
    let submit = |limit: Duration| {
        let body = json!({"statement": "select 1"});
        client.request(Method::POST, "/api/v2/statements").timeout(limit).json(&body).send()
    };
    served.fault(json!({"kind": "submit"}), json!("hang")).await;
    assert!(submit(Duration::from_millis(300)).await.unwrap_err().is_timeout());
    served.fault(json!({"kind": "submit"}), json!({"hang_seconds": 0.4})).await;
    let started = Instant::now();
    assert_eq!(submit(Duration::from_secs(20)).await.unwrap().status(), StatusCode::OK);
    assert!(started.elapsed() >= Duration::from_millis(400));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_gzip_is_a_complete_response_that_does_not_inflate() {
    let (served, client, first) = three_partitions().await;
    let path = format!("{}?partition=1", first.handle());
    for action in ["truncated_gzip", "corrupt_gzip"] {
        served.fault(json!({"kind": "partition"}), json!(action)).await;
        let error = client.try_get(&path).await.err().unwrap_or_else(|| panic!("{action} was not noticed"));
        assert!(error.starts_with("gzip:"), "{action}: {error}");
    }
    assert_eq!(client.get(&path).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_can_lie_about_their_rows_or_be_another_one() {
    let (served, client, first) = three_partitions().await;
    let handle = first.handle();
    let rows = async |number: usize| {
        decode_rows(&client.get(&format!("{handle}?partition={number}")).await.json()["data"])
    };
    let (one, two) = (rows(1).await, rows(2).await);
    served.fault(json!({"kind": "partition"}), json!("wrong_row_count")).await;
    assert_eq!(rows(1).await, one[..299]);
    served.fault(json!({"kind": "partition"}), json!("other_partition_bytes")).await;
    assert_eq!(rows(1).await, two);
    served.fault(json!({"kind": "poll"}), json!("wrong_row_count")).await;
    assert_eq!(decode_rows(&client.get(&handle).await.json()["data"]).len(), 299);
    assert_eq!(rows(1).await, one);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_fail_as_told_and_stay_failed() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let custom = json!({"sql_error": {"code": "000606", "sql_state": "57P03", "message": "No active warehouse selected."}});
    for (action, status, code) in [
        (json!("snapshot_gone"), 422, "000707"),
        (json!("result_too_large_422"), 422, "391908"),
        (json!("expired_handle"), 422, "000709"),
        (json!("statement_timeout"), 408, "000630"),
        (custom, 422, "000606"),
    ] {
        let done = client.submit("select * from t", "").await;
        served.fault(json!({"kind": "poll"}), action.clone()).await;
        for _ in 0..2 {
            let polled = client.get(&done.handle()).await;
            assert_eq!((polled.status.as_u16(), polled.code().as_str()), (status, code), "{action}");
        }
        served.fault(json!({"kind": "submit"}), action.clone()).await;
        let submitted = client.submit("select * from t", "").await;
        assert_eq!((submitted.status.as_u16(), submitted.code().as_str()), (status, code), "{action}");
        assert_eq!(client.get(&submitted.handle()).await.code(), code, "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_handle_on_a_partition_takes_all_partitions_with_it() {
    let (served, client, first) = three_partitions().await;
    served.fault(json!({"kind": "partition", "partition": 1}), json!("expired_handle")).await;
    for path in ["?partition=1", "?partition=2", ""] {
        let answer = client.get(&format!("{}{path}", first.handle())).await;
        assert_eq!(
            (answer.status, answer.code()),
            (StatusCode::UNPROCESSABLE_ENTITY, "000709".to_owned()),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_too_large_is_a_200_whose_data_is_not_all_there() {
    let served = Served::calm().await;
    served.small_table().await;
    served.fault(json!({"kind": "submit"}), json!("result_too_large")).await;
    let answer = served.client().submit("select * from t", "").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::OK, "391908".to_owned()));
    let body = answer.json();
    assert!(
        (decode_rows(&body["data"]).len() as u64) < body["resultSetMetaData"]["numRows"].as_u64().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_can_pretend_that_the_statement_still_runs() {
    let served = Served::calm().await;
    let client = served.client();
    let done = client.submit("select 1", "").await;
    for (action, status) in [("still_running", 202), ("still_running_429", 429)] {
        served.fault(json!({"kind": "poll"}), json!(action)).await;
        let polled = client.get(&done.handle()).await;
        assert_eq!((polled.status.as_u16(), polled.code()), (status, "333334".to_owned()));
        assert_eq!(polled.handle(), done.handle(), "which tells it from a rate limit");
    }
    assert_eq!(client.get(&done.handle()).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_arrives_whole() {
    let (served, client, first) = three_partitions().await;
    let path = format!("{}?partition=1", first.handle());
    let size = first.json()["resultSetMetaData"]["partitionInfo"][1]["compressedSize"].as_u64().unwrap();
    served.fault(json!({"kind": "partition"}), json!({"slow_bytes_per_second": size})).await;
    let started = Instant::now();
    let slow = client.get(&path).await;
    assert!(started.elapsed() > Duration::from_millis(700), "{:?}", started.elapsed());
    assert_eq!(decode_rows(&slow.json()["data"]).len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_can_be_struck_too() {
    let (served, client, first) = three_partitions().await;
    served.fault(json!({"kind": "cancel"}), json!({"status": 503})).await;
    assert_eq!(client.cancel(&first.handle()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(client.cancel(&first.handle()).await.code(), "000709");
    let removed: Value = served.admin(Method::DELETE, "/faults/1", None).await;
    assert_eq!(removed, json!({"removed": true}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_table_does_not_exist_for_its_role_and_a_replaced_one_has_no_past() {
    let served = Served::calm().await;
    served.orders(10).await;
    let client = served.client();
    let ask = async |sql: &str| {
        let body = json!({"statement": sql, "database": "SALES", "schema": "PUBLIC", "role": "READER"});
        client.submit_body(&body, "").await
    };
    let table = json!({"database": "SALES", "schema": "PUBLIC", "table": "ORDERS"});
    let mut denial = table.clone();
    denial["role"] = json!("READER");
    served.admin(Method::POST, "/deny", Some(denial.clone())).await;
    assert_eq!(ask("select count(*) from orders").await.code(), "002003");
    served.admin(Method::DELETE, "/deny", Some(denial)).await;
    let past = "select count(*) from orders at(offset => -60)";
    assert_eq!(ask(past).await.json()["data"], json!([["10"]]));
    served.admin(Method::POST, "/replace", Some(table)).await;
    assert_eq!(ask(past).await.code(), "000707");
    assert_eq!(ask("select count(*) from orders").await.json()["data"], json!([["10"]]));
}
