//! What the whole fleet agrees on, stored with the run: its times, and what an index build may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Stored as `migration_runs.settings`; workers read it with every claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetSettings {
    #[serde(rename = "lease_ms", with = "millis")]
    pub lease: Duration,
    /// At most a quarter of the lease.
    #[serde(rename = "heartbeat_ms", with = "millis")]
    pub heartbeat: Duration,
    /// How often a worker looks for rows that need a hint.
    #[serde(rename = "redispatch_ms", with = "millis")]
    pub redispatch: Duration,
    /// A chunk that nobody ever claimed is hinted at again when its table was quiet for so long.
    #[serde(rename = "first_hint_ms", with = "millis")]
    pub first_hint: Duration,
    /// Megabytes of `maintenance_work_mem` for an index that is built again.
    #[serde(default = "default_index_memory_mb")]
    pub index_memory_mb: u32,
    /// Parallel workers PostgreSQL may take for it, beside its own.
    #[serde(default = "default_index_workers")]
    pub index_workers: u32,
}

fn default_index_memory_mb() -> u32 {
    FleetSettings::default().index_memory_mb
}

fn default_index_workers() -> u32 {
    FleetSettings::default().index_workers
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            redispatch: Duration::from_secs(5),
            first_hint: Duration::from_secs(60),
            index_memory_mb: 512,
            index_workers: 4,
        }
    }
}

/// Whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, ser::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        let millis = u64::try_from(value.as_millis()).map_err(S::Error::custom)?;
        serializer.serialize_u64(millis)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
