//! What is done about a table besides its chunks: the next hints, its start, its end, and the end of its run.

use thaw_model::{Classify as _, ErrorReport, RunId, TableId};
use thaw_queue::Publisher;
use thaw_status::StoreError;
use thaw_telemetry::Stage;

use crate::runner::Runner;
use crate::{finalize, start};

/// Why a table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// One of its chunks has ended.
    ChunkEnded,
    /// As above, and the table has (or may have) a cap of its own: who settles a chunk publishes the next.
    CappedChunkEnded,
    /// A message says that it may be ready to start or to finalize.
    Hint,
}

/// Looks at the table and does what is due. What fails here is done again by redispatch, here or elsewhere.
pub(crate) async fn look<P: Publisher>(
    runner: &Runner<P>,
    database: &str,
    table: (RunId, TableId),
    occasion: Occasion,
) {
    if let Err(error) = try_look(runner, database, table, occasion).await {
        let report = ErrorReport::of(&error);
        runner.metrics.error(Stage::Finalize, error.disposition().as_str());
        tracing::warn!(class = %report.class, error = %report.text, "table was not looked after, redispatch will");
    }
}

async fn try_look<P: Publisher>(
    runner: &Runner<P>,
    database: &str,
    (run, table): (RunId, TableId),
    occasion: Occasion,
) -> Result<(), StoreError> {
    let pools = runner.databases.control();
    match occasion {
        Occasion::ChunkEnded => {}
        Occasion::CappedChunkEnded => {
            start::publish_within_cap(pools, &runner.publisher, database, table).await?;
        }
        Occasion::Hint => {
            if let Some(_permit) = runner.gates.start.enter(database, table).await {
                start::start_and_publish(pools, &runner.publisher, database, (run, table)).await?;
            }
        }
    }
    if let Some(_permit) = runner.gates.finalize.enter(database, table).await {
        let by = (&runner.worker, &*runner.metrics);
        let waited = finalize::finalize_if_done(&runner.databases, database, (run, table), by).await?;
        start::publish(&runner.publisher, &waited).await;
    }
    Ok(())
}
