//! Compares source and target as they are now: rows, NULLs, least and greatest value of the keys and of the watermark,
//! under the entry's filter. One statement a side; nothing is written, and no run is needed.
//!
//! Values of keys are data: they are kept in [`Found`] and shown by who is asked to.

mod sql;

use thaw_config::Config;
use thaw_model::plan::SourcePlan;
use thaw_model::{PgIdent, SfIdent, TargetType};
use thaw_postgres::PgError;
use thaw_snowflake::{ChunkQueryError, SnowflakeError, chunk_query};

use crate::columns::Watermark;
use crate::filter::{self, FilterError, SentFilter};
use crate::introspect::source;
use crate::preflight::Ready;
use crate::session::Session;
use crate::snapshot;
use crate::watermark::{Kind, WatermarkValue};

/// Why two sides cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("source_filter {0}")]
    Filter(#[from] FilterError),
    #[error("the source's filter cannot be rendered")]
    Render(#[from] ChunkQueryError),
    #[error("the source could not be read: {0}")]
    Source(#[from] SnowflakeError),
    #[error("the target could not be read: {0}")]
    Target(#[from] PgError),
    #[error("a side gave an answer of another shape than asked for")]
    Shape,
}

/// What was compared, and what differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The moment of the source; `None`: it has no history, so it was read as it was just then.
    pub snapshot: Option<String>,
    pub source_rows: u64,
    pub target_rows: u64,
    /// The target was only held to hold at least what the source does, for this reason.
    pub at_least: Option<String>,
    pub differences: Vec<Found>,
    /// Columns whose least and greatest values do not compare between the two, and why.
    pub not_compared: Vec<String>,
}

/// One aggregate of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// `rows`, `NULLs of "ID"`, `least "ID"`, `greatest "UPDATED_AT"`.
    pub aggregate: String,
    pub source: Option<String>,
    pub target: Option<String>,
    /// The two are values of a column, not counts.
    pub is_value: bool,
}

/// A column that is looked at on both sides.
struct Column {
    source: SfIdent,
    target: PgIdent,
    target_type: TargetType,
    /// `None`: its order is not the same on both sides.
    kind: Option<Kind>,
}

/// Compares one table.
///
/// # Errors
/// A side cannot be read.
pub async fn verify(session: &Session, config: &Config, ready: &Ready<'_>) -> Result<Verified, VerifyError> {
    let entry = ready.selected.entry;
    let filter = match &entry.source_filter {
        Some(text) => filter::freeze(text, &ready.server_time, &entry.timezone)?,
        None => SentFilter::default(),
    };
    let (target_filter, at_least) = target_filter(config, ready, &filter);
    let columns = columns(ready);
    let (snapshot, source) = read_source(session, config, ready, (&filter, &columns)).await?;
    let target = read_target(session, ready, (target_filter.as_deref(), &columns)).await?;
    let count = |row: &[Option<String>], at: usize| -> Result<u64, VerifyError> {
        let text = row.get(at).and_then(Option::as_deref).ok_or(VerifyError::Shape)?;
        text.split_once('.').map_or(text, |(whole, _)| whole).parse().map_err(|_| VerifyError::Shape)
    };
    let mut comparison =
        Comparison { at_least: at_least.is_some(), differences: Vec::new(), not_compared: Vec::new() };
    let (source_rows, target_rows) = (count(&source, 0)?, count(&target, 0)?);
    comparison.counts("rows".to_owned(), source_rows, target_rows);
    for (number, column) in columns.iter().enumerate() {
        let at = 1 + 3 * number;
        let nulls = format!("NULLs of {}", column.target.quoted());
        comparison.counts(nulls, count(&source, at)?, count(&target, at)?);
        let cell = |row: &[Option<String>], at: usize| row.get(at).cloned().flatten();
        comparison.values(column, true, cell(&source, at + 1), cell(&target, at + 1));
        comparison.values(column, false, cell(&source, at + 2), cell(&target, at + 2));
    }
    let Comparison { differences, not_compared, .. } = comparison;
    Ok(Verified { snapshot, source_rows, target_rows, at_least, differences, not_compared })
}

/// The condition that tells the entry's rows in the target; else why they cannot be told.
fn target_filter(
    config: &Config,
    ready: &Ready<'_>,
    filter: &SentFilter,
) -> (Option<String>, Option<String>) {
    if !filter.volatile.is_empty() {
        return (None, Some("the filter selects other rows for every statement".to_owned()));
    }
    match &filter.text {
        Some(text) => match filter::translate(text, ready.selected.entry, &ready.mapped) {
            Ok(translated) => (Some(translated.as_str().to_owned()), None),
            Err(error) => (None, Some(format!("source_filter is not translated: {error}"))),
        },
        None if ready.selected.shares_target(config) => {
            (None, Some("other entries load the same target".to_owned()))
        }
        None => (None, None),
    }
}

/// Keys and watermark, each once.
fn columns(ready: &Ready<'_>) -> Vec<Column> {
    let timezone = &ready.selected.entry.timezone;
    let mapped = &ready.mapped;
    let watermark = mapped.watermark.as_ref().map(|watermark| &watermark.target);
    let keys = mapped.keys.iter().map(|(_, target)| target);
    let mut columns: Vec<Column> = Vec::new();
    for name in keys.chain(watermark) {
        let Some(planned) = mapped.columns.iter().find(|column| column.target == *name) else { continue };
        if columns.iter().any(|known| known.target == *name) {
            continue;
        }
        let pair = Watermark {
            source: planned.source.clone(),
            source_type: planned.source_type,
            target: planned.target.clone(),
            target_type: planned.target_type.clone(),
            is_collated: mapped.loosely_equal.contains(name),
            may_change: planned.lossy,
        };
        // As without keys: the values themselves must mean the same on both sides.
        let kind = Kind::of(&pair, timezone, false).filter(|_| planned.source_type.is_ordered());
        columns.push(Column {
            source: pair.source,
            target: pair.target,
            target_type: pair.target_type,
            kind,
        });
    }
    columns
}

async fn read_source(
    session: &Session,
    config: &Config,
    ready: &Ready<'_>,
    (filter, columns): (&SentFilter, &[Column]),
) -> Result<(Option<String>, Vec<Option<String>>), VerifyError> {
    let entry = ready.selected.entry;
    let moment = snapshot::choose(&ready.time_travel, &ready.server_time).await;
    let mut plan = SourcePlan {
        database: ready.selected.source.source_database.clone(),
        schema: ready.selected.source.source_schema.clone(),
        table: entry.source.clone(),
        timezone: entry.timezone.clone(),
        snapshot: moment.and_then(|chosen| chosen.at),
        filter: filter.text.clone(),
        watermark: None,
    };
    let names: Vec<(&SfIdent, bool)> =
        columns.iter().map(|column| (&column.source, column.kind.is_some())).collect();
    loop {
        let text = sql::source(&names, &chunk_query::source_clause(&plan)?);
        let statement = source::statement(config, ready.selected.source, entry, text);
        match session.snowflake.query(&statement).await {
            Ok(answer) => {
                let row = answer.rows.into_iter().next().ok_or(VerifyError::Shape)?;
                return Ok((plan.snapshot, row));
            }
            Err(error) if plan.snapshot.is_some() && snapshot::is_refusal(&error, &ready.time_travel) => {
                plan.snapshot = None;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn read_target(
    session: &Session,
    ready: &Ready<'_>,
    (filter, columns): (Option<&str>, &[Column]),
) -> Result<Vec<Option<String>>, VerifyError> {
    let source = ready.selected.source;
    let names: Vec<(&PgIdent, &TargetType, bool)> =
        columns.iter().map(|column| (&column.target, &column.target_type, column.kind.is_some())).collect();
    let text = sql::target(&names, (&source.target_schema, &ready.selected.entry.target), filter);
    let client = session.pools.pool(&source.target_database)?.get().await?;
    let row = client.query_one(&text, &[]).await.map_err(PgError::from)?;
    (0..row.len()).map(|at| row.try_get(at).map_err(|error| PgError::from(error).into())).collect()
}

/// Collects what differs.
struct Comparison {
    /// The target may hold other rows as well.
    at_least: bool,
    differences: Vec<Found>,
    not_compared: Vec<String>,
}

impl Comparison {
    fn counts(&mut self, aggregate: String, source: u64, target: u64) {
        let is_fine = if self.at_least { target >= source } else { target == source };
        if !is_fine {
            self.differences.push(Found {
                aggregate,
                source: Some(source.to_string()),
                target: Some(target.to_string()),
                is_value: false,
            });
        }
    }

    fn values(&mut self, column: &Column, is_least: bool, source: Option<String>, target: Option<String>) {
        let name = column.target.quoted();
        let Some(kind) = column.kind else {
            if is_least {
                self.not_compared
                    .push(format!("{name}: {} does not order as the source does", column.target_type));
            }
            return;
        };
        let read = |text: &Option<String>| match text {
            Some(text) => WatermarkValue::from_wire(kind, text).map(Some),
            None => Some(None),
        };
        let (Some(ours), Some(theirs)) = (read(&target), read(&source)) else {
            self.not_compared.push(format!("{name}: a value that is no finite {kind:?}"));
            return;
        };
        // What the target cannot hold is brought down before it is written.
        let theirs = theirs.map(|value| value.floored_to(&column.target_type));
        let is_fine = match (&theirs, &ours) {
            (None, _) if self.at_least => true,
            (Some(theirs), Some(ours)) if self.at_least && is_least => ours <= theirs,
            (Some(theirs), Some(ours)) if self.at_least => ours >= theirs,
            (theirs, ours) => theirs == ours,
        };
        if !is_fine {
            let text = |value: Option<WatermarkValue>| value.and_then(|value| value.to_text());
            self.differences.push(Found {
                aggregate: format!("{} {name}", if is_least { "least" } else { "greatest" }),
                source: text(theirs),
                target: text(ours),
                is_value: true,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Option<Kind>) -> Column {
        Column {
            source: SfIdent::exact("AT"),
            target: PgIdent::exact("at"),
            target_type: TargetType::Timestamp { precision: 6 },
            kind,
        }
    }

    fn differences(at_least: bool, source: &str, target: &str) -> usize {
        let mut comparison = Comparison { at_least, differences: Vec::new(), not_compared: Vec::new() };
        let value = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        comparison.values(&column(Some(Kind::WallClock)), false, value(source), value(target));
        comparison.differences.len()
    }

    #[test]
    fn values_are_compared_as_the_target_keeps_them() {
        assert_eq!(differences(false, "1.123456789", "1.123456"), 0, "nanoseconds are floored");
        assert_eq!(differences(false, "1.123456789", "1.123457"), 1);
        assert_eq!(differences(false, "", ""), 0);
        assert_eq!(differences(false, "", "1"), 1);
    }

    #[test]
    fn where_rows_cannot_be_told_the_target_must_hold_at_least_the_sources() {
        assert_eq!(differences(true, "1", "2"), 0);
        assert_eq!(differences(true, "2", "1"), 1);
        assert_eq!(differences(true, "", "1"), 0);
        assert_eq!(differences(true, "1", ""), 1);
    }

    #[test]
    fn columns_of_another_order_are_said_to_be_left_out() {
        let mut comparison =
            Comparison { at_least: false, differences: Vec::new(), not_compared: Vec::new() };
        comparison.values(&column(None), true, None, None);
        comparison.values(&column(None), false, None, None);
        assert_eq!(comparison.not_compared.len(), 1);
    }
}
