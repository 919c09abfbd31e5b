//! Limits of the account that a test may set while the emulator serves: how small partitions are, how large a result may
//! be, how many partitions a second it gives away.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::wall_ms;
use crate::partitions::PartitionLimits;

/// `POST /limits`; what is absent is as the command line has it, or without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Asked {
    /// A partition has so many rows at most.
    partition_rows: Option<u64>,
    /// A partition has so many uncompressed bytes at most, whatever the client asks for (`client_result_chunk_size`
    /// did not cap in former years), and none is small but the first.
    partition_bytes: Option<u64>,
    /// A larger result is 391908.
    result_rows: Option<u64>,
    result_bytes: Option<u64>,
    /// Further requests for partitions within a second are 429, without `Retry-After`.
    partitions_per_second: Option<u64>,
}

/// The limits in force.
#[derive(Debug)]
pub(crate) struct Limits {
    at_start: PartitionLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    asked: Asked,
    second: i64,
    given: u64,
    refused: u64,
}

/// What a result may measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResultLimits {
    pub(crate) partition: PartitionLimits,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

/// `GET /limits`
#[derive(Debug, Serialize)]
pub(crate) struct Reading {
    #[serde(flatten)]
    asked: Asked,
    /// Requests for partitions that were refused by their rate, since the limits were set.
    refused: u64,
}

impl Limits {
    /// The command line's.
    pub(crate) fn new(at_start: PartitionLimits) -> Self {
        Self { at_start, state: Mutex::default() }
    }

    /// Takes the place of what was asked before.
    pub(crate) fn set(&self, asked: Asked) {
        *self.lock() = State { asked, ..State::default() };
    }

    pub(crate) fn read(&self) -> Reading {
        let state = self.lock();
        Reading { asked: state.asked, refused: state.refused }
    }

    /// For a result whose client asks for partitions of `client_bytes`.
    pub(crate) fn of_result(&self, client_bytes: u64) -> ResultLimits {
        let asked = self.lock().asked;
        ResultLimits {
            partition: PartitionLimits {
                bytes: asked.partition_bytes.unwrap_or_else(|| self.at_start.bytes.min(client_bytes)),
                rows: asked.partition_rows.unwrap_or(self.at_start.rows),
                grow: asked.partition_bytes.is_none(),
            },
            rows: asked.result_rows.unwrap_or(u64::MAX),
            bytes: asked.result_bytes.unwrap_or(u64::MAX),
        }
    }

    /// Whether one more partition may be given away now.
    pub(crate) fn may_give_partition(&self) -> bool {
        let mut state = self.lock();
        let Some(most) = state.asked.partitions_per_second else { return true };
        let second = wall_ms().div_euclid(1000);
        if state.second != second {
            (state.second, state.given) = (second, 0);
        }
        let fits = state.given < most;
        state.given += u64::from(fits);
        state.refused += u64::from(!fits);
        fits
    }

    /// Numbers; a panic elsewhere cannot have left them half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
