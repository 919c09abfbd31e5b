//! The plan of a fresh execution: what its predecessor decided, over the rows that are there by now. Pure.
//!
//! The bound is the predecessor's: a greatest watermark read now would lie above rows that it has never loaded.

use std::mem::discriminant;

use thaw_model::plan::{Decision, StartPlan};
use thaw_model::{SfIdent, TablePlan};

use crate::columns::Mapped;
use crate::load_mode;
use crate::strategy::cut;

/// Decided again for each execution, so that the predecessor's word does not stand beside it.
const DECIDED_AGAIN: &[&str] = &["snapshot", "execution", super::LOST_RESULT];

/// Why there is no fresh execution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCombinable {
    #[error(
        "the snapshot is gone in the middle of the load; {rows_there} rows of this run are in the target, and without \
         uniqueness_columns, a bound or truncate_onstart nothing tells them from the rows that would load again: empty the \
         table (or delete what this run has added) and load it with `planner run --full`, or set truncate_onstart"
    )]
    RowsThere { rows_there: i64 },
    #[error(
        "the snapshot is gone in the middle of the load, and the source has no row any more; set allow_empty_source if the \
         target is to be emptied, or load it again with `planner run --full`"
    )]
    SourceEmptied,
    #[error(
        "the snapshot is gone in the middle of the load, and the table that took its place has a watermark \"{column}\" of \
         another type, in which the bound says nothing: load it with `planner run --full`"
    )]
    Watermark { column: SfIdent },
}

/// The plan up to its strategy, snapshot and chunks. The columns are those of now: a replaced table may have others.
pub(super) fn plan(
    earlier: &TablePlan,
    mapped: &Mapped,
    rows_there: i64,
) -> Result<TablePlan, NotCombinable> {
    check_bound(earlier, mapped)?;
    let load =
        earlier.load.over_rows(&earlier.start, rows_there).ok_or(NotCombinable::RowsThere { rows_there })?;
    let mut decisions = earlier.decisions.clone();
    decisions.retain(|decision| {
        let subject = decision.subject.as_str();
        !DECIDED_AGAIN.contains(&subject) && !cut::SUBJECTS.contains(&subject)
    });
    let is_removed = earlier.start.truncate || earlier.start.replace_tail.is_some();
    let reason = match rows_there {
        0 => "the snapshot of the one before is gone; it had loaded no row".to_owned(),
        rows if is_removed => {
            format!("the snapshot of the one before is gone; the {rows} rows it had loaded are removed")
        }
        rows => format!(
            "the snapshot of the one before is gone; the {rows} rows it had loaded are matched by their keys, those \
             that the source has deleted since stay"
        ),
    };
    if load.mode != earlier.load.mode {
        decisions.retain(|decision| decision.subject != "load mode");
        decisions.push(Decision {
            subject: "load mode".into(),
            choice: load_mode::mode_name(load.mode).into(),
            reason: "a fresh execution over rows that are there already".into(),
        });
    }
    decisions.push(Decision {
        subject: "execution".into(),
        choice: "a fresh one, every chunk loads again".into(),
        reason,
    });
    let mut source = earlier.source.clone();
    source.snapshot = None;
    Ok(TablePlan {
        source,
        columns: mapped.columns.clone(),
        left_out: mapped.left_out.clone(),
        load,
        decisions,
        ..earlier.clone()
    })
}

/// What an earlier execution has emptied, or would be emptied now, is not left empty for want of rows unasked.
pub(super) fn check_rows(start: &StartPlan, rows: u64, allow_empty: bool) -> Result<(), NotCombinable> {
    let empties = start.truncate || start.replace_tail.is_some();
    if empties && rows == 0 && !allow_empty { Err(NotCombinable::SourceEmptied) } else { Ok(()) }
}

/// A bound is text of its column's type: in another type it may select other rows.
fn check_bound(earlier: &TablePlan, mapped: &Mapped) -> Result<(), NotCombinable> {
    let Some(bound) = &earlier.source.watermark else { return Ok(()) };
    let is_same = mapped.watermark.as_ref().is_some_and(|now| {
        now.source == bound.column && discriminant(&now.source_type) == discriminant(&bound.source_type)
    });
    if is_same { Ok(()) } else { Err(NotCombinable::Watermark { column: bound.column.clone() }) }
}

#[cfg(test)]
mod tests {
    use thaw_model::PgIdent;
    use thaw_model::plan::{Arbiter, LoadMode, LoadPlan, OnDuplicate, ReplaceTail};

    use super::*;

    fn earlier(mode: LoadMode, on_duplicate: OnDuplicate) -> LoadPlan {
        LoadPlan {
            mode,
            copy_first: true,
            on_duplicate,
            arbiter: Some(Arbiter {
                index: PgIdent::exact("t_pkey"),
                columns: vec![PgIdent::exact("id")],
                nulls_not_distinct: false,
            }),
            watermark: None,
            overriding_system_value: false,
        }
    }

    fn mode(load_plan: &LoadPlan, start: &StartPlan, rows_there: i64) -> Option<(LoadMode, bool)> {
        load_plan.over_rows(start, rows_there).map(|load| (load.mode, load.copy_first))
    }

    #[test]
    fn rows_that_are_there_are_matched_by_their_keys() {
        let start = StartPlan::default();
        for (first, on_duplicate, then) in [
            (LoadMode::Copy, OnDuplicate::Upsert, Some((LoadMode::Upsert, false))),
            (LoadMode::Copy, OnDuplicate::DoNothing, Some((LoadMode::InsertOnly, false))),
            (LoadMode::Copy, OnDuplicate::Fatal, None),
            (LoadMode::Upsert, OnDuplicate::Upsert, Some((LoadMode::Upsert, false))),
            (LoadMode::InsertOnly, OnDuplicate::DoNothing, Some((LoadMode::InsertOnly, false))),
        ] {
            assert_eq!(mode(&earlier(first, on_duplicate), &start, 7), then, "{first:?} {on_duplicate:?}");
        }
    }

    #[test]
    fn what_is_removed_first_or_never_came_loads_as_before() {
        let append = earlier(LoadMode::Copy, OnDuplicate::Fatal);
        let tail = ReplaceTail {
            column: PgIdent::exact("wm"),
            bound: Some("1".into()),
            pg_type: "bigint".into(),
            by_bytes: false,
            filter: None,
        };
        let truncate = StartPlan { truncate: true, ..StartPlan::default() };
        let replace = StartPlan { replace_tail: Some(tail), ..StartPlan::default() };
        assert_eq!(mode(&append, &truncate, 7), Some((LoadMode::Copy, true)));
        assert_eq!(mode(&append, &replace, 7), Some((LoadMode::Copy, true)));
        assert_eq!(mode(&append, &StartPlan::default(), 0), Some((LoadMode::Copy, true)));
    }

    #[test]
    fn a_source_that_became_empty_empties_no_target_unasked() {
        let truncate = StartPlan { truncate: true, ..StartPlan::default() };
        assert_eq!(check_rows(&truncate, 0, false), Err(NotCombinable::SourceEmptied));
        assert_eq!(check_rows(&truncate, 0, true), Ok(()));
        assert_eq!(check_rows(&truncate, 1, false), Ok(()));
        assert_eq!(check_rows(&StartPlan::default(), 0, false), Ok(()));
    }

    #[test]
    fn without_an_index_rows_that_are_there_would_be_doubled() {
        let keyless = LoadPlan { arbiter: None, ..earlier(LoadMode::Copy, OnDuplicate::Upsert) };
        assert_eq!(keyless.over_rows(&StartPlan::default(), 1), None);
    }
}
