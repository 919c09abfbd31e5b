//! What a fault does to the request it strikes: before, in place of, and after the honest answer.
//!
//! Which request is struck is `faults`' business. Nothing here happens of itself.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use futures_util::stream;
use serde_json::Value;
use uuid::Uuid;

use crate::api::answers::Refusal;
use crate::api::fetch::compress;
use crate::auth::{Directory, Identity};
use crate::delay::Delay;
use crate::faults::{Action, NamedAction, StatusAction};
use crate::state::Emulator;

/// An action that strikes the current request and has not been dealt with by [`before`].
#[derive(Debug)]
pub(crate) struct Struck(Action);

/// In a response's extensions: close the connection instead of sending it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutConnection;

/// How often a slow body moves.
const SLOW_TICK: Duration = Duration::from_millis(50);

impl Struck {
    fn named(struck: Option<&Self>) -> Option<&NamedAction> {
        match struck {
            Some(Self(Action::Named(action))) => Some(action),
            _ => None,
        }
    }
}

/// What happens before the request is carried out.
///
/// # Errors
/// The response that takes the place of the honest one.
pub(crate) async fn before(
    emulator: &Emulator,
    identity: &Identity,
    action: Option<Action>,
) -> Result<Option<Struck>, Response<Body>> {
    let Some(action) = action else { return Ok(None) };
    match &action {
        Action::Status(status) => return Err(status_response(status)),
        Action::Named(NamedAction::Hang) => std::future::pending().await,
        Action::Named(NamedAction::HangSeconds(seconds)) => {
            tokio::time::sleep(Duration::try_from_secs_f64(*seconds).unwrap_or_default()).await;
        }
        Action::Named(NamedAction::CutConnection) => return Err(cut()),
        Action::Named(NamedAction::ExpiredToken) => {
            return Err(emulator.directory.expire(identity).into_response());
        }
        Action::Named(NamedAction::RevokedKey) => return Err(Directory::revoked(identity).into_response()),
        Action::SqlError(_) | Action::Named(_) => {}
    }
    Ok(Some(Struck(action)))
}

/// The error the statement is made to end with, for good.
pub(crate) fn failure(struck: Option<&Struck>, handle: Uuid) -> Option<Refusal> {
    match struck {
        Some(Struck(Action::SqlError(action))) => {
            let error = &action.sql_error;
            Some(Refusal::sql_error(handle, &error.code, &error.sql_state, &error.message))
        }
        Some(Struck(Action::Named(action))) => match action {
            NamedAction::ExpiredHandle => Some(Refusal::handle_not_found(&handle.to_string())),
            NamedAction::SnapshotGone => {
                let message = "Time travel data is not available for table. The requested time is either beyond \
                               the allowed time travel period or before the object creation time.";
                Some(Refusal::sql_error(handle, "000707", "02000", message))
            }
            NamedAction::ResultTooLarge422 => {
                Some(Refusal::sql_error(handle, "391908", "54000", "The result set is too large."))
            }
            NamedAction::StatementTimeout => Some(Refusal::statement_timeout(handle, 0)),
            _ => None,
        },
        Some(Struck(Action::Status(_))) | None => None,
    }
}

/// How long the statement is made to run.
pub(crate) fn delay(struck: Option<&Struck>) -> Delay {
    match Struck::named(struck) {
        Some(NamedAction::TakesSeconds(seconds)) => {
            Delay::Wall(Duration::try_from_secs_f64(*seconds).unwrap_or_default())
        }
        Some(NamedAction::TakesVirtualSeconds(seconds)) => Delay::VirtualSeconds(*seconds),
        _ => Delay::None,
    }
}

/// The status of a "still running" that is not true.
pub(crate) fn pretended_status(struck: Option<&Struck>) -> Option<StatusCode> {
    match Struck::named(struck)? {
        NamedAction::StillRunning => Some(StatusCode::ACCEPTED),
        NamedAction::StillRunning429 => Some(StatusCode::TOO_MANY_REQUESTS),
        _ => None,
    }
}

/// The `code` of a ResultSet.
pub(crate) fn result_code(struck: Option<&Struck>) -> &'static str {
    match Struck::named(struck) {
        Some(NamedAction::ResultTooLarge) => "391908",
        _ => "090001",
    }
}

