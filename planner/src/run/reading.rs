//! What a table's bound is made of, read from its target database: the rows there, and what earlier runs left behind.

use thaw_config::Config;
use thaw_model::plan::PlannedColumn;
use thaw_model::{PgIdent, RunId, SfIdent, SourceType, TargetType};
use thaw_postgres::PgError;
use thaw_status::StoreError;
use tokio_postgres::Client;

use crate::columns::Watermark;
use crate::filter::{self, SentFilter};
use crate::introspect::target::{self, TargetRows, WatermarkQuestion};
use crate::plan::assemble::OwnRows;
use crate::preflight::Ready;
use crate::run::reserve::entry_id;
use crate::select::Selected;
use crate::watermark::asked::AskedError;
use crate::watermark::lookback::Step;
use crate::watermark::{self, Asked, Evidence, History, Kind, Reading, TargetGreatest, WatermarkValue};

/// The target as it is now, and what is read because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub rows: TargetRows,
    pub reading: Reading,
    pub own_rows: OwnRows,
    /// Target columns that rows below the bound have not been given: mapped otherwise, or added, since the last completed
    /// run.
    pub unfilled: Vec<PgIdent>,
}

/// Why it cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Asked(#[from] AskedError),
}

impl From<PgError> for ReadError {
    fn from(error: PgError) -> Self {
        Self::Store(error.into())
    }
}

