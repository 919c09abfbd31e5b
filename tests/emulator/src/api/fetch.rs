//! `GET /api/v2/statements/{handle}`: state, first response, partitions.

use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State as Shared};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LINK};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;

use crate::api::answers::{CODE_RUNNING_ASYNC, Refusal, still_running};
use crate::api::headers;
use crate::auth::Identity;
use crate::fault_actions::{self, Struck};
use crate::faults::{RequestKind, Target};
use crate::result_set::ResultSet;
use crate::state::Emulator;
use crate::statements::{State, Statement};

/// Query parameters of the GET.
#[derive(Debug, Deserialize)]
pub(crate) struct FetchQuery {
    partition: Option<String>,
    nullable: Option<String>,
}

/// What the first response of a statement depends on.
#[derive(Debug)]
pub(crate) struct First<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) statement: &'a Statement,
    pub(crate) struck: Option<&'a Struck>,
}

/// The endpoint.
pub(crate) async fn fetch(
    Shared(emulator): Shared<Arc<Emulator>>,
    Path(handle): Path<String>,
    Query(query): Query<FetchQuery>,
    headers: HeaderMap,
) -> Response<Body> {
    let checked = headers::check(&emulator, &Method::GET, &headers).and_then(|identity| {
        if query.nullable.is_some() {
            return Err(Refusal::bad_payload("nullable is not allowed in a GET."));
        }
        let partition = match query.partition.as_deref().map(str::parse::<usize>).transpose() {
            Ok(partition) => partition.unwrap_or(0),
            Err(_) => return Err(Refusal::bad_payload("partition is not a number.")),
        };
        let statement = find(&emulator, &handle, &identity)?;
        Ok((identity, statement, partition))
    });
    match checked {
        Ok((identity, statement, partition)) => {
            answer(&emulator, &headers, (&identity, &statement), partition).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// The statement of `handle`, unless it is unknown, expired or another user's.
///
/// # Errors
/// 422, 000709 for all three.
pub(crate) fn find(
    emulator: &Emulator,
    handle: &str,
    identity: &Identity,
) -> Result<Arc<Statement>, Refusal> {
    emulator.statements.expire(emulator.clock.now_ms() - emulator.settings.result_lifetime_ms);
    emulator.statements.of_handle(handle, &identity.user).ok_or_else(|| Refusal::handle_not_found(handle))
}

async fn answer(
    emulator: &Emulator,
    headers: &HeaderMap,
    (identity, statement): (&Identity, &Statement),
    partition: usize,
) -> Response<Body> {
    let kind = if partition == 0 { RequestKind::Poll } else { RequestKind::Partition };
    let target = Target {
        kind,
        sql: &statement.submission.sql,
        query_tag: statement.submission.parameters.query_tag.as_deref().unwrap_or_default(),
        user: &identity.user,
        partition: Some(partition),
    };
    if kind == RequestKind::Partition && !emulator.limits.may_give_partition() {
        return Refusal::too_many_requests().into_response();
    }
    let struck = match fault_actions::before(emulator, identity, emulator.faults.strike(&target)).await {
        Ok(struck) => struck,
        Err(response) => return response,
    };
    if let Some(failure) = fault_actions::failure(struck.as_ref(), statement.handle) {
        statement.cancel.cancel();
        statement.fail(failure);
    }
    if let Some(status) = fault_actions::pretended_status(struck.as_ref()) {
        return still_running(status, statement.handle, CODE_RUNNING_ASYNC);
    }
    let first = First { headers, statement, struck: struck.as_ref() };
    let response = match (partition, statement.state()) {
        (0, state) => first_response(&first, state).await,
        (number, State::Succeeded(result)) => later_partition(&first, &result, number).await,
        (_, state) => first_response(&first, state).await,
    };
    fault_actions::after(struck, response).await
}

/// The answer to a submission or a poll, by the statement's state.
pub(crate) async fn first_response(first: &First<'_>, state: State) -> Response<Body> {
    let statement = first.statement;
    match state {
        State::Running => still_running(StatusCode::ACCEPTED, statement.handle, CODE_RUNNING_ASYNC),
        State::Failed(refusal) => refusal.into_response(),
        State::Gone => Refusal::handle_not_found(&statement.handle.to_string()).into_response(),
        State::Succeeded(result) => {
            statement.note_fetch(0);
            let data = match result.partitions.read(0).await {
                Ok(data) => data.unwrap_or_else(|| b"[]".to_vec()),
                Err(error) => return storage_failed(&error),
            };
            let data = fault_actions::tamper_rows(first.struck, data);
            let code = fault_actions::result_code(first.struck);
            let body = result.first_response(statement.handle, statement.created_ms, &data, code);
            let gzip = result.gzip_first_response && headers::accepts_gzip(first.headers);
            let link = result.link_header(statement.handle, 0);
            match gzip.then(|| compress(&body)).transpose() {
                Ok(Some(compressed)) => result_response(compressed, &link, true),
                Ok(None) => result_response(body, &link, false),
                Err(error) => storage_failed(&error),
            }
        }
    }
}

async fn later_partition(first: &First<'_>, result: &ResultSet, number: usize) -> Response<Body> {
    let statement = first.statement;
    statement.note_fetch(number);
    let read = fault_actions::partition_to_read(first.struck, number, result.partitions.list().len());
    match result.partitions.read(read).await {
        Ok(Some(stored)) => match fault_actions::tamper_gzip(first.struck, stored) {
            Ok(body) => result_response(body, &result.link_header(statement.handle, number), true),
            Err(error) => storage_failed(&error),
        },
        Ok(None) => {
            let last = result.partitions.list().len().saturating_sub(1);
            let why = format!("Partition {number} does not exist; the last one is {last}.");
            Refusal::bad_payload(&why).into_response()
        }
        Err(error) => storage_failed(&error),
    }
}

fn result_response(body: Vec<u8>, link: &str, gzip: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(link) = HeaderValue::from_str(link) {
        headers.insert(LINK, link);
    }
    response
}

fn storage_failed(error: &std::io::Error) -> Response<Body> {
    tracing::error!(error = %error, "a stored result could not be read");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "000603", "The emulator's result storage failed.")
        .into_response()
}

/// Compresses a whole body.
///
/// # Errors
/// None in practice: the output is memory.
pub(crate) fn compress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body)?;
    gzip.finish()
}
