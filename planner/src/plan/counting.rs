//! Which count a table gets: one statement, with the distribution of the chunking column where chunks are cut by it.

use thaw_model::plan::ChunkingColumn;
use thaw_model::{SfIdent, TablePlan};
use thaw_snowflake::chunk_query;

use super::assemble::Facts;
use super::{PlanError, SourceSide};
use crate::aggregate::sql::{self, Question};
use crate::aggregate::{self, TableCounts, ValueKind};
use crate::columns::Watermark;
use crate::introspect::source;
use crate::snapshot;
use crate::strategy::choose::{Choice, Method};
use crate::watermark::{Kind, ceiling};

/// Counts the rows of the plan in its snapshot, under its filter and bound.
///
/// # Errors
/// The source's refusal.
pub(super) async fn count(
    side: SourceSide<'_>,
    facts: Facts<'_>,
    plan: &TablePlan,
    choice: &Choice,
    limit: u64,
) -> Result<TableCounts, PlanError> {
    let source_clause = chunk_query::source_clause(&plan.source)?;
    let key_columns: Vec<SfIdent> = facts.mapped.keys.iter().map(|(source, _)| source.clone()).collect();
    let ceiling = ceiling_of(side, facts)?;
    let question = Question {
        source_clause: &source_clause,
        key_columns: &key_columns,
        watermark: facts
            .mapped
            .watermark
            .as_ref()
            .map(|watermark| (&watermark.source, watermark.source_type)),
        ceiling: ceiling.as_deref(),
    };
    let statement = |sql| source::statement(side.config, facts.source, facts.entry, sql);
    Ok(match along(choice) {
        None => aggregate::totals(side.client, &statement(sql::totals(question))).await?,
        Some((value, kind, column)) => {
            let along = sql::Along { value: &value, column: &column.name, limit };
            aggregate::distribution(side.client, &statement(sql::distribution(question, along)), kind).await?
        }
    })
}

/// The expression to count along, and what its values are; `None` where totals are enough.
#[must_use]
pub fn along(choice: &Choice) -> Option<(String, ValueKind, &ChunkingColumn)> {
    let column = choice.column()?;
    match choice.method {
        Method::DateRange { .. } => Some((chunk_query::day_of(column)?, ValueKind::Day, column)),
        _ => Some((chunk_query::compared(column), ValueKind::AsItIs, column)),
    }
}

/// The snapshot's moment in the type of a watermark that can be a bound, also where there is no snapshot.
fn ceiling_of(side: SourceSide<'_>, facts: Facts<'_>) -> Result<Option<String>, PlanError> {
    let has_keys = !facts.mapped.keys.is_empty();
    let bounding = |watermark: &&Watermark| Kind::of(watermark, &facts.entry.timezone, has_keys).is_some();
    let Some(watermark) = facts.mapped.watermark.as_ref().filter(bounding) else { return Ok(None) };
    let moment = snapshot::before(side.server_time).ok_or(PlanError::Clock)?;
    Ok(ceiling::at_source(watermark.source_type, &moment))
}