/// Reads it. `moment` is the snapshot's, as text of an instant; `asked` is what the command line wants instead of the
/// bound.
///
/// # Errors
/// What the target database says, and a `--since` that is no value of the table's watermark.
pub async fn read(
    client: &Client,
    config: &Config,
    (ready, filter): (&Ready<'_>, &SentFilter),
    asked: &Asked,
    moment: &str,
) -> Result<Read, ReadError> {
    let Selected { source, entry } = ready.selected;
    let timezone = entry.timezone.as_str();
    let bounding = kind(ready).zip(ready.mapped.watermark.as_ref());
    let translated = translated_filter(ready, filter);
    let question = bounding.map(|(kind, watermark)| WatermarkQuestion {
        column: &watermark.target,
        kind,
        target_type: &watermark.target_type,
        ceiling: moment,
        timezone,
    });
    let rows =
        target::rows(client, &source.target_schema, &entry.target, translated.as_deref(), question).await?;
    let sharers = sharers(config, ready);
    let is_untranslated = filter.text.is_some() && translated.is_none();
    let own_rows = |strangers| own_rows(ready, translated, (&sharers, strangers), asked.full);
    let Some((kind, watermark)) = bounding.filter(|_| filter.volatile.is_empty()) else {
        let (reading, own_rows) = (unbounded(ready, asked)?, own_rows(false));
        return Ok(Read { rows, reading, own_rows, unfilled: Vec::new() });
    };
    let entries: Vec<String> = std::iter::once(&ready.selected)
        .chain(&sharers)
        .map(|selected| entry_id(config, *selected))
        .collect();
    let mut history = history(client, &entries, ready, (watermark, kind)).await?;
    let own_rows = own_rows(history.strangers_loaded);
    // What others left counts also where only the old script has loaded it so far.
    history.others_loaded |= !sharers.is_empty() && matches!(own_rows, OwnRows::Unknown(_));
    let is_shared = !sharers.is_empty() || history.others_loaded;
    let target = match greatest(&rows, kind, is_shared && is_untranslated) {
        TargetGreatest::Value(_)
            if ready.mapped.keys.is_empty() && history.tables.is_empty() && is_finer(watermark) =>
        {
            TargetGreatest::Rounded
        }
        target => target,
    };
    let reading = watermark::bound::decide(Evidence {
        target: &target,
        history: &history,
        lookback: Step::of(kind, entry.watermark_lookback, !ready.mapped.keys.is_empty()),
        target_type: &watermark.target_type,
        asked: &asked.of_table(Some(kind))?,
    });
    let unfilled = if reading.low.is_some() { unfilled(client, &entries, ready).await? } else { Vec::new() };
    Ok(Read { rows, reading, own_rows, unfilled })
}

async fn unfilled(
    client: &Client,
    entries: &[String],
    ready: &Ready<'_>,
) -> Result<Vec<PgIdent>, StoreError> {
    let Some(entry) = entries.first() else { return Ok(Vec::new()) };
    let loaded = match thaw_status::loaded_columns(client, entry).await {
        Err(error) if error.is_schema_missing() => Vec::new(),
        loaded => loaded?,
    };
    let was_loaded = |column: &PlannedColumn| {
        loaded
            .iter()
            .any(|(source, target)| source == column.source.as_str() && target == column.target.as_str())
    };
    let new = ready.mapped.columns.iter().filter(|column| !loaded.is_empty() && !was_loaded(column));
    Ok(new.map(|column| column.target.clone()).collect())
}

/// Rows of a run that did not complete, and the run, where the entry only ever appends: nothing would tell them from those
/// that load again. What a person has removed since is not known.
///
/// # Errors
/// What the target database says.
pub async fn rows_left(
    client: &Client,
    config: &Config,
    ready: &Ready<'_>,
) -> Result<Option<(RunId, i64)>, StoreError> {
    let only_appends = ready.mapped.keys.is_empty()
        && !ready.selected.entry.truncate_onstart
        && kind(ready).is_none()
        && target::primary_key(&ready.target).is_none();
    if !only_appends {
        return Ok(None);
    }
    match thaw_status::rows_left(client, &entry_id(config, ready.selected)).await {
        Err(error) if error.is_schema_missing() => Ok(None),
        left => left,
    }
}

/// How the table's watermark compares; `None`: it has none, or none that can be a bound.
#[must_use]
pub fn kind(ready: &Ready<'_>) -> Option<Kind> {
    let watermark = ready.mapped.watermark.as_ref()?;
    Kind::of(watermark, &ready.selected.entry.timezone, !ready.mapped.keys.is_empty())
}

/// A table without a watermark that could be a bound.
fn unbounded(ready: &Ready<'_>, asked: &Asked) -> Result<Reading, AskedError> {
    asked.of_table(kind(ready))?;
    Ok(Reading::everything(if ready.selected.entry.truncate_onstart {
        "truncate_onstart is set"
    } else if kind(ready).is_some() {
        "source_filter selects other rows each time, so none can be taken for read"
    } else if ready.mapped.watermark.is_some() {
        "the watermark's type cannot be a bound"
    } else {
        "no watermark is named"
    }))
}

const UNTRANSLATED: &str = "source_filter cannot be translated";

/// The entry's filter in PostgreSQL's SQL; `None`: it has none, or it cannot be translated.
fn translated_filter(ready: &Ready<'_>, filter: &SentFilter) -> Option<String> {
    let translated = filter::translate(filter.text.as_deref()?, ready.selected.entry, &ready.mapped);
    translated.ok().map(|filter| filter.to_string())
}

/// The other enabled entries that load the same target.
fn sharers<'a>(config: &'a Config, ready: &Ready<'_>) -> Vec<Selected<'a>> {
    let enabled = config.sources.iter().filter(|source| source.enabled);
    let entries = enabled.flat_map(|source| {
        let entries = source.tables.iter().filter(|entry| entry.enabled);
        entries.map(move |entry| Selected { source, entry })
    });
    entries
        .filter(|other| {
            ready.selected.shares_target_with(other) && other.entry.path != ready.selected.entry.path
        })
        .collect()
}

/// Which rows of the target may be deleted as the entry's own. Rows that another entry may have loaded are nobody's to
/// delete: they would not come back. Alone in the configuration and reloaded whole, what is there is the entry's.
fn own_rows(
    ready: &Ready<'_>,
    translated: Option<String>,
    (sharers, strangers): (&[Selected<'_>], bool),
    full: bool,
) -> OwnRows {
    let filter = ready.selected.entry.source_filter.as_deref();
    let is_whole = full && sharers.is_empty();
    if sharers.iter().any(|other| may_overlap(ready, filter, *other)) {
        return OwnRows::Unknown("another entry that may select the same rows loads the same target");
    }
    if strangers && !is_whole {
        return OwnRows::Unknown("an entry that is not in the configuration has loaded the same target");
    }
    match translated {
        Some(translated) => OwnRows::Under(translated),
        None if filter.is_some() && !is_whole => OwnRows::Unknown(UNTRANSLATED),
        None => OwnRows::All,
    }
}

/// Whether a row of the target may be the other entry's as well as this one's.
fn may_overlap(ready: &Ready<'_>, filter: Option<&str>, other: Selected<'_>) -> bool {
    let Some((own, others)) = filter.zip(other.entry.source_filter.as_deref()) else { return true };
    let entry = ready.selected.entry;
    let is_same_text_at_both = |name: &SfIdent| {
        entry.mapped(name) == other.entry.mapped(name)
            && ready.mapped.columns.iter().any(|column| {
                column.source == *name
                    && matches!(column.source_type, SourceType::Text { .. })
                    && !ready.mapped.loosely_equal.contains(&column.target)
            })
    };
    !filter::are_disjoint(own, others, is_same_text_at_both)
}

/// The source keeps more digits of a second than the target.
fn is_finer(watermark: &Watermark) -> bool {
    let (SourceType::TimestampNtz { scale }
    | SourceType::TimestampLtz { scale }
    | SourceType::TimestampTz { scale }) = watermark.source_type
    else {
        return false;
    };
    match watermark.target_type {
        TargetType::Timestamp { precision } | TargetType::Timestamptz { precision } => scale > precision,
        _ => false,
    }
}

fn greatest(rows: &TargetRows, kind: Kind, untranslated: bool) -> TargetGreatest {
    if rows.is_empty || !rows.has_own {
        TargetGreatest::Empty
    } else if untranslated {
        TargetGreatest::Untranslated
    } else {
        let value = rows.greatest.as_deref().and_then(|text| WatermarkValue::from_wire(kind, text));
        value.map_or(TargetGreatest::Missing, TargetGreatest::Value)
    }
}

/// `entries`: this one, then those of the configuration that share the target.
/// Status tables that do not exist yet (a dry run makes none) know of nothing.
async fn history(
    client: &Client,
    entries: &[String],
    ready: &Ready<'_>,
    bounding: (&Watermark, Kind),
) -> Result<History, StoreError> {
    let (schema, table) = (&ready.selected.source.target_schema, &ready.selected.entry.target);
    let Some(entry) = entries.first() else { return Ok(History::default()) };
    let read = async {
        let past = thaw_status::started_tables(client, entry).await?;
        let others = thaw_status::other_tables(client, schema, table, (entry, entries)).await?;
        let legacy = thaw_status::legacy_unfinished(client, schema, table, entry).await?;
        Ok(watermark::history::read(&past, others, legacy, bounding))
    };
    match read.await {
        Err(StoreError::Postgres(error)) if error.sqlstate() == Some("42P01") => Ok(History::default()),
        read => read,
    }
}
