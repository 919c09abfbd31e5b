//! Paths and methods.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};

use crate::api::answers::Refusal;
use crate::api::{cancel, fetch, submit};
use crate::state::Emulator;

/// Statements of up to 1 MB are recommended; bindings and escapes may need more.
const BODY_BYTES_MAX: usize = 16 << 20;

/// The public endpoints.
pub(crate) fn router(emulator: Arc<Emulator>) -> Router {
    Router::new()
        .route("/api/v2/statements", post(submit::submit))
        .route("/api/v2/statements/", post(submit::submit))
        .route("/api/v2/statements/{handle}", get(fetch::fetch))
        .route("/api/v2/statements/{handle}/cancel", post(cancel::cancel))
        .fallback(not_found)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(emulator)
}

async fn not_found() -> Response<Body> {
    std::future::ready(
        Refusal::new(StatusCode::NOT_FOUND, "390404", "The request endpoint is not valid.").into_response(),
    )
    .await
}
