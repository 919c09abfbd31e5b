//! How the planner ends, as cron and CI see it.

use std::process::ExitCode;

use thaw_model::RunState;

/// The end of a command. Of several, the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every table is completed; with `--detach`, published.
    Completed,
    /// Usage or configuration: nothing was written.
    Configuration,
    /// Some table is partial, failed, cancelled or superseded.
    Incomplete,
    /// Another run holds a table.
    Held,
    /// A signal; the run goes on.
    Interrupted,
}

impl Exit {
    /// The number, as README.md lists it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Configuration => 1,
            Self::Incomplete => 2,
            Self::Held => 3,
            Self::Interrupted => 4,
        }
    }

    /// The worse of two, in the order 1, 2, 4, 3, 0.
    #[must_use]
    pub const fn worse(self, other: Self) -> Self {
        if self.rank() >= other.rank() { self } else { other }
    }

    /// What the state of a run that has ended means.
    #[must_use]
    pub const fn of(state: RunState) -> Self {
        match state {
            RunState::Completed => Self::Completed,
            RunState::Running => Self::Interrupted,
            RunState::Partial | RunState::Failed | RunState::Cancelled | RunState::Superseded => {
                Self::Incomplete
            }
        }
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Held => 1,
            Self::Interrupted => 2,
            Self::Incomplete => 3,
            Self::Configuration => 4,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_end_counts_in_the_order_1_2_4_3_0() {
        let order = [Exit::Configuration, Exit::Incomplete, Exit::Interrupted, Exit::Held, Exit::Completed];
        for (position, worse) in order.iter().enumerate() {
            for better in &order[position..] {
                assert_eq!(worse.worse(*better), *worse);
                assert_eq!(better.worse(*worse), *worse);
            }
        }
    }
}
