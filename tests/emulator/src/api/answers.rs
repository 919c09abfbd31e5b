//! Bodies of the SQL API as the reference documents them: errors, QueryStatus, CancelStatus.
//!
//! The one place that knows codes, messages and HTTP statuses. The ResultSet is in `result_set`.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// "Still running": asked for with `async=true`, or by a poll.
pub(crate) const CODE_RUNNING_ASYNC: &str = "333334";
/// "Still running": a synchronous submission waited long enough.
pub(crate) const CODE_RUNNING_SYNC: &str = "333333";

/// An answer that is not a result: HTTP status, `code`, `message`, and what belongs to a statement.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: String,
    message: String,
    sql_state: Option<String>,
    handle: Option<Uuid>,
    retry_after_seconds: Option<u64>,
}

impl Refusal {
    /// A refusal outside any statement.
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            sql_state: None,
            handle: None,
            retry_after_seconds: None,
        }
    }

    /// 400, code 390142: the payload cannot be understood; the documents name this code for all of them.
    pub(crate) fn bad_payload(why: &str) -> Self {
        let message = format!("Incoming request does not contain a valid payload. {why}");
        Self::new(StatusCode::BAD_REQUEST, "390142", message)
    }

    /// 422, code 000709: unknown, expired, cancelled-away or another user's handle.
    pub(crate) fn handle_not_found(handle: &str) -> Self {
        Self {
            sql_state: Some("02000".to_owned()),
            handle: Uuid::parse_str(handle).ok(),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "000709", format!("Statement {handle} not found"))
        }
    }

    /// 422: the statement failed with a SQL error.
    pub(crate) fn sql_error(handle: Uuid, code: &str, sql_state: &str, message: &str) -> Self {
        Self {
            sql_state: Some(sql_state.to_owned()),
            handle: Some(handle),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
        }
    }

    /// 408: the statement hit its `timeout` and was cancelled.
    pub(crate) fn statement_timeout(handle: Uuid, seconds: u64) -> Self {
        Self {
            sql_state: Some("57014".to_owned()),
            handle: Some(handle),
            ..Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "000630",
                format!(
                    "Statement reached its statement or warehouse timeout of {seconds} second(s) and was canceled."
                ),
            )
        }
    }

    /// 422, code 000604: the statement was cancelled.
    pub(crate) fn cancelled(handle: Uuid) -> Self {
        Self::sql_error(handle, "000604", "57014", "SQL execution canceled")
    }

    /// 429, code 390505.
    pub(crate) fn too_many_requests() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "390505", "Too many requests.")
    }

    /// Snowflake's code.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// Adds a `Retry-After` header.
    pub(crate) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after_seconds = seconds;
        self
    }

    /// The response.
    pub(crate) fn into_response(self) -> Response<Body> {
        let mut body = Map::new();
        body.insert("code".to_owned(), Value::String(self.code));
        body.insert("message".to_owned(), Value::String(self.message));
        if let Some(state) = self.sql_state {
            body.insert("sqlState".to_owned(), Value::String(state));
        }
        if let Some(handle) = self.handle {
            body.insert("statementHandle".to_owned(), Value::String(handle.to_string()));
            body.insert("statementStatusUrl".to_owned(), Value::String(status_url(handle)));
        }
        let mut response = json_response(self.status, &Value::Object(body));
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// 202 (or 429, as some deployments do): the statement is still running.
pub(crate) fn still_running(status: StatusCode, handle: Uuid, code: &str) -> Response<Body> {
    let message = if code == CODE_RUNNING_SYNC {
        "Statement execution in progress. Use provided query id to perform query monitoring and management."
    } else {
        "Asynchronous execution in progress. Use provided query id to perform query monitoring and management."
    };
    json_response(
        status,
        &json!({
            "code": code,
            "message": message,
            "statementHandle": handle.to_string(),
            "statementStatusUrl": status_url(handle),
        }),
    )
}

/// 200 of a cancellation.
pub(crate) fn cancel_accepted(handle: Uuid) -> Response<Body> {
    json_response(
        StatusCode::OK,
        &json!({
            "code": "000604",
            "sqlState": "57014",
            "message": "SQL execution canceled",
            "statementHandle": handle.to_string(),
            "statementStatusUrl": status_url(handle),
        }),
    )
}

/// Where a statement is polled.
pub(crate) fn status_url(handle: Uuid) -> String {
    format!("/api/v2/statements/{handle}")
}

/// A JSON body with its status.
pub(crate) fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
