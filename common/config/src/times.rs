//! Reads `worker`, the times of the fleet.

use std::time::Duration;

use crate::config::WorkerConfig;
use crate::defaults::{
    FIRST_HINT_SECONDS, HALT_GRACE_SECONDS, HEARTBEATS_PER_LEASE, INDEX_MEMORY_MB, INDEX_WORKERS,
    LEASE_SECONDS, MEMORY_MB, REDISPATCH_SECONDS, SHUTDOWN_GRACE_SECONDS,
};
use crate::scope::Scope;

/// Reads the section; where it or a key is absent or wrong, the default stands.
pub(crate) fn worker(global: &Scope<'_>) -> WorkerConfig {
    let scope = global.object("worker");
    let seconds = |key: &str| {
        scope.as_ref().and_then(|scope| scope.integer(key)).map(|seconds| Duration::from_secs(seconds.into()))
    };
    let or = |key: &str, default: u32| seconds(key).unwrap_or(Duration::from_secs(default.into()));
    let integer =
        |key: &str, default: u32| scope.as_ref().and_then(|scope| scope.integer(key)).unwrap_or(default);
    let lease = or("lease_seconds", LEASE_SECONDS);
    let named_heartbeat = seconds("heartbeat_seconds");
    if let (Some(scope), Some(heartbeat)) = (&scope, named_heartbeat)
        && heartbeat * 2 > lease
    {
        let message = format!(
            "must be at most half of lease_seconds ({} s): one lost heartbeat must not cost a living worker its chunk",
            lease.as_secs()
        );
        scope.cx.error(&scope.at("heartbeat_seconds"), message);
    }
    WorkerConfig {
        lease,
        heartbeat: named_heartbeat.unwrap_or(lease / HEARTBEATS_PER_LEASE),
        redispatch: or("redispatch_seconds", REDISPATCH_SECONDS),
        first_hint: or("first_hint_seconds", FIRST_HINT_SECONDS),
        shutdown_grace: or("shutdown_grace_seconds", SHUTDOWN_GRACE_SECONDS),
        halt_grace: or("halt_grace_seconds", HALT_GRACE_SECONDS),
        memory_mb: integer("memory_mb", MEMORY_MB),
        index_memory_mb: integer("index_memory_mb", INDEX_MEMORY_MB),
        index_workers: integer("index_workers", INDEX_WORKERS),
    }
}
