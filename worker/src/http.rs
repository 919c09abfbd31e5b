//! `/metrics`, `/healthz`, `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use thaw_queue::LinkState;
use thaw_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::halt::Halt;

/// What the endpoints tell.
#[derive(Debug, Clone)]
pub struct Health {
    pub metrics: Arc<Metrics>,
    pub halt: Halt,
    pub link: watch::Receiver<LinkState>,
    /// Cancelled once no chunk is taken any more.
    pub draining: CancellationToken,
    pub source: thaw_snowflake::Client,
}

impl Health {
    /// Why no chunk is taken; `None`: ready. Holds no secret and no value.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        if self.draining.is_cancelled() {
            return Some("draining".to_owned());
        }
        if let Some(halted) = self.halt.current() {
            return Some(format!("halted: {}", halted.reason));
        }
        let link = self.link.borrow();
        if link.is_connected() { None } else { Some(format!("queue {}", *link)) }
    }
}

/// Opens the port.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until stopped.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(health);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::warn!(error = %error, "http endpoints ended");
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    let (metrics, limit) = (&health.metrics, health.source.request_limit());
    metrics.ready.set(i64::from(health.unready().is_none()));
    metrics.source_request_limit.set(i64::from(limit.limit));
    metrics.source_requests.set(i64::from(limit.in_flight));
    metrics.source_throttled.inc_by(limit.throttled.saturating_sub(metrics.source_throttled.get()));
    match health.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn readyz(State(health): State<Health>) -> Response {
    match health.unready() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
