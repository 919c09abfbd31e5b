//! `POST /api/v2/statements/{handle}/cancel`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, Method, Response};

use crate::api::answers::{Refusal, cancel_accepted};
use crate::api::{fetch, headers};
use crate::fault_actions;
use crate::faults::{RequestKind, Target};
use crate::state::Emulator;
use crate::statements::State;

/// The endpoint. A statement that no longer runs cannot be cancelled: 000709, as for an unknown one.
pub(crate) async fn cancel(
    Shared(emulator): Shared<Arc<Emulator>>,
    Path(handle): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let found = headers::check(&emulator, &Method::POST, &headers)
        .and_then(|identity| Ok((fetch::find(&emulator, &handle, &identity)?, identity)));
    let (statement, identity) = match found {
        Ok(found) => found,
        Err(refusal) => return refusal.into_response(),
    };
    let target = Target {
        kind: RequestKind::Cancel,
        sql: &statement.submission.sql,
        query_tag: statement.submission.parameters.query_tag.as_deref().unwrap_or_default(),
        user: &identity.user,
        partition: None,
    };
    let struck = match fault_actions::before(&emulator, &identity, emulator.faults.strike(&target)).await {
        Ok(struck) => struck,
        Err(response) => return response,
    };
    let response = if matches!(statement.state(), State::Running) {
        statement.cancel.cancel();
        statement.ended().await;
        cancel_accepted(statement.handle)
    } else {
        Refusal::handle_not_found(&handle).into_response()
    };
    fault_actions::after(struck, response).await
}
