//! Submitting, polling, refusals and cancels, against replayed answers.

use std::time::{Duration, Instant};

use thaw_model::{Classify as _, Disposition, SourceType};
use thaw_snowflake::auth::KeyPair;
use thaw_snowflake::{Auth, Client, ClientConfig, SnowflakeError, SqlFault, Statement, Timeouts};

use crate::replay::{Answer, Replay, within};

pub(crate) const RUNNING: &str = include_str!("../golden/running.json");
pub(crate) const RESULT: &str = include_str!("../golden/result.json");
const HANDLE: &str = "e4ce975e-f7ff-4b5e-b15e-bf25f59371ae";

pub(crate) fn client(server: &Replay) -> Client {
    client_with(server, Auth::ProgrammaticAccessToken("pat-secret".to_owned().into()))
}

fn client_with(server: &Replay, auth: Auth) -> Client {
    let mut config = ClientConfig::new("myorg-acct", auth);
    config.url = Some(server.url.clone());
    config.timeouts = Timeouts {
        headers: Duration::from_millis(700),
        idle_read: Duration::from_millis(300),
        retry_budget: Duration::from_secs(2),
        ..Timeouts::default()
    };
    Client::new(config).unwrap()
}

fn key_pair() -> Auth {
    let pem = include_str!("../golden/rsa_key.p8").to_owned().into();
    Auth::KeyPair { user: "loader".into(), key: KeyPair::parse(&pem, None).unwrap() }
}

fn failure(code: &str, sql_state: &str, message: &str) -> String {
    serde_json::json!({"code": code, "message": message, "sqlState": sql_state, "statementHandle": HANDLE})
        .to_string()
}

async fn error_of(answers: Vec<Answer>) -> SnowflakeError {
    let server = Replay::in_turn(answers).await;
    within(client(&server).execute(&Statement::new("select 1"))).await.unwrap_err()
}

#[tokio::test]
async fn a_statement_is_submitted_polled_and_described() {
    let server = Replay::in_turn(vec![
        Answer::json(202, RUNNING),
        Answer::json(202, &RUNNING.replace("333334", "333333")),
        // Some deployments say so with 429 and a handle.
        Answer::json(429, RUNNING),
        Answer::json(200, RESULT),
    ])
    .await;
    let mut statement = Statement::new("select * from t");
    statement.warehouse = Some("WH".into());
    let result = within(client(&server).execute(&statement)).await.unwrap();
    assert_eq!(result.handle.as_str(), HANDLE);
    assert_eq!(result.row_count, 5);
    assert_eq!(result.partitions.iter().map(|partition| partition.row_count).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(result.partitions[1].compressed_bytes, Some(91));
    let types: Vec<_> = result.columns.iter().map(|column| column.source_type).collect();
    assert_eq!(types[0], Some(SourceType::Number { precision: 38, scale: 0 }));
    assert_eq!(types[1], Some(SourceType::Text { length: Some(16_777_216) }));
    assert_eq!(types[3], None, "{}", result.columns[3].type_name);
    assert!(!result.columns[0].nullable);

    let requests = server.requests();
    let submit = &requests[0];
    assert!(submit.is_submit());
    assert_eq!(submit.query("async").as_deref(), Some("true"));
    assert_eq!(submit.query("retry"), None);
    assert!(submit.query("requestId").unwrap().parse::<uuid::Uuid>().is_ok());
    assert_eq!(submit.header("authorization"), "Bearer pat-secret");
    assert_eq!(submit.header("x-snowflake-authorization-token-type"), "PROGRAMMATIC_ACCESS_TOKEN");
    assert!(submit.header("user-agent").starts_with("thaw/"));
    assert_eq!(submit.header("accept"), "application/json");
    assert_eq!(submit.header("content-type"), "application/json");
    let body: serde_json::Value = serde_json::from_str(&submit.body).unwrap();
    assert_eq!(body["warehouse"], "WH");
    assert_eq!(body["parameters"]["timezone"], "UTC");
    assert_eq!(requests[1].target, format!("/api/v2/statements/{HANDLE}"));
    assert_eq!(requests.len(), 4);
    assert!(!requests.iter().any(|request| request.is_cancel()));
}

#[tokio::test]
async fn a_synchronous_submit_takes_200_and_202() {
    let server = Replay::in_turn(vec![Answer::json(200, RESULT)]).await;
    within(client(&server).submit_sync(&Statement::new("x"))).await.unwrap();
    assert_eq!(server.requests()[0].query("async"), None);
    let server = Replay::in_turn(vec![Answer::json(202, RUNNING), Answer::json(200, RESULT)]).await;
    within(client(&server).submit_sync(&Statement::new("x"))).await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_lost_submit_is_sent_again_under_the_same_request_id() {
    for lost in [Answer::Cut, Answer::json(503, "<html>"), Answer::json(500, ""), Answer::Hang] {
        let server = Replay::in_turn(vec![lost, Answer::json(200, RESULT)]).await;
        within(client(&server).execute(&Statement::new("x"))).await.unwrap();
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].query("retry"), None);
        assert_eq!(requests[1].query("retry").as_deref(), Some("true"));
        assert_eq!(requests[0].query("requestId"), requests[1].query("requestId"));
        assert_eq!(requests[0].body, requests[1].body);
    }
}