/// Partition 0's rows, perhaps one or half of them short.
pub(crate) fn tamper_rows(struck: Option<&Struck>, data: Vec<u8>) -> Vec<u8> {
    let keep: fn(usize) -> usize = match Struck::named(struck) {
        Some(NamedAction::WrongRowCount) => |rows| rows.saturating_sub(1),
        Some(NamedAction::ResultTooLarge) => |rows| rows / 2,
        _ => return data,
    };
    match serde_json::from_slice::<Vec<Value>>(&data) {
        Ok(mut rows) => {
            rows.truncate(keep(rows.len()));
            Value::Array(rows).to_string().into_bytes()
        }
        Err(_) => data,
    }
}

/// Which partition's bytes answer a request for `number`.
pub(crate) fn partition_to_read(struck: Option<&Struck>, number: usize, count: usize) -> usize {
    match Struck::named(struck) {
        // Partition 0 is stored in another form; with two partitions there is no other one.
        Some(NamedAction::OtherPartitionBytes) if number + 1 < count => number + 1,
        Some(NamedAction::OtherPartitionBytes) if number > 1 && number < count => number - 1,
        _ => number,
    }
}

/// The gzip bytes of a partition, perhaps damaged.
///
/// # Errors
/// None in practice: everything is in memory.
pub(crate) fn tamper_gzip(struck: Option<&Struck>, mut stored: Vec<u8>) -> io::Result<Vec<u8>> {
    match Struck::named(struck) {
        Some(NamedAction::TruncatedGzip) => stored.truncate(stored.len() / 2),
        Some(NamedAction::CorruptGzip) => {
            let middle = stored.len() / 2;
            for byte in stored.iter_mut().skip(middle).take(8) {
                *byte ^= 0xff;
            }
        }
        Some(NamedAction::WrongRowCount) => {
            let mut plain = Vec::new();
            io::Read::read_to_end(&mut flate2::read::GzDecoder::new(stored.as_slice()), &mut plain)?;
            let mut body: Value = serde_json::from_slice(&plain).map_err(io::Error::other)?;
            if let Some(rows) = body.get_mut("data").and_then(Value::as_array_mut) {
                rows.pop();
            }
            stored = compress(body.to_string().as_bytes())?;
        }
        _ => {}
    }
    Ok(stored)
}

/// What happens to the finished response on its way out.
pub(crate) async fn after(struck: Option<Struck>, response: Response<Body>) -> Response<Body> {
    match Struck::named(struck.as_ref()) {
        Some(NamedAction::LoseResponse) => cut(),
        Some(NamedAction::CutAfterBytes(count)) => {
            let most = usize::try_from(*count).unwrap_or(usize::MAX);
            stream_body(response, move |body| cut_body(&body, most)).await
        }
        Some(NamedAction::SlowBytesPerSecond(speed)) => {
            let step = usize::try_from((speed / 20).max(1)).unwrap_or(usize::MAX);
            stream_body(response, move |body| slow_body(body, step)).await
        }
        _ => response,
    }
}

fn cut() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(CutConnection);
    response
}

fn status_response(action: &StatusAction) -> Response<Body> {
    let status = StatusCode::from_u16(action.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if action.html {
        let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
        let mut response = Response::new(Body::from(page));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        if let Some(seconds) = action.retry_after {
            response.headers_mut().insert(axum::http::header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        return response;
    }
    let refusal = if status == StatusCode::TOO_MANY_REQUESTS {
        Refusal::too_many_requests()
    } else {
        Refusal::new(status, "390000", status.canonical_reason().unwrap_or("Error"))
    };
    refusal.retry_after(action.retry_after).into_response()
}

async fn stream_body(response: Response<Body>, make: impl FnOnce(Bytes) -> Body) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    Response::from_parts(parts, make(bytes))
}

/// The first `most` bytes, then an error, upon which the connection is closed.
fn cut_body(body: &Bytes, most: usize) -> Body {
    let kept = body.slice(..most.min(body.len()));
    Body::from_stream(stream::unfold(Some(kept), async |kept| match kept {
        Some(kept) => Some((Ok(kept), None)),
        None => {
            // Time for the bytes to leave: an error discards what is buffered.
            tokio::time::sleep(SLOW_TICK).await;
            Some((Err(io::Error::other("cut on demand")), None))
        }
    }))
}

fn slow_body(body: Bytes, step: usize) -> Body {
    Body::from_stream(stream::unfold(body, move |mut rest: Bytes| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(SLOW_TICK).await;
        let piece = rest.split_to(step.min(rest.len()));
        Some((Ok::<_, io::Error>(piece), rest))
    }))
}
