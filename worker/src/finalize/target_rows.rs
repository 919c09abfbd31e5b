//! A count of the target against the rows that the chunks have inserted.
//!
//! Only where the number is known and the count costs no more than the load did: a target that was truncated or empty
//! when the table was started, and a tail that was replaced. Elsewhere (an upsert into rows that were there) nobody can
//! say how many rows there must be; that is said, and `planner verify` compares the two sides.
//!
//! More rows than were inserted are somebody else's: nothing is lost. Fewer are an error only where nothing explains
//! them, for rows that the source has are missing then.

use std::time::Duration;

use thaw_model::plan::{Decision, StartPlan, TargetPlan};
use thaw_model::{ErrorReport, TablePlan};
use thaw_postgres::Client;
use thaw_status::finalize::Loaded;
use thaw_status::start::tail_condition;
use thaw_status::{FinalizeClaim, Step, StoreError, begin_step};

use super::sql;

/// PostgreSQL's statistics show a deletion some seconds late, ten of an idle session.
const STATISTICS_LAG: u8 = 12;
const SECOND: Duration = Duration::from_secs(1);

/// Which rows of the target are this table's, and how many they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    /// All of the target.
    All(i64),
    /// Those from the bound on.
    Tail { condition: Option<String>, rows: i64 },
    /// Nobody can say; why.
    Unknown(&'static str),
}

/// What may explain that rows are missing; `None`: nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Circumstances {
    may_read: bool,
    explanation: Option<&'static str>,
    deleted: i64,
}

/// Counts where that proves something. What was compared, or why nothing was, is added to `decisions`.
pub(super) async fn check(
    client: &mut Client,
    (claim, plan): (&FinalizeClaim, &TablePlan),
    loaded: &Loaded,
    decisions: &mut Vec<Decision>,
) -> Result<Option<ErrorReport>, StoreError> {
    let mut say = |choice: &str, reason: String| {
        decisions.push(Decision { subject: "target rows".to_owned(), choice: choice.to_owned(), reason });
    };
    let (condition, inserted) = match expected(&plan.start, loaded) {
        Expected::All(rows) => (None, rows),
        Expected::Tail { condition, rows } => (Some(condition), rows),
        Expected::Unknown(reason) => {
            say("not compared", reason.to_owned());
            return Ok(None);
        }
    };
    let is_tail = condition.is_some();
    let found = match circumstances(client, &plan.target).await? {
        Some(found) if found.may_read => found,
        _ => {
            say("not compared", "this role may not read all of the target".to_owned());
            return Ok(None);
        }
    };
    let statement = sql::count(&plan.target, condition.flatten().as_deref());
    let Some(there) = count(client, claim, &statement).await? else {
        say("not compared", "the count was cancelled, or took more than 10 minutes".to_owned());
        return Ok(None);
    };
    let which = if is_tail { "the replaced tail of the target" } else { "the target" };
    if there == inserted {
        say("compared", format!("{which} holds {there} rows, as many as the chunks have inserted"));
        return Ok(None);
    }
    let text = format!("{which} holds {there} rows, the chunks have inserted {inserted}");
    if there > inserted {
        say("differ", format!("{text}: somebody else has written {}", there - inserted));
        return Ok(None);
    }
    let explanation = match found.explanation {
        _ if is_tail => Some("somebody else has deleted rows, or changed their watermark"),
        Some(explanation) => Some(explanation),
        None => match deletions(client, &plan.target, loaded.deletes_before).await? {
            Some(explanation) => Some(explanation),
            None => unreported(client, claim).await?,
        },
    };
    if let Some(explanation) = explanation {
        say("differ", format!("{text}: {explanation}"));
        return Ok(None);
    }
    say("differ", text.clone());
    let text = format!("{text}, and nothing shows who has deleted the others");
    Ok(Some(ErrorReport { class: "target_rows".to_owned(), text }))
}

fn expected(start: &StartPlan, loaded: &Loaded) -> Expected {
    if loaded.not_completed_chunks > 0 {
        Expected::Unknown("chunks failed")
    } else if loaded.is_shared {
        Expected::Unknown("other entries load the same target")
    } else if start.truncate && loaded.was_truncated {
        Expected::All(loaded.inserted)
    } else if loaded.was_empty {
        // Where a tail was replaced, a fresh execution has deleted what the earlier one had inserted.
        let again = start.replace_tail.is_some();
        Expected::All(if again { loaded.inserted } else { loaded.inserted_ever })
    } else if let Some(tail) = &start.replace_tail {
        Expected::Tail { condition: tail_condition(tail), rows: loaded.inserted }
    } else {
        Expected::Unknown("the target held rows before; `planner verify` compares both sides")
    }
}