#[tokio::test]
async fn a_cut_answer_of_a_submit_is_asked_for_again() {
    let cut = Answer::CutBody { body: RESULT.into(), sent: 300 };
    let stalled = Answer::StallBody { body: RESULT.into(), sent: 300 };
    let server = Replay::in_turn(vec![cut, stalled, Answer::json(200, RESULT)]).await;
    within(client(&server).execute(&Statement::new("x"))).await.unwrap();
    assert_eq!(server.requests()[2].query("retry").as_deref(), Some("true"));
}

#[tokio::test]
async fn a_short_retry_after_is_waited_for_and_a_long_one_is_a_snooze() {
    let busy = failure("390505", "", "Too many requests").replace(HANDLE, "");
    let short = Answer::json(429, &busy).with("Retry-After", "1");
    let server = Replay::in_turn(vec![short, Answer::json(200, RESULT)]).await;
    let started = Instant::now();
    within(client(&server).execute(&Statement::new("x"))).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));

    for status in [429, 503] {
        let error = error_of(vec![Answer::json(status, &busy).with("Retry-After", "120")]).await;
        let after = Some(Duration::from_secs(120));
        assert_eq!(error.disposition(), Disposition::Snooze { after }, "{error}");
    }
    let error = error_of(vec![Answer::json(502, "<html>bad gateway</html>")]).await;
    assert_eq!(error.disposition(), Disposition::Retry, "{error}");
    assert_eq!(error.class(), "snowflake_http_502");
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once() {
    let rejected = r#"{"code":"390144","message":"JWT token is invalid."}"#;
    let server = Replay::in_turn(vec![Answer::json(401, rejected), Answer::json(200, RESULT)]).await;
    within(client_with(&server, key_pair()).execute(&Statement::new("x"))).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests[1].header("x-snowflake-authorization-token-type"), "KEYPAIR_JWT");
    assert_eq!(requests[1].query("retry"), None, "a refused submit was never looked at");

    let server = Replay::in_turn(vec![Answer::json(401, rejected)]).await;
    let error = within(client_with(&server, key_pair()).execute(&Statement::new("x"))).await.unwrap_err();
    assert_eq!(server.requests().len(), 2);
    assert_eq!(error.disposition(), Disposition::HaltWorker);
    assert_eq!(error.to_string(), "snowflake rejected the credentials (http 401, code 390144)");

    let server = Replay::in_turn(vec![Answer::json(401, rejected)]).await;
    let oauth = Auth::OAuth("token".to_owned().into());
    within(client_with(&server, oauth).execute(&Statement::new("x"))).await.unwrap_err();
    assert_eq!(server.requests().len(), 1, "there is no other token to try");
    assert_eq!(server.requests()[0].header("x-snowflake-authorization-token-type"), "OAUTH");
}

#[tokio::test]
async fn statement_errors_are_classified_by_code_and_never_quote_the_message() {
    use Disposition as D;
    let snooze = D::Snooze { after: None };
    for (code, state, expected) in [
        ("000707", "02000", D::HaltTable),
        ("002003", "42S02", D::HaltTable),
        ("001003", "42000", D::HaltTable),
        ("000904", "42000", D::HaltTable),
        ("003001", "42501", D::HaltTable),
        ("391908", "", D::Fatal),
        ("000709", "02000", D::Retry),
        ("000604", "57014", D::Retry),
        ("000625", "57014", snooze),
        ("090073", "22000", snooze),
        ("000606", "57P03", D::HaltWorker),
        ("123456", "57P03", snooze),
        ("100038", "22018", D::Fatal),
        ("999999", "99999", D::Fatal),
    ] {
        let message = "Numeric value 'Jane Doe' is not recognized";
        let error = error_of(vec![Answer::json(422, &failure(code, state, message))]).await;
        assert_eq!(error.disposition(), expected, "{code} {error}");
        assert_eq!(error.class(), format!("snowflake_{code}"));
        let text = format!("{error} {error:?}");
        assert!(!text.contains("Jane"), "{text}");
        assert!(error.to_string().contains(code) && error.to_string().contains(HANDLE), "{error}");
    }
    let message = "SQL compilation error:\nObject 'DB.PUBLIC.T' does not exist or not authorized.";
    let error =
        error_of(vec![Answer::json(202, RUNNING), Answer::json(422, &failure("002003", "42S02", message))])
            .await;
    assert!(
        matches!(&error, SnowflakeError::Sql { fault: SqlFault::ObjectMissing { object: Some(o) }, .. } if o == "DB.PUBLIC.T")
    );
}

