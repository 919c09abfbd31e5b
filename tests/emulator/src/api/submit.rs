//! `POST /api/v2/statements`: what is submitted, resubmissions, and waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use emulator_engine::Binding;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::api::answers::{CODE_RUNNING_ASYNC, CODE_RUNNING_SYNC, Refusal, still_running};
use crate::api::fetch::{self, First};
use crate::api::headers;
use crate::api::parameters::Parameters;
use crate::auth::Identity;
use crate::delay::Delay;
use crate::execution;
use crate::fault_actions;
use crate::faults::{RequestKind, Target};
use crate::json_rows::NullForm;
use crate::state::Emulator;
use crate::statements::Statement;

/// `timeout` 0 means this: a week.
const TIMEOUT_SECONDS_MAX: u64 = 604_800;
/// STATEMENT_TIMEOUT_IN_SECONDS of an account that never set it: two days.
const TIMEOUT_SECONDS_DEFAULT: u64 = 172_800;

/// A statement as it was submitted, checked.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) sql: String,
    pub(crate) user: String,
    pub(crate) request_id: Option<Uuid>,
    pub(crate) asynchronous: bool,
    pub(crate) null_form: NullForm,
    pub(crate) timeout_seconds: u64,
    pub(crate) database: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) warehouse: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) bindings: BTreeMap<u32, Binding>,
    pub(crate) parameters: Parameters,
}

/// Query parameters of the POST.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubmitQuery {
    request_id: Option<String>,
    #[serde(default)]
    retry: bool,
    #[serde(default, rename = "async")]
    asynchronous: bool,
    #[serde(default = "yes")]
    nullable: bool,
}

/// The documented fields; a misspelt one is refused rather than ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SubmitBody {
    statement: String,
    timeout: Option<i64>,
    database: Option<String>,
    schema: Option<String>,
    warehouse: Option<String>,
    role: Option<String>,
    bindings: Option<BTreeMap<String, BoundValue>>,
    parameters: Option<Map<String, Value>>,
    /// Of the deprecated form of the API, and still in its examples; without effect.
    #[serde(rename = "resultSetMetaData")]
    _result_set_meta_data: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundValue {
    #[serde(rename = "type")]
    kind: String,
    value: Option<String>,
}

fn yes() -> bool {
    true
}

/// The endpoint.
pub(crate) async fn submit(
    Shared(emulator): Shared<Arc<Emulator>>,
    query: Result<Query<SubmitQuery>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let checked = headers::check(&emulator, &Method::POST, &headers).and_then(|identity| {
        let Query(query) = query.map_err(|error| Refusal::bad_payload(&error.body_text()))?;
        let submission = read(&query, &identity, &body)?;
        Ok((identity, query.retry, submission))
    });
    match checked {
        Ok((identity, retry, submission)) => {
            answer(&emulator, &headers, &identity, (retry, submission)).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn answer(
    emulator: &Arc<Emulator>,
    headers: &HeaderMap,
    identity: &Identity,
    (retry, submission): (bool, Submission),
) -> Response<Body> {
    let struck = {
        let target = Target {
            kind: RequestKind::Submit,
            sql: &submission.sql,
            query_tag: submission.parameters.query_tag.as_deref().unwrap_or_default(),
            user: &identity.user,
            partition: None,
        };
        emulator.faults.strike(&target)
    };
    let struck = match fault_actions::before(emulator, identity, struck).await {
        Ok(struck) => struck,
        Err(response) => return response,
    };
    let asynchronous = submission.asynchronous;
    let delay = fault_actions::delay(struck.as_ref());
    let (statement, hasty) = find_or_start(emulator, (retry, delay), submission);
    if let Some(failure) = fault_actions::failure(struck.as_ref(), statement.handle) {
        statement.cancel.cancel();
        statement.fail(failure);
    }
    let response = if asynchronous || hasty {
        still_running(StatusCode::ACCEPTED, statement.handle, CODE_RUNNING_ASYNC)
    } else {
        match tokio::time::timeout(emulator.settings.sync_wait, statement.ended()).await {
            Ok(state) => {
                fetch::first_response(
                    &First { headers, statement: &statement, struck: struck.as_ref() },
                    state,
                )
                .await
            }
            Err(_) => still_running(StatusCode::ACCEPTED, statement.handle, CODE_RUNNING_SYNC),
        }
    };
    fault_actions::after(struck, response).await
}

/// The execution a `retry=true` names, or a new one; and whether the server is in no mood to wait for it.
fn find_or_start(
    emulator: &Arc<Emulator>,
    (retry, delay): (bool, Delay),
    submission: Submission,
) -> (Arc<Statement>, bool) {
    emulator.statements.expire(emulator.clock.now_ms() - emulator.settings.result_lifetime_ms);
    let statement = Arc::new(Statement::new(submission, emulator.clock.now_ms()));
    if let Some(earlier) = emulator.statements.find_or_insert(&statement, retry) {
        return (earlier, false);
    }
    let mood = emulator.adversity.next_mood();
    let hasty = mood.answer_sync_with_202;
    execution::spawn(emulator, &statement, (mood, delay));
    (statement, hasty)
}

fn read(query: &SubmitQuery, identity: &Identity, body: &[u8]) -> Result<Submission, Refusal> {
    let body: SubmitBody =
        serde_json::from_slice(body).map_err(|error| Refusal::bad_payload(&error.to_string()))?;
    let Ok(request_id) = query.request_id.as_deref().map(Uuid::parse_str).transpose() else {
        return Err(Refusal::bad_payload("requestId is not a UUID."));
    };
    let timeout_seconds = match body.timeout {
        None => TIMEOUT_SECONDS_DEFAULT,
        Some(0) => TIMEOUT_SECONDS_MAX,
        Some(seconds) => u64::try_from(seconds)
            .map_err(|_| Refusal::bad_payload("timeout is negative."))?
            .min(TIMEOUT_SECONDS_MAX),
    };
    let parameters = Parameters::read(&body.parameters.unwrap_or_default())
        .map_err(|why| Refusal::bad_payload(&format!("{why}.")))?;
    Ok(Submission {
        sql: body.statement,
        user: identity.user.clone(),
        request_id,
        asynchronous: query.asynchronous,
        null_form: if query.nullable { NullForm::Null } else { NullForm::Text },
        timeout_seconds,
        database: body.database,
        schema: body.schema,
        warehouse: body.warehouse,
        role: body.role,
        bindings: read_bindings(body.bindings.unwrap_or_default())?,
        parameters,
    })
}

fn read_bindings(given: BTreeMap<String, BoundValue>) -> Result<BTreeMap<u32, Binding>, Refusal> {
    given
        .into_iter()
        .map(|(position, bound)| {
            let position =
                position.parse().map_err(|_| Refusal::bad_payload("bindings are numbered from \"1\"."))?;
            Ok((position, Binding { kind: bound.kind, value: bound.value }))
        })
        .collect()
}
