//! The states of runs, tables and chunks: one enum each, equal to the CHECKs of schema.sql and to the diagram in
//! docs/state-machine.md (a test of `thaw-status` holds the three together).

use std::fmt;
use std::str::FromStr;

/// A state that no code knows: the database is newer than this binary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} state `{text}`: the status tables are newer than this program")]
pub struct UnknownState {
    kind: &'static str,
    text: String,
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident, $kind:literal,
     { $($(#[$vdoc:meta])* $variant:ident = $text:literal => [$($next:ident),*]),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            /// Every state, in the order of a life.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text in the status tables.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The states that may follow this one, by any statement of the status store.
            #[must_use]
            pub const fn successors(self) -> &'static [Self] {
                match self { $(Self::$variant => &[$(Self::$next),*]),+ }
            }

            #[must_use]
            pub fn can_become(self, next: Self) -> bool {
                self.successors().contains(&next)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownState;

            fn from_str(text: &str) -> Result<Self, UnknownState> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownState { kind: $kind, text: text.to_owned() }),
                }
            }
        }
    };
}

states! {
    /// The state of a run. `Partial`, `Failed` and `Cancelled` runs can be revived by resume.
    RunState, "run", {
        /// Some table is not final yet, or the planner has not finished planning.
        Running = "running" => [Completed, Partial, Failed, Cancelled, Superseded],
        /// Every table is `completed`. It runs again only when a resume adds tables to it.
        Completed = "completed" => [Running],
        /// Some rows arrived, some did not; a person must look.
        Partial = "partial" => [Running],
        /// Nothing arrived.
        Failed = "failed" => [Running],
        /// A person stopped it.
        Cancelled = "cancelled" => [Running],
        /// A later run took over its tables.
        Superseded = "superseded" => [],
    }
}

states! {
    /// The state of one table of a run.
    TableState, "table", {
        /// The row holds the target; the plan is being made (or made anew, for a fresh execution).
        Planning = "planning" => [Planned, Loading, Failed, Cancelled, Superseded],
        /// Plan and chunks are stored; nothing has touched the target yet.
        Planned = "planned" => [Loading, Failed, Cancelled, Superseded],
        /// Started: truncated where that is its way; chunks may be claimed. A fault of the whole table cancels its open
        /// chunks; the finalizer ends it.
        Loading = "loading" => [Planning, Finalizing, Cancelled, Superseded],
        /// No chunk is open; one worker, under a lease, completes what is left.
        Finalizing = "finalizing" => [Completed, Partial, Failed, Cancelled, Superseded],
        /// Every row is accounted for.
        Completed = "completed" => [],
        /// Some chunks failed.
        Partial = "partial" => [Loading, Superseded],
        /// No chunk was loaded, or the table could not be planned or started.
        Failed = "failed" => [Planning, Planned, Loading, Superseded],
        /// A person stopped it.
        Cancelled = "cancelled" => [Planning, Planned, Loading, Superseded],
        /// A later run started the same target, or a later row of the run stands for it.
        Superseded = "superseded" => [],
    }
}

states! {
    /// The state of one chunk.
    ChunkState, "chunk", {
        /// Waiting to be claimed, now or when it is due.
        Pending = "pending" => [InProgress, Cancelled, Superseded],
        /// Claimed by a worker under a lease.
        InProgress = "in_progress" => [InProgress, Pending, Completed, Failed, Cancelled, Superseded],
        /// Its rows and this state were committed in one transaction.
        Completed = "completed" => [Superseded],
        /// Out of attempts, or a fault that no attempt can mend.
        Failed = "failed" => [Pending, Superseded],
        /// Its run was cancelled, or its table stopped.
        Cancelled = "cancelled" => [Pending],
        /// Belongs to an execution or a run that was replaced.
        Superseded = "superseded" => [],
    }
}

impl RunState {
    #[must_use]
    pub fn is_final(self) -> bool {
        self != Self::Running
    }
}

impl TableState {
    /// No statement but a resume changes it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Planning | Self::Planned | Self::Loading | Self::Finalizing => false,
            Self::Completed | Self::Partial | Self::Failed | Self::Cancelled | Self::Superseded => true,
        }
    }
}

impl ChunkState {
    /// Still to be loaded, or being loaded.
    #[must_use]
    pub fn is_open(self) -> bool {
        match self {
            Self::Pending | Self::InProgress => true,
            Self::Completed | Self::Failed | Self::Cancelled | Self::Superseded => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_reads_back_from_its_text() {
        for state in RunState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for state in TableState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        for state in ChunkState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        assert!("done".parse::<ChunkState>().is_err());
    }
}
