//! The last check: the rows of the plan against the rows of the chunks, and those against the target.

use thaw_model::plan::Decision;
use thaw_model::{ErrorReport, TablePlan};
use thaw_postgres::Client;
use thaw_status::finalize::Loaded;
use thaw_status::{FinalizeClaim, StoreError, finalize};

use super::target_rows;

/// Under a snapshot, or of a result, what the completed chunks fetched must be what the source had counted. Where chunks failed, the
/// table does not end `completed` anyway, and their rows are missing for a known reason.
///
/// The limit of bad rows is held by the chunks themselves; it is looked at once more, at no cost.
///
/// What was compared is added to `decisions`, and what was not, with the reason.
pub(super) async fn check(
    client: &mut Client,
    (claim, plan): (&FinalizeClaim, &TablePlan),
    decisions: &mut Vec<Decision>,
) -> Result<Option<ErrorReport>, StoreError> {
    let loaded = finalize::loaded_rows(client, claim.table).await?;
    let began_empty =
        loaded.execution == 1 && (loaded.was_truncated || loaded.was_empty) && !loaded.is_shared;
    if loaded.met > 0 && began_empty && plan.load.arbiter.is_some() {
        decisions.push(repeated_keys(loaded.met));
    }
    let limit = plan.bad_rows.max_bad_rows;
    if loaded.quarantined > i64::from(limit) {
        return Ok(Some(ErrorReport {
            class: "too_many_bad_rows".to_owned(),
            text: format!(
                "{} bad rows in the table, of which max_bad_rows allows {limit}",
                loaded.quarantined
            ),
        }));
    }
    let fetched = source_rows(claim, plan, &loaded, decisions);
    let there = target_rows::check(client, (claim, plan), &loaded, decisions).await?;
    Ok(fetched.or(there))
}

/// What an empty target had of a key before can only have come from another chunk.
fn repeated_keys(rows: i64) -> Decision {
    Decision {
        subject: "repeated keys".to_owned(),
        choice: "differ".to_owned(),
        reason: format!(
            "{rows} row(s) have the key of a row in another chunk: the keys are not unique at the source, and of the rows \
             of a key the target holds one"
        ),
    }
}

fn source_rows(
    claim: &FinalizeClaim,
    plan: &TablePlan,
    loaded: &Loaded,
    decisions: &mut Vec<Decision>,
) -> Option<ErrorReport> {
    let mut say = |choice: &str, reason: String| {
        decisions.push(Decision { subject: "source rows".to_owned(), choice: choice.to_owned(), reason });
    };
    let Some(expected) = claim.expected_rows else {
        say("not compared", "the source's rows were not counted".to_owned());
        return None;
    };
    // What one statement gives is one moment, and its rows were counted when it had ended.
    let counted = match (&plan.source.snapshot, &plan.one_scan) {
        (Some(_), _) => format!("the source has {expected} rows at the snapshot"),
        (None, Some(_)) => format!("the source's result has {expected} rows"),
        (None, None) => {
            say("not compared", "the source has no snapshot: its chunks show different moments".to_owned());
            return None;
        }
    };
    if loaded.not_completed_chunks > 0 {
        say("not compared", "chunks failed".to_owned());
        return None;
    }
    if loaded.fetched == expected {
        say("compared", format!("{counted}, as many as its chunks gave"));
        return None;
    }
    let text = format!("{counted}, its chunks gave {}", loaded.fetched);
    say("differ", text.clone());
    Some(ErrorReport { class: "row_count".to_owned(), text })
}