async fn circumstances(client: &Client, target: &TargetPlan) -> Result<Option<Circumstances>, StoreError> {
    let names = [target.schema.as_str(), target.table.as_str()];
    let Some(row) = client.query_opt(sql::CIRCUMSTANCES, &[&names[0], &names[1]]).await? else {
        return Ok(None);
    };
    let mut explanation = None;
    for (column, text) in [
        ("has_triggers", "its triggers may have moved them"),
        ("has_rules", "its rules may have moved them"),
        ("has_parts", "somebody else may have taken a partition away"),
        ("is_uncounted", "the server does not count deletions (track_counts is off)"),
        ("cascades", "rows that they refer to may have been deleted (ON DELETE CASCADE)"),
    ] {
        if explanation.is_none() && row.try_get::<_, bool>(column)? {
            explanation = Some(text);
        }
    }
    Ok(Some(Circumstances {
        may_read: row.try_get("may_read")?,
        explanation,
        deleted: row.try_get("deleted")?,
    }))
}

/// `None`: it took too long, or a person has ended it.
async fn count(
    client: &mut Client,
    claim: &FinalizeClaim,
    statement: &str,
) -> Result<Option<i64>, StoreError> {
    let transaction = begin_step(client, claim, Step::Count).await?;
    match transaction.query_one(statement, &[]).await {
        Ok(row) => {
            let rows = row.try_get("rows")?;
            transaction.commit().await?;
            Ok(Some(rows))
        }
        Err(error) => {
            let error = StoreError::from(error);
            if error.is_cancelled() { Ok(None) } else { Err(error) }
        }
    }
}

/// Whether anybody has deleted rows since the start; asked until the statistics must know.
async fn deletions(
    client: &Client,
    target: &TargetPlan,
    before: Option<i64>,
) -> Result<Option<&'static str>, StoreError> {
    for _ in 0..STATISTICS_LAG {
        let now = circumstances(client, target).await?.map(|found| found.deleted);
        if before.is_none() || now != before {
            return Ok(Some("somebody else has deleted rows"));
        }
        tokio::time::sleep(SECOND).await;
    }
    Ok(None)
}

/// Why deletions that nothing shows may have been made all the same.
async fn unreported(client: &Client, claim: &FinalizeClaim) -> Result<Option<&'static str>, StoreError> {
    let row = client.query_one(sql::UNREPORTED, &[&claim.table.0, &f64::from(STATISTICS_LAG)]).await?;
    Ok(if row.try_get("is_reset")? {
        Some("the server's statistics were reset since the start, which would show deletions")
    } else if row.try_get("is_late")? {
        Some("a session that is in a transaction may have deleted rows before, and not reported it yet")
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded() -> Loaded {
        Loaded {
            met: 0,
            execution: 1,
            fetched: 10,
            inserted: 8,
            inserted_ever: 9,
            was_truncated: false,
            was_empty: false,
            deletes_before: Some(0),
            is_shared: false,
            quarantined: 0,
            completed_chunks: 1,
            not_completed_chunks: 0,
        }
    }

    #[test]
    fn a_number_is_expected_only_where_all_rows_are_known() {
        let start = StartPlan::default();
        assert!(matches!(expected(&start, &loaded()), Expected::Unknown(_)), "rows were there");
        let was_empty = Loaded { was_empty: true, ..loaded() };
        assert_eq!(expected(&start, &was_empty), Expected::All(9), "of every execution");
        let failed = Loaded { not_completed_chunks: 1, ..was_empty };
        assert!(matches!(expected(&start, &failed), Expected::Unknown(_)));
        let shared = Loaded { is_shared: true, ..was_empty };
        assert!(matches!(expected(&start, &shared), Expected::Unknown(_)));
        let start = StartPlan { truncate: true, ..start };
        assert!(matches!(expected(&start, &loaded()), Expected::Unknown(_)), "not truncated yet");
        let truncated = Loaded { was_truncated: true, ..was_empty };
        assert_eq!(expected(&start, &truncated), Expected::All(8), "of this execution");
    }
}
