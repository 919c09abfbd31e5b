//! The names of those who hold locks on a target, for the text of a lock timeout.

use thaw_model::plan::TargetPlan;
use thaw_postgres::blocking::{Blocker, blocking_pids};
use tokio_postgres::Client;

/// What was waited for: not every lock on the target is in its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Rows are written.
    Load,
    /// An index is built, or statistics are taken.
    Maintenance,
    /// The target is emptied, or its indexes are dropped.
    Exclusive,
}

impl Waiting {
    /// By the table of conflicts in the PostgreSQL manual, 13.3.
    fn conflicts_with(self, mode: &str) -> bool {
        match mode {
            "AccessShareLock" | "RowShareLock" => self == Self::Exclusive,
            "RowExclusiveLock" | "ShareUpdateExclusiveLock" => self != Self::Load,
            _ => true,
        }
    }
}

/// `pid 4711 (psql), pid 4712 (report)`; `None`: nobody any more, or it cannot be asked. Where no lock on the table is in
/// the way, it was one on a row: then all are named who may hold it.
pub(crate) async fn lock_holders(client: &Client, target: &TargetPlan, waiting: Waiting) -> Option<String> {
    let holders = blocking_pids(client, &target.schema, &target.table).await.ok()?;
    let in_the_way: Vec<&Blocker> =
        holders.iter().filter(|holder| waiting.conflicts_with(&holder.mode)).collect();
    let named = if in_the_way.is_empty() { holders.iter().collect() } else { in_the_way };
    let mut names: Vec<String> = Vec::new();
    for holder in named {
        let name = format!("pid {} ({})", holder.pid, holder.application_name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { None } else { Some(names.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_are_in_the_way_of_a_truncate_only_and_writers_not_of_a_load() {
        let in_the_way = |waiting: Waiting| {
            ["AccessShareLock", "RowExclusiveLock", "ShareLock", "AccessExclusiveLock"]
                .map(|mode| waiting.conflicts_with(mode))
        };
        assert_eq!(in_the_way(Waiting::Load), [false, false, true, true]);
        assert_eq!(in_the_way(Waiting::Maintenance), [false, true, true, true]);
        assert_eq!(in_the_way(Waiting::Exclusive), [true; 4]);
    }
}
