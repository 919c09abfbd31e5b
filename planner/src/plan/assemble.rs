//! Puts a table's decisions together into its plan. Pure: every fact has been read.

use thaw_config::{Source, TableEntry};
use thaw_model::TablePlan;
use thaw_model::plan::{Decision, LoadMode, ReplaceTail, SourcePlan, StartPlan, TargetPlan, WatermarkBound};
use thaw_postgres::catalog::TargetTable;

use crate::check;
use crate::columns::{Mapped, Watermark};
use crate::filter::{self, SentFilter};
use crate::introspect::target::{self, TargetRows};
use crate::load_mode::{self, LoadDecision, LoadFacts, LoadRefusal};

/// Whether MAX(target) may be taken for a bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    Full,
    /// The reason why everything is read instead.
    None {
        reason: String,
    },
}

/// The facts of one table.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub source: &'a Source,
    pub entry: &'a TableEntry,
    pub mapped: &'a Mapped,
    pub target: &'a TargetTable,
    pub rows: &'a TargetRows,
    pub trust: &'a Trust,
    /// The entry's filter as it is sent.
    pub filter: &'a SentFilter,
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
        "a table without uniqueness_columns replaces its tail from the bound on, and under a source_filter that cannot \
         be translated nobody can say which of its rows are this entry's; name uniqueness_columns"
    )]
    TailUnderFilter,
    #[error(
        "a table without uniqueness_columns needs a bound to replace its tail, and there is none: {reason}; reload it \
         once with truncate_onstart, or name uniqueness_columns"
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
    let (bound, reason) = bound(facts);
    let replace_tail = replace_tail(facts, &decision, bound.as_deref(), &reason)?;
    let mut decisions = vec![decision.decision];
    decisions.push(Decision {
        subject: "bound".into(),
        choice: if bound.is_some() { "MAX(target) minus the lookback".into() } else { "none".into() },
        reason,
    });
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
        target_has_watermark: facts.rows.watermark.is_some(),
        watermark: facts.mapped.watermark.as_ref().map(|watermark| watermark.target.clone()),
        is_date_strategy: facts.is_date_strategy,
        append: facts.entry.append,
        overriding_system_value: facts.mapped.overriding_system_value,
    };
    let create_index = target::create_arbiter(&facts.source.target_schema, &facts.entry.target, &keys);
    load_mode::decide(&load_facts, &create_index)
}

/// The bound and why it is what it is.
fn bound(facts: Facts<'_>) -> (Option<String>, String) {
    let none = |reason: &str| (None, reason.to_owned());
    let Some(watermark) = &facts.mapped.watermark else {
        return none(if facts.entry.truncate_onstart {
            "truncate_onstart is set"
        } else {
            "no watermark is named"
        });
    };
    match (&facts.rows.watermark, facts.trust) {
        _ if facts.rows.is_empty => none("the target is empty"),
        _ if !check::bounds(watermark) => none("the watermark's type cannot be a bound"),
        (_, Trust::None { reason }) => none(reason),
        (None, Trust::Full) => none("the target has no watermark"),
        (Some(greatest), Trust::Full) => {
            let reason = format!(
                "the target holds rows; \"{}\" is read from its greatest value there, minus the lookback",
                watermark.source
            );
            (Some(greatest.clone()), reason)
        }
    }
}

fn replace_tail(
    facts: Facts<'_>,
    decision: &LoadDecision,
    bound: Option<&str>,
    reason: &str,
) -> Result<Option<ReplaceTail>, Refusal> {
    if !decision.replaces_tail {
        return Ok(None);
    }
    if facts.entry.source_filter.is_some() {
        return Err(Refusal::TailUnderFilter);
    }
    let Some((Watermark { target, target_type, .. }, bound)) = facts.mapped.watermark.as_ref().zip(bound)
    else {
        return Err(Refusal::TailWithoutBound { reason: reason.to_owned() });
    };
    Ok(Some(ReplaceTail {
        column: target.clone(),
        bound: bound.to_owned(),
        pg_type: target_type.to_string(),
    }))
}
