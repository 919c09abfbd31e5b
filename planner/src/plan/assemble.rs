//! Puts a table's decisions together into its plan. Pure: every fact has been read.

use thaw_config::{Source, TableEntry};
use thaw_model::plan::{Decision, LoadMode, ReplaceTail, SourcePlan, StartPlan, TargetPlan, WatermarkBound};
use thaw_model::{PgIdent, TablePlan, TargetType};
use thaw_postgres::catalog::TargetTable;

use crate::columns::Mapped;
use crate::filter::{self, SentFilter};
use crate::introspect::target::{self, TargetRows};
use crate::load_mode::{self, LoadDecision, LoadFacts, LoadRefusal};
use crate::watermark::{Reading, WatermarkValue};

/// Which rows of the target are the entry's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnRows {
    All,
    /// Those of this condition in PostgreSQL's SQL.
    Under(String),
    /// Nobody can tell; the reason.
    Unknown(&'static str),
}

/// The facts of one table.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub source: &'a Source,
    pub entry: &'a TableEntry,
    pub mapped: &'a Mapped,
    pub target: &'a TargetTable,
    pub rows: &'a TargetRows,
    /// The entry's filter as it is sent.
    pub filter: &'a SentFilter,
    pub reading: &'a Reading,
    /// `--full` was given.
    pub full: bool,
    pub own_rows: &'a OwnRows,
    /// Target columns that rows below the bound have not been given.
    pub unfilled: &'a [PgIdent],
    pub is_date_strategy: bool,
}

/// A plan without snapshot and chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    pub plan: TablePlan,
    /// The target is empty and everything goes there by COPY.
    pub is_initial_full_load: bool,
}

/// Why a table cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Load(#[from] LoadRefusal),
    #[error(
        "a table without uniqueness_columns replaces its tail from the bound on, and nobody can say which rows of the \
         target are this entry's: {reason}; name uniqueness_columns, or give the entry a target of its own and reload it \
         with --full"
    )]
    TailOfOthers { reason: &'static str },
    #[error(
        "a table without uniqueness_columns needs a bound to replace its tail, and there is none: {reason}; reload it \
         once with --full, or name uniqueness_columns"
    )]
    TailWithoutBound { reason: String },
}

/// Decides mode, bound and start; the snapshot and the chunks come later.
///
/// # Errors
/// Where no mode is safe.
pub fn assemble(facts: Facts<'_>) -> Result<Assembled, Refusal> {
    let entry = facts.entry;
    let decision = load_decision(facts)?;
    let is_initial_full_load = decision.is_initial_full_load && decision.load.mode == LoadMode::Copy;
    let bound = facts.reading.low.as_ref().and_then(WatermarkValue::to_text);
    let replace_tail = replace_tail(facts, &decision)?;
    let mut decisions = vec![decision.decision];
    decisions.push(Decision {
        subject: "bound".into(),
        choice: facts.reading.choice.into(),
        reason: facts.reading.reason.clone(),
    });
    if !facts.unfilled.is_empty() {
        let names: Vec<String> = facts.unfilled.iter().map(PgIdent::quoted).collect();
        decisions.push(Decision {
            subject: "older rows".into(),
            choice: "not done".into(),
            reason: format!(
                "{} came after the last completed run and are filled in rows from the bound on; --full fills all",
                names.join(", ")
            ),
        });
    }
    if entry.truncate_onstart {
        decisions.push(Decision {
            subject: "smart configuration".into(),
            choice: "uniqueness_columns, sort_columns and watermarks are ignored".into(),
            reason: "truncate_onstart is set".into(),
        });
    }
    decisions.extend(filter_decisions(facts));
    let watermark = facts.mapped.watermark.as_ref();
    let plan = TablePlan {
        source: SourcePlan {
            database: facts.source.source_database.clone(),
            schema: facts.source.source_schema.clone(),
            table: entry.source.clone(),
            timezone: entry.timezone.clone(),
            snapshot: None,
            filter: facts.filter.text.clone(),
            watermark: bound.zip(watermark).map(|(bound, watermark)| WatermarkBound {
                column: watermark.source.clone(),
                source_type: watermark.source_type,
                bound,
            }),
        },
        target: TargetPlan {
            database: facts.source.target_database.clone(),
            schema: facts.source.target_schema.clone(),
            table: entry.target.clone(),
        },
        columns: facts.mapped.columns.clone(),
        chunking: None,
        one_scan: None,
        load: decision.load,
        start: StartPlan { truncate: entry.truncate_onstart, replace_tail, drop_indexes: false },
        bad_rows: entry.bad_rows,
        decisions,
        left_out: facts.mapped.left_out.clone(),
    };
    Ok(Assembled { plan, is_initial_full_load })
}