#[tokio::test]
async fn refused_requests_are_classified_by_status() {
    use Disposition as D;
    for (status, expected) in [
        (400, D::Fatal),
        (403, D::HaltWorker),
        (404, D::HaltWorker),
        (405, D::HaltWorker),
        (415, D::Fatal),
        (302, D::Fatal),
    ] {
        let error = error_of(vec![Answer::json(status, r#"{"code":"390142","message":"x"}"#)]).await;
        assert_eq!(error.disposition(), expected, "{error}");
        assert!(error.to_string().contains("390142"), "{error}");
    }
}

#[tokio::test]
async fn a_statement_that_hits_its_time_limit_is_not_a_transport_error() {
    let timed_out = Answer::json(408, &failure("000630", "57014", "Statement reached its timeout"));
    let server = Replay::in_turn(vec![Answer::json(202, RUNNING), timed_out]).await;
    let error = within(client(&server).execute(&Statement::new("x"))).await.unwrap_err();
    assert!(matches!(error, SnowflakeError::StatementTimedOut { handle: Some(_) }));
    assert_eq!(server.requests().len(), 2, "neither sent again nor cancelled");
}

#[tokio::test]
async fn a_result_that_is_too_large_is_an_error_even_as_a_success() {
    let error = error_of(vec![Answer::json(200, &RESULT.replace("090001", "391908"))]).await;
    assert!(matches!(error, SnowflakeError::Sql { fault: SqlFault::ResultTooLarge, .. }), "{error}");
}

#[tokio::test]
async fn a_statement_that_nobody_waits_for_is_cancelled() {
    let server = Replay::start(|_, request| {
        if request.is_cancel() {
            Answer::json(200, &failure("000604", "57014", "SQL execution canceled"))
        } else {
            Answer::json(202, RUNNING)
        }
    })
    .await;
    let client = client(&server);
    let waiting = tokio::spawn(async move { client.execute(&Statement::new("x")).await.map(|_| ()) });
    server.until(|request| request.method == "GET").await;
    waiting.abort();
    server.until(|request| request.is_cancel()).await;
    let target = format!("/api/v2/statements/{HANDLE}/cancel");
    assert!(server.requests().iter().any(|request| request.target == target));
}

#[tokio::test]
async fn a_statement_given_up_during_its_submit_is_cancelled_too() {
    let server = Replay::start(|_, request| match request.query("retry") {
        _ if request.is_cancel() => Answer::json(200, "{}"),
        // The first submit fails, so that the waiter can go while the second is on its way.
        None => Answer::json(500, ""),
        Some(_) => Answer::json(202, RUNNING),
    })
    .await;
    let client = client(&server);
    let waiting = tokio::spawn(async move { client.execute(&Statement::new("x")).await.map(|_| ()) });
    server.until(|request| request.is_submit()).await;
    waiting.abort();
    server.until(|request| request.is_cancel()).await;
}

#[tokio::test]
async fn a_statement_whose_poll_fails_is_cancelled() {
    let server = Replay::start(|_, request| match request.method.as_str() {
        "GET" => Answer::json(403, ""),
        _ if request.is_cancel() => Answer::json(200, "{}"),
        _ => Answer::json(202, RUNNING),
    })
    .await;
    within(client(&server).execute(&Statement::new("x"))).await.unwrap_err();
    server.until(|request| request.is_cancel()).await;
}

#[tokio::test]
async fn cancelling_what_has_ended_is_no_error() {
    let gone = failure("000709", "02000", "Statement not found");
    let server = Replay::in_turn(vec![Answer::json(422, &gone)]).await;
    let handle = thaw_snowflake::StatementHandle::parse(HANDLE).unwrap();
    within(client(&server).cancel(&handle)).await.unwrap();
    let error = within(client(&server).attach(&handle)).await.unwrap_err();
    assert!(matches!(error, SnowflakeError::Sql { fault: SqlFault::HandleExpired, .. }));
}

#[tokio::test]
async fn no_server_is_a_retry_and_no_secret_shows() {
    let mut config = ClientConfig::new("a", Auth::OAuth("very-secret".to_owned().into()));
    config.url = Some("http://127.0.0.1:1".into());
    config.timeouts.retry_budget = Duration::from_millis(100);
    let shown = format!("{config:?}");
    let client = Client::new(config).unwrap();
    let error = within(client.execute(&Statement::new("select 'secret'"))).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry);
    assert!(
        !format!("{shown} {client:?} {error:?} {error}").contains("secret\"")
            && !shown.contains("very-secret")
    );
}
