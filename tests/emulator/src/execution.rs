//! Runs one statement: engine, partitions, timeout, cancellation, and the state it ends in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use emulator_engine::{ExecuteRequest, SqlError};

use crate::adversity::Mood;
use crate::api::answers::Refusal;
use crate::delay::Delay;
use crate::frozen::{Kept, Key};
use crate::partitions::PartitionWriter;
use crate::result_set::ResultSet;
use crate::state::Emulator;
use crate::statements::{State, Statement};

/// Runs `statement` to its end in a task of its own: a client that goes away does not stop it.
pub(crate) fn spawn(emulator: &Arc<Emulator>, statement: &Arc<Statement>, (mood, delay): (Mood, Delay)) {
    let (emulator, statement) = (Arc::clone(emulator), Arc::clone(statement));
    let tracker = emulator.executions.clone();
    tracker.spawn(async move {
        let state = ending(&emulator, &statement, (mood, delay)).await;
        statement.end(state, emulator.clock.now_ms());
    });
}

async fn ending(emulator: &Emulator, statement: &Statement, (mood, delay): (Mood, Delay)) -> State {
    let handle = statement.handle;
    let limit = statement.submission.timeout_seconds;
    tokio::select! {
        biased;
        () = statement.cancel.cancelled() => State::Failed(Refusal::cancelled(handle)),
        () = tokio::time::sleep(Duration::from_secs(limit)) => {
            State::Failed(Refusal::statement_timeout(handle, limit))
        }
        result = async {
            delay.wait(&emulator.clock, statement.created_ms).await;
            executed_or_frozen(emulator, statement, mood).await
        } => match result {
            Ok(result) => State::Succeeded(result),
            Err(error) => {
                State::Failed(Refusal::sql_error(handle, &error.code, &error.sql_state, &error.message))
            }
        },
    }
}

/// With `--freeze`, the bytes of the first execution of the same query.
async fn executed_or_frozen(
    emulator: &Emulator,
    statement: &Statement,
    mood: Mood,
) -> Result<Arc<ResultSet>, SqlError> {
    let sql = emulator.prepared.instead_of(&statement.submission.sql);
    let key = emulator.settings.freeze.then(|| Key::new(&statement.submission, &sql));
    if let Some(kept) = key.as_ref().and_then(|key| emulator.frozen.get(key)) {
        statement.note_tables(kept.tables);
        return Ok(kept.result);
    }
    let (result, tables) = execute(emulator, statement, (sql, mood)).await?;
    let kept = Kept { result: Arc::new(result), tables };
    if let Some(key) = key {
        emulator.frozen.keep(key, &kept);
    }
    Ok(kept.result)
}

async fn execute(
    emulator: &Emulator,
    statement: &Statement,
    (sql, mood): (String, Mood),
) -> Result<(ResultSet, Vec<String>), SqlError> {
    let submission = &statement.submission;
    let request = ExecuteRequest {
        sql,
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
    let limits = emulator.limits.of_result(submission.parameters.chunk_megabytes * 1024 * 1024);
    let mut source = Stopwatch::default();
    let mut output = source.time(emulator.engine.execute(request)).await?;
    let tables = std::mem::take(&mut output.tables);
    statement.note_tables(tables.clone());
    let rows_max = match submission.parameters.rows_per_resultset {
        0 => u64::MAX,
        most => most,
    };
    let storage =
        |error: std::io::Error| SqlError::new("000603", "XX000", format!("result storage: {error}"));
    let spool = Arc::clone(&emulator.spool);
    let mut writer =
        PartitionWriter::start(spool, limits.partition, mood, submission.null_form).await.map_err(storage)?;
    let mut rows = 0;
    // rows_per_resultset truncates in silence, as it does on real accounts.
    while rows < rows_max
        && let Some(row) = source.time(output.rows.next()).await?
    {
        writer.row(|out| row.write_json(out)).await.map_err(storage)?;
        rows += 1;
        if rows > limits.rows || writer.bytes() > limits.bytes {
            return Err(SqlError::new("391908", "54000", "The result set is too large."));
        }
    }
    statement.note_source(source.0);
    drop(output.rows);
    let partitions = writer.finish().await.map_err(storage)?;
    Ok((ResultSet { columns: output.columns, kind: output.kind, partitions, gzip_first_response }, tables))
}

/// Time spent waiting for the source, and for nothing else.
#[derive(Debug, Default)]
struct Stopwatch(Duration);

impl Stopwatch {
    async fn time<T>(&mut self, work: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let done = work.await;
        self.0 += started.elapsed();
        done
    }
}

/// The engine counts in nanoseconds.
pub(crate) fn nanoseconds(milliseconds: i64) -> i128 {
    i128::from(milliseconds) * 1_000_000
}
