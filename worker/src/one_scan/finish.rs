//! From a finished statement to the table's chunks. Pure.

use thaw_model::plan::Decision;
use thaw_model::{ChunkRange, ErrorReport, TablePlan};
use thaw_snowflake::{KeptResult, MalformedResponse, SnowflakeError};
use thaw_status::NewChunk;
use thaw_status::execution::SNAPSHOT_GONE;
use thaw_status::one_scan::CutResult;

use super::Trouble;
use super::cut::cut;

/// What is decided here, so that an earlier execution's word does not stand beside it.
const DECIDED: [&str; 3] = ["result", "truncate", "tail"];

/// The chunks of a result, and the plan with what only the result could tell.
pub(super) fn cut_result(mut plan: TablePlan, result: &KeptResult) -> Result<CutResult, Trouble> {
    if result.columns.len() != plan.columns.len() {
        return Err(SnowflakeError::Malformed(MalformedResponse::CellCount).into());
    }
    let Some(scan) = plan.one_scan else {
        return Err(Trouble::Final(ErrorReport {
            class: "plan".to_owned(),
            text: "the plan does not say how the result is cut".to_owned(),
        }));
    };
    let rows = result.row_count;
    if let Some(counted) = scan.counted.filter(|counted| *counted != rows) {
        let text = format!("the result has {rows} rows, the count at the same snapshot found {counted}");
        return Err(Trouble::Lost(ErrorReport { class: "row_count".to_owned(), text }));
    }
    plan.decisions.retain(|decision| decision.subject != DECIDED[0]);
    if rows == 0 && !scan.allow_empty {
        keep_target(&mut plan, scan.is_over_rows)?;
    }
    let parts = cut(result.handle.as_str(), &result.partitions, scan.rows_per_chunk);
    let bytes = result.partitions.iter().fold(0_u64, |sum, info| sum.saturating_add(info.uncompressed_bytes));
    let (partitions, chunks) = (result.partitions.len(), parts.len());
    plan.decisions.push(Decision {
        subject: DECIDED[0].into(),
        choice: format!("{partitions} partitions in {chunks} chunks"),
        reason: format!("one statement gave {rows} rows, {} MB", bytes / 1_000_000),
    });
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Ok(CutResult {
        rows: signed(rows),
        partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
        bytes: signed(bytes),
        chunks: parts
            .into_iter()
            .map(|part| NewChunk {
                expected_rows: Some(signed(part.row_count())),
                range: ChunkRange::ResultPartitions { part },
            })
            .collect(),
        plan,
    })
}

/// A result without rows empties no target unasked.
fn keep_target(plan: &mut TablePlan, is_over_rows: bool) -> Result<(), Trouble> {
    let empties = plan.start.truncate || plan.start.replace_tail.is_some();
    if empties && is_over_rows {
        let text = "the result is lost in the middle of the load, and the source has no row any more; set \
                    allow_empty_source if the target is to be emptied, or load it again with `planner run --full`";
        return Err(Trouble::Final(ErrorReport { class: SNAPSHOT_GONE.to_owned(), text: text.to_owned() }));
    }
    for (subject, is_done, reason) in [
        (
            DECIDED[1],
            plan.start.truncate,
            "the source has no row; set allow_empty_source to empty the target",
        ),
        (
            DECIDED[2],
            plan.start.replace_tail.is_some(),
            "the source has no row there; set allow_empty_source to delete the target's",
        ),
    ] {
        if is_done {
            let (subject, choice, reason) = (subject.into(), "not done".into(), reason.into());
            plan.decisions.push(Decision { subject, choice, reason });
        }
    }
    plan.start.truncate = false;
    plan.start.replace_tail = None;
    Ok(())
}
