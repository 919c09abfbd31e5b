//! What a waiting person sees: a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
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
}

impl Progress {
    /// A bar where stderr is a terminal.
    #[must_use]
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(0);
            if let Ok(style) =
                ProgressStyle::with_template("{elapsed_precise} {wide_bar} {pos}/{len} rows {msg}")
            {
                bar.set_style(style);
            }
            bar
        });
        Self { bar, shown: Instant::now() }
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

impl Default for Progress {
    fn default() -> Self {
        Self::new()
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
