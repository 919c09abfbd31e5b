//! Submitting and polling: forms, codes, headers, parameters, resubmission, users.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{ENDLESS, Served, decode_rows, no_query_is_left, send};

#[tokio::test(flavor = "multi_thread")]
async fn a_small_result_comes_whole_and_in_the_documented_form() {
    let served = Served::calm().await;
    served.small_table().await;
    let answer = served.client().submit("select id, name, at from t order by id", "").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["code"], "090001");
    assert_eq!(body["sqlState"], "00000");
    assert!(body["createdOn"].as_i64().unwrap() > 1_600_000_000_000);
    assert!(body["statementStatusUrl"].as_str().unwrap().contains(&answer.handle()));
    let metadata = &body["resultSetMetaData"];
    assert_eq!(metadata["numRows"], 3);
    assert_eq!(metadata["format"], "jsonv2");
    assert_eq!(metadata["partitionInfo"].as_array().unwrap().len(), 1);
    assert_eq!(metadata["partitionInfo"][0].get("compressedSize"), None, "partition 0 travels uncompressed");
    let id = &metadata["rowType"][0];
    for (field, expected) in [
        ("name", json!("ID")),
        ("type", json!("fixed")),
        ("precision", json!(38)),
        ("scale", json!(0)),
        ("length", Value::Null),
        ("byteLength", Value::Null),
        ("nullable", json!(false)),
        ("collation", Value::Null),
        ("database", json!("SALES")),
        ("schema", json!("PUBLIC")),
        ("table", json!("T")),
    ] {
        assert_eq!(id[field], expected, "{field} of {id}");
    }
    assert_eq!(metadata["rowType"][1]["length"], 20);
    assert_eq!(metadata["rowType"][2]["type"], "timestamp_ntz");
    assert_eq!(
        body["data"],
        json!([
            ["1", "one", "1704888000.123456789"],
            ["2", null, null],
            ["3", "dreißig \"x\" \\ 😀", "-0.500000000"],
        ])
    );
    let link = answer.headers["link"].to_str().unwrap();
    assert!(link.contains("partition=0>; rel=\"first\"") && link.contains("rel=\"last\""), "{link}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_submission_is_answered_at_once_and_then_polled() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let answer = client.submit("select count(*) from t", "async=true").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(answer.code(), "333334");
    assert_eq!(answer.json()["statementStatusUrl"], format!("/api/v2/statements/{}", answer.handle()));
    let done = client.until_ended(&answer.handle()).await;
    assert_eq!(done.status, StatusCode::OK);
    assert_eq!(done.json()["data"], json!([["3"]]));
    let again = client.get(&answer.handle()).await;
    assert_eq!(again.json()["data"], json!([["3"]]), "a result can be read as often as one likes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_submission_that_takes_too_long_becomes_a_poll() {
    let served = Served::start(&["--calm", "--sync-wait-seconds", "0.2"]).await;
    served.orders(1500).await;
    let client = served.client();
    let answer = client.submit(ENDLESS, "").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
    assert_eq!(answer.code(), "333333");
    assert_eq!(client.get(&answer.handle()).await.code(), "333334");
    assert_eq!(client.cancel(&answer.handle()).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn nullable_false_makes_null_a_string_and_is_refused_in_a_get() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let answer = client.submit("select name from t where id = 2", "nullable=false").await;
    assert_eq!(answer.json()["data"], json!([["null"]]));
    let refused = client.get(&format!("{}?nullable=false", answer.handle())).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, "390142".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_per_resultset_truncates_without_a_word() {
    let served = Served::calm().await;
    served.small_table().await;
    let rows_with = async |limit: Value| {
        let body = json!({"statement": "select id from t", "database": "SALES", "schema": "PUBLIC",
            "parameters": {"ROWS_PER_RESULTSET": limit}});
        served.client().rows(&body).await.len()
    };
    assert_eq!(rows_with(json!(2)).await, 2);
    assert_eq!(rows_with(json!(0)).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sql_error_is_a_422_with_code_and_state_and_stays_one() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let answer = client.submit("select nothing_like_it from t", "").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    assert_eq!(answer.code(), "000904");
    assert_eq!(answer.json()["sqlState"], "42000");
    let again = client.get(&answer.handle()).await;
    assert_eq!((again.status, again.code()), (StatusCode::UNPROCESSABLE_ENTITY, "000904".to_owned()));
    let missing = client.submit("select 1 from no_such_table", "").await;
    assert_eq!(missing.code(), "002003");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_beyond_its_timeout_is_cancelled_with_408() {
    let served = Served::calm().await;
    served.orders(1500).await;
    let body = json!({"statement": ENDLESS, "database": "SALES", "schema": "PUBLIC", "timeout": 1});
    let answer = served.client().submit_body(&body, "").await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT, "{}", answer.text);
    assert_eq!(served.client().get(&answer.handle()).await.status, StatusCode::REQUEST_TIMEOUT);
    no_query_is_left(&served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_true_finds_the_execution_and_without_it_the_statement_runs_twice() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let id = uuid::Uuid::new_v4();
    let insert = "insert into t (id) values (9)";
    let first = client.submit(insert, &format!("requestId={id}")).await;
    assert_eq!(first.json()["stats"]["numRowsInserted"], 1, "{}", first.text);
    let resubmitted = client.submit(insert, &format!("requestId={id}&retry=true")).await;
    assert_eq!(resubmitted.handle(), first.handle());
    let count = async || {
        served.sql(&["select count(*) from sales.public.t where id = 9"]).await["rows"][0][0].clone()
    };
    assert_eq!(count().await, "1");
    let careless = client.submit(insert, &format!("requestId={id}")).await;
    assert_ne!(careless.handle(), first.handle());
    assert_eq!(count().await, "2");
    let of_another_user =
        served.client_of("OTHER").submit("select 1", &format!("requestId={id}&retry=true")).await;
    assert_ne!(of_another_user.handle(), careless.handle(), "request ids belong to their user");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_failure_executes_again() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let query = format!("requestId={}&retry=true", uuid::Uuid::new_v4());
    let failed = client.submit("select id from later", &query).await;
    assert_eq!(failed.status, StatusCode::UNPROCESSABLE_ENTITY);
    served.sql(&["create table sales.public.later (id number)"]).await;
    assert_eq!(client.submit("select id from later", &query).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_unknown_to_every_other_user() {
    let served = Served::calm().await;
    let client = served.client();
    let answer = client.submit("select 1", "").await;
    let stranger = served.client_of("OTHER");
    let looked = stranger.get(&answer.handle()).await;
    assert_eq!((looked.status, looked.code()), (StatusCode::UNPROCESSABLE_ENTITY, "000709".to_owned()));
    assert_eq!(looked.json()["sqlState"], "02000");
    assert_eq!(stranger.get(&format!("{}?partition=0", answer.handle())).await.code(), "000709");
    assert_eq!(stranger.cancel(&answer.handle()).await.code(), "000709");
    assert_eq!(served.client_of("LOADER").get(&answer.handle()).await.status, StatusCode::OK);
    assert_eq!(client.get("not-a-handle").await.code(), "000709");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_gone_after_a_day_of_the_virtual_clock() {
    let served = Served::calm().await;
    let client = served.client();
    let query = format!("requestId={}", uuid::Uuid::new_v4());
    let answer = client.submit("select 1", &query).await;
    served.advance_hours(23).await;
    assert_eq!(client.get(&answer.handle()).await.status, StatusCode::OK);
    served.advance_hours(2).await;
    let gone = client.get(&answer.handle()).await;
    assert_eq!((gone.status, gone.code()), (StatusCode::UNPROCESSABLE_ENTITY, "000709".to_owned()));
    let resubmitted = client.submit("select 1", &format!("{query}&retry=true")).await;
    assert_ne!(resubmitted.handle(), answer.handle());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_documented_parameters_and_fields_are_accepted() {
    let served = Served::calm().await;
    let client = served.client();
    let refused = async |body: Value| {
        let answer = client.submit_body(&body, "").await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "390142".to_owned()), "{body}");
        answer.json()["message"].as_str().unwrap().to_owned()
    };
    for parameter in ["JSON_INDENT", "STATEMENT_TIMEOUT_IN_SECONDS", "week_start"] {
        let message = refused(json!({"statement": "select 1", "parameters": {parameter: 1}})).await;
        assert!(message.contains(&parameter.to_lowercase()), "{message}");
    }
    refused(json!({"statement": "select 1", "parameters": {"multi_statement_count": 2}})).await;
    refused(json!({"statement": "select 1", "parameters": {"date_output_format": "YYYY-MM-DD"}})).await;
    refused(json!({"statement": "select 1", "timeout": -1})).await;
    refused(json!({"statment": "select 1"})).await;
    refused(json!({})).await;
    assert_eq!(client.submit("select 1", "requestId=7").await.status, StatusCode::BAD_REQUEST);
    let fine = json!({"statement": "select 1", "timeout": 0, "parameters": {"timezone": "Europe/Berlin",
        "query_tag": "t", "use_cached_result": "false", "client_result_chunk_size": 16, "rows_per_resultset": "0"}});
    assert_eq!(client.submit_body(&fine, "").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_must_carry_the_documented_headers() {
    let served = Served::calm().await;
    let client = served.client();
    let post = |accept: Option<&str>, agent: Option<&str>, kind: Option<&str>| {
        let mut request = client
            .http
            .post(format!("{}/api/v2/statements", client.url))
            .header("Authorization", format!("Bearer {}", client.token))
            .body(r#"{"statement": "select 1"}"#);
        for (name, value) in [("Accept", accept), ("User-Agent", agent), ("Content-Type", kind)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        send(request)
    };
    let json = Some("application/json");
    assert_eq!(post(json, Some("a/1"), json).await.unwrap().status, StatusCode::OK);
    assert_eq!(post(json, Some("a/1"), None).await.unwrap().status, StatusCode::OK, "taken for JSON");
    let html = post(Some("text/html"), Some("a/1"), json).await.unwrap();
    assert_eq!((html.status, html.code()), (StatusCode::BAD_REQUEST, "391902".to_owned()));
    assert_eq!(post(json, None, json).await.unwrap().status, StatusCode::BAD_REQUEST);
    let xml = post(json, Some("a/1"), Some("application/xml")).await.unwrap();
    assert_eq!(xml.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let broken = send(client.request(Method::POST, "/api/v2/statements").body("{")).await.unwrap();
    assert_eq!((broken.status, broken.code()), (StatusCode::BAD_REQUEST, "390142".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_paths_and_methods_are_404_and_405() {
    let served = Served::calm().await;
    let client = served.client();
    let hello = send(client.request(Method::GET, "/api/v2/hello")).await.unwrap();
    assert_eq!(hello.status, StatusCode::NOT_FOUND);
    let get = send(client.request(Method::GET, "/api/v2/statements")).await.unwrap();
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_who_asked_what_and_how_often_it_was_fetched() {
    let served = Served::calm().await;
    served.small_table().await;
    let client = served.client();
    let id = uuid::Uuid::new_v4();
    let body = json!({"statement": "select * from t", "database": "SALES", "schema": "PUBLIC",
        "warehouse": "WH", "parameters": {"query_tag": "run-7"}});
    let answer = client.submit_body(&body, &format!("requestId={id}")).await;
    client.get(&answer.handle()).await;
    let log = served.log().await;
    assert_eq!(log.len(), 1, "admin statements are not in it");
    let entry = &log[0];
    assert_eq!(entry["handle"], answer.handle());
    assert_eq!(entry["request_id"], id.to_string());
    assert_eq!(
        (&entry["user"], &entry["query_tag"], &entry["warehouse"]),
        (&json!("LOADER"), &json!("run-7"), &json!("WH"))
    );
    assert_eq!((&entry["state"], &entry["rows"]), (&json!("succeeded"), &json!(3)));
    assert_eq!(entry["fetches"], json!({"0": 2}));
    assert_eq!((&entry["tables"], &entry["scanned"]), (&json!(["SALES.PUBLIC.T"]), &json!(true)));
    served.admin(Method::DELETE, "/statements", None).await;
    assert_eq!(served.log().await.len(), 0);
    assert_eq!(client.get(&answer.handle()).await.status, StatusCode::OK, "the handle stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_the_last_seconds_are_invisible_to_other_requests_but_not_those_of_the_admin() {
    let served = Served::start(&["--calm", "--commit-visibility-seconds", "3600"]).await;
    // --calm turns the delay off: everything is visible at once.
    served.small_table().await;
    let client = served.client();
    client.submit("insert into t (id) values (4)", "").await;
    assert_eq!(client.submit("select count(*) from t", "").await.json()["data"], json!([["4"]]));

    let delayed = Served::start(&["--commit-visibility-seconds", "3600"]).await;
    delayed.small_table().await;
    let client = delayed.client();
    let count = async || {
        let body = json!({"statement": "select count(*) from t", "database": "SALES", "schema": "PUBLIC"});
        client.rows(&body).await[0][0].clone().unwrap()
    };
    assert_eq!(count().await, "3", "what the admin endpoint commits is visible at once");
    let insert = client.submit("insert into t (id) values (4)", "async=true").await;
    client.until_ended(&insert.handle()).await;
    assert_eq!(count().await, "3");
    delayed.advance_hours(2).await;
    assert_eq!(count().await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_another_order_each_time_and_ordered_ones_do_not() {
    let served = Served::start(&["--seed", "5"]).await;
    served.orders(500).await;
    let client = served.client();
    let rows = async |sql: &str| {
        client.rows(&json!({"statement": sql, "database": "SALES", "schema": "PUBLIC"})).await
    };
    let (first, second) =
        (rows("select o_orderkey from orders").await, rows("select o_orderkey from orders").await);
    assert_ne!(first, second);
    let sorted = |mut rows: Vec<Vec<Option<String>>>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(first), sorted(second));
    let ordered = "select o_orderkey from orders order by o_orderkey";
    assert_eq!(rows(ordered).await, rows(ordered).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_a_mood_sometimes_answers_a_synchronous_submission_with_202() {
    let served = Served::start(&["--seed", "1"]).await;
    let client = served.client();
    let mut accepted = 0;
    for _ in 0..60 {
        let answer = client.submit("select 1 as one", "").await;
        match answer.status {
            StatusCode::OK => {
                let body = answer.json();
                assert!(decode_rows(&body["data"]).len() <= 1);
            }
            StatusCode::ACCEPTED => accepted += 1,
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!((1..30).contains(&accepted), "{accepted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_with_0_even_while_a_statement_runs() {
    let served = Served::calm().await;
    served.orders(1500).await;
    let answer = served.client().submit(ENDLESS, "async=true").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    assert_eq!(served.terminate().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_answered_with_a_prepared_result_until_it_is_taken_back() {
    let served = Served::calm().await;
    served.orders(15).await;
    let client = served.client();
    let count = json!({"statement": "select COUNT(*) from orders", "database": "SALES", "schema": "PUBLIC"});
    assert_eq!(client.rows(&count).await, [[Some("15".to_owned())]]);
    let answer = json!({"sql_contains": "count(*) from ORDERS", "sql": "select 272000000"});
    served.admin(Method::POST, "/answers", Some(answer)).await;
    assert_eq!(client.rows(&count).await, [[Some("272000000".to_owned())]]);
    let sum = json!({"statement": "select sum(1) from orders", "database": "SALES", "schema": "PUBLIC"});
    assert_eq!(client.rows(&sum).await, [[Some("15".to_owned())]], "others are executed");
    let log = served.log().await;
    assert_eq!(log[1]["sql"], "select COUNT(*) from orders", "the log shows what was submitted");
    assert_eq!(served.admin(Method::DELETE, "/answers", None).await["removed"], 1);
    assert_eq!(client.rows(&count).await, [[Some("15".to_owned())]]);
}
