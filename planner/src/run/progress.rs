//! What a waiting person sees: a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use thaw_model::TableState;
use thaw_status::{StoreError, TableProgress};
use tokio::time::Instant;

use crate::run::reserve::ReservedRun;
use crate::session::Session;

/// Between two lines in a log.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Between two looks for the bar.
const BAR_EVERY: Duration = Duration::from_secs(1);

/// Shows how far a run is.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    shown: Instant,
    idle: Idle,
}

/// How long chunks have been waiting while none is at work.
#[derive(Debug)]
struct Idle {
    since: Instant,
    /// When it is worth a word, and again so much later.
    patience: Duration,
    said: Instant,
}

impl Idle {
    fn new(patience: Duration) -> Self {
        let now = Instant::now();
        Self { since: now, patience, said: now }
    }

    /// Takes what was seen. `Some`: nobody has been at work for so long, and it is time to say so.
    fn notice(&mut self, is_waiting: bool, now: Instant) -> Option<Duration> {
        if !is_waiting {
            (self.since, self.said) = (now, now);
            return None;
        }
        if now.duration_since(self.said) < self.patience {
            return None;
        }
        self.said = now;
        Some(now.duration_since(self.since))
    }
}

/// Chunks that anybody could take, and nobody at work on any.
fn is_waiting(tables: &[TableProgress]) -> bool {
    let loading = || tables.iter().filter(|table| table.state == TableState::Loading);
    loading().any(|table| table.chunks.pending > 0) && loading().all(|table| table.chunks.in_progress == 0)
}

impl Progress {
    /// A bar where stderr is a terminal. `patience`: how long nobody may be at work before a person is asked whether a
    /// worker is there; longer than a chunk that failed may wait for its next try.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) =
                ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} rows {msg}")
            {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, shown: Instant::now(), idle: Idle::new(patience) }
    }

    /// Shows the rows committed so far, when it is time to. What cannot be read is not shown.
    pub async fn show(&mut self, session: &Session, run: &ReservedRun<'_>) {
        let every = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let Ok(tables) = read(session, run).await else { return };
        let sum = |count: &dyn Fn(&TableProgress) -> i64| tables.iter().map(count).sum::<i64>();
        let rows = sum(&|table| table.accounting.fetched);
        let expected = sum(&|table| table.expected_rows.unwrap_or(0));
        let (done, chunks) = (sum(&|table| table.chunks.completed), sum(&|table| table.chunks.planned));
        let failed = sum(&|table| table.chunks.failed);
        if let Some(idle) = self.idle.notice(is_waiting(&tables), Instant::now()) {
            tracing::warn!(
                run_id = %run.id,
                idle_secs = idle.as_secs(),
                "chunks are waiting and no worker is at work: is one running, ready, and on this broker and these databases?"
            );
        }
        match &self.bar {
            Some(bar) => {
                bar.set_length(u64::try_from(expected).unwrap_or(0));
                bar.set_position(u64::try_from(rows).unwrap_or(0));
                bar.set_message(format!("{done}/{chunks} chunks, {failed} failed"));
            }
            None => tracing::info!(
                run_id = %run.id,
                "{rows} of {expected} rows, {done} of {chunks} chunks, {failed} failed"
            ),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

async fn read(session: &Session, run: &ReservedRun<'_>) -> Result<Vec<TableProgress>, StoreError> {
    let mut tables = Vec::new();
    for database in &run.databases {
        let client = session.pools.pool(&database.name)?.get().await?;
        tables.extend(thaw_status::tables_of_run(&client, run.id).await?);
    }
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_said_after_a_while_and_again_as_much_later() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let mut idle = Idle { since: begin, patience: Duration::from_secs(120), said: begin };
        assert_eq!(idle.notice(true, after(119)), None);
        assert_eq!(idle.notice(true, after(120)), Some(Duration::from_secs(120)));
        assert_eq!(idle.notice(true, after(239)), None);
        assert_eq!(idle.notice(true, after(240)), Some(Duration::from_secs(240)));
        assert_eq!(idle.notice(false, after(250)), None);
        assert_eq!(idle.notice(true, after(369)), None);
        assert_eq!(idle.notice(true, after(370)), Some(Duration::from_secs(120)));
    }
}