/// What became of the filter, and whether the target's rows can be told by it.
fn filter_decisions(facts: Facts<'_>) -> Vec<Decision> {
    let Some(text) = &facts.filter.text else { return Vec::new() };
    let (choice, reason) = match filter::translate(text, facts.entry, facts.mapped) {
        Ok(_) => ("translated", "every form of it means the same on the target".to_owned()),
        Err(not_translated) => ("not translated", not_translated.what),
    };
    let mut decisions = facts.filter.decisions();
    let subject = "source_filter on the target".into();
    decisions.push(Decision { subject, choice: choice.into(), reason });
    let moves = !facts.filter.frozen.is_empty() || facts.filter.has_subquery;
    if moves && facts.reading.low.is_some() {
        decisions.push(Decision {
            subject: "source_filter and the bound".into(),
            choice: "the bound is kept".into(),
            reason: "rows that the filter selects only later, by the clock or by another table, are not read when their \
                     watermark is older than the bound; --full reads them"
                .into(),
        });
    }
    decisions
}

/// Whether indexes are dropped for the load: only where rebuilding them costs less than keeping them (field note 27).
/// A table that was never analysed may be of any size, so its indexes are kept unless it is empty.
#[must_use]
pub fn drops_indexes(facts: Facts<'_>, mode: LoadMode, rows: u64) -> bool {
    let present = match facts.target.estimated_rows.map(u64::try_from) {
        _ if facts.rows.is_empty => 0,
        Some(Ok(rows)) => rows,
        Some(Err(_)) | None => u64::MAX,
    };
    facts.entry.disable_index && rows > 0 && (mode == LoadMode::Copy || rows.saturating_mul(5) > present)
}

fn load_decision(facts: Facts<'_>) -> Result<LoadDecision, LoadRefusal> {
    let keys: Vec<_> = facts.mapped.keys.iter().map(|(_, target)| target.clone()).collect();
    let load_facts = LoadFacts {
        truncate: facts.entry.truncate_onstart,
        insert_only: facts.entry.insert_only,
        has_keys: !keys.is_empty(),
        arbiter: target::arbiter(facts.target, &keys),
        primary_key: target::primary_key(facts.target),
        target_is_empty: facts.rows.is_empty,
        target_has_watermark: facts.rows.greatest.is_some(),
        watermark: facts.mapped.watermark.as_ref().map(|watermark| watermark.target.clone()),
        is_date_strategy: facts.is_date_strategy,
        append: facts.entry.append,
        overriding_system_value: facts.mapped.overriding_system_value,
    };
    let create_index = target::create_arbiter(&facts.source.target_schema, &facts.entry.target, &keys);
    load_mode::decide(&load_facts, &create_index)
}

fn replace_tail(facts: Facts<'_>, decision: &LoadDecision) -> Result<Option<ReplaceTail>, Refusal> {
    let reading = facts.reading;
    let watermark = match &facts.mapped.watermark {
        Some(watermark) if decision.replaces_tail && facts.rows.has_own => watermark,
        _ => return Ok(None),
    };
    if reading.low.is_none() && !facts.full {
        return Err(Refusal::TailWithoutBound { reason: reading.reason.clone() });
    }
    let filter = match facts.own_rows {
        OwnRows::All => None,
        OwnRows::Under(filter) => Some(filter.clone()),
        OwnRows::Unknown(reason) => return Err(Refusal::TailOfOthers { reason }),
    };
    Ok(Some(ReplaceTail {
        column: watermark.target.clone(),
        bound: reading.low.as_ref().and_then(WatermarkValue::to_text),
        pg_type: watermark.target_type.to_string(),
        by_bytes: matches!(watermark.target_type, TargetType::Text { .. }),
        filter,
    }))
}
