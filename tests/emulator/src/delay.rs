//! A statement that takes its time: by the wall clock, or until the virtual clock has been moved on.

use std::time::Duration;

use crate::clock::Clock;

/// How often the virtual clock is looked at.
const TICK: Duration = Duration::from_millis(20);

/// How long a statement runs before it begins to give rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Delay {
    None,
    /// Of the wall clock.
    Wall(Duration),
    /// Of the virtual clock, which nobody moves but the test.
    VirtualSeconds(u32),
}

impl Delay {
    /// Waits; cancel-safe.
    pub(crate) async fn wait(self, clock: &Clock, from_ms: i64) {
        match self {
            Self::None => {}
            Self::Wall(time) => tokio::time::sleep(time).await,
            Self::VirtualSeconds(seconds) => {
                let until = from_ms.saturating_add(i64::from(seconds) * 1000);
                while clock.now_ms() < until {
                    tokio::time::sleep(TICK).await;
                }
            }
        }
    }
}
