//! Runs one statement: engine, partitions, timeout, cancellation, and the state it ends in.

use std::sync::Arc;
use std::time::Duration;

use emulator_engine::{ExecuteRequest, SqlError};

use crate::adversity::Mood;
use crate::api::answers::Refusal;
use crate::partitions::{PartitionLimits, PartitionWriter};
use crate::result_set::ResultSet;
use crate::state::Emulator;
use crate::statements::{State, Statement};

/// Runs `statement` to its end in a task of its own: a client that goes away does not stop it.
pub(crate) fn spawn(emulator: &Arc<Emulator>, statement: &Arc<Statement>, mood: Mood) {
    let (emulator, statement) = (Arc::clone(emulator), Arc::clone(statement));
    let tracker = emulator.executions.clone();
    tracker.spawn(async move {
        let state = ending(&emulator, &statement, mood).await;
        statement.end(state, emulator.clock.now_ms());
    });
}

async fn ending(emulator: &Emulator, statement: &Statement, mood: Mood) -> State {
    let handle = statement.handle;
    let limit = statement.submission.timeout_seconds;
    tokio::select! {
        biased;
        () = statement.cancel.cancelled() => State::Failed(Refusal::cancelled(handle)),
        () = tokio::time::sleep(Duration::from_secs(limit)) => {
            State::Failed(Refusal::statement_timeout(handle, limit))
        }
        result = execute(emulator, statement, mood) => match result {
            Ok(result) => State::Succeeded(Arc::new(result)),
            Err(error) => {
                State::Failed(Refusal::sql_error(handle, &error.code, &error.sql_state, &error.message))
            }
        },
    }
}

async fn execute(emulator: &Emulator, statement: &Statement, mood: Mood) -> Result<ResultSet, SqlError> {
    let submission = &statement.submission;
    let request = ExecuteRequest {
        sql: emulator.prepared.instead_of(&submission.sql),
        database: submission.database.clone(),
        schema: submission.schema.clone(),
        warehouse: submission.warehouse.clone(),
        role: submission.role.clone(),
        timezone: submission.parameters.timezone.clone(),
        user: submission.user.clone(),
        account: emulator.directory.account().to_owned(),
        query_tag: submission.parameters.query_tag.clone(),
        now: nanoseconds(emulator.clock.now_ms()),
        visible_until: nanoseconds(emulator.visible_until_ms()),
        order_seed: mood.order_seed,
        bindings: submission.bindings.clone(),
    };
    let gzip_first_response = mood.gzip_first_response;
    let limits = limits(emulator, submission.parameters.chunk_megabytes);
    let mut output = emulator.engine.execute(request).await?;
    statement.note_tables(std::mem::take(&mut output.tables));
    let rows_max = match submission.parameters.rows_per_resultset {
        0 => u64::MAX,
        most => most,
    };
    let storage =
        |error: std::io::Error| SqlError::new("000603", "XX000", format!("result storage: {error}"));
    let spool = Arc::clone(&emulator.spool);
    let mut writer =
        PartitionWriter::start(spool, limits, mood, submission.null_form).await.map_err(storage)?;
    let mut rows = 0;
    // rows_per_resultset truncates in silence, as it does on real accounts.
    while rows < rows_max
        && let Some(row) = output.rows.next().await?
    {
        writer.row(|out| row.write_json(out)).await.map_err(storage)?;
        rows += 1;
    }
    drop(output.rows);
    let partitions = writer.finish().await.map_err(storage)?;
    Ok(ResultSet { columns: output.columns, kind: output.kind, partitions, gzip_first_response })
}

fn limits(emulator: &Emulator, chunk_megabytes: u64) -> PartitionLimits {
    let configured = emulator.settings.partition_limits;
    PartitionLimits { bytes: configured.bytes.min(chunk_megabytes * 1024 * 1024), rows: configured.rows }
}

/// The engine counts in nanoseconds.
pub(crate) fn nanoseconds(milliseconds: i64) -> i128 {
    i128::from(milliseconds) * 1_000_000
}
