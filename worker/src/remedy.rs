//! What a person can do about an error, in half a sentence that is stored behind it. By class and code, never by text.

use thaw_model::Classify as _;

use crate::chunk_error::ChunkError;
use crate::encode::EncodeError;
use crate::load::LoadError;

/// The remedy, where there is one that the error does not name itself. `None`: what passes by itself, and what only
/// the error's own words can help with.
pub(crate) fn remedy(error: &ChunkError) -> Option<&'static str> {
    let ChunkError::Load(load) = error else { return None };
    match load {
        LoadError::Encode(EncodeError::BadRow { .. } | EncodeError::CannotBeNull { .. }) => {
            Some("mend the value at the source, or set on_bad_row to quarantine, which keeps such rows aside")
        }
        LoadError::TooManyBadRows { .. } | LoadError::Encode(EncodeError::TooManyBadRows { .. }) => {
            Some("`planner quarantine list` says which rows; mend them at the source, or raise max_bad_rows")
        }
        LoadError::TargetChanged { cause: None, .. } => Some(PLAN_ANEW),
        LoadError::DuplicateKey { .. } => Some(DUPLICATE),
        LoadError::Encode(_)
        | LoadError::Postgres(_)
        | LoadError::TargetChanged { .. }
        | LoadError::Store(_)
        | LoadError::Commit(_)
        | LoadError::WrongRowCount { .. }
        | LoadError::WrongStagedCount { .. }
        | LoadError::SourceStalled { .. }
        | LoadError::BadRowsBusy
        | LoadError::NoArbiter => of_sqlstate(load.class().strip_prefix("sqlstate_")?),
    }
}

const PLAN_ANEW: &str = "give the target back what it had, or plan it anew with `planner run --no-resume`";
const DUPLICATE: &str = "rows of the source, or of the source and the target, share what this index holds unique: mend \
     them, or name its columns as uniqueness_columns";

/// Classes of appendix A of PostgreSQL's manual, and the codes that a load meets most.
fn of_sqlstate(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "23502" => {
            "the target asks for a value that the source has not: give the column a default, or mend the row"
        }
        "23503" => "load the table that it refers to first, or mend the row",
        "23505" => DUPLICATE,
        "23514" | "44000" => {
            "mend the row at the source or the constraint, or leave such rows out by source_filter"
        }
        "42501" => "grant the role what is missing; `planner check` names every right it needs",
        "53100" => "make room on the database server; the worker looks again by itself, and goes on",
        "53200" => "lower work_mem or the number of slots",
        "54000" => "the row is larger than the server can hold: leave the column out",
        "40P01" => "it is tried again by itself; load while nobody else writes the table, if it comes often",
        // An exception of a trigger or a function of the target, whose text may hold values and is not repeated.
        code if code.starts_with("P0") => {
            "a trigger of the target has refused the row; the server's log has its message"
        }
        code if code.starts_with("42") || code.starts_with("3F") => PLAN_ANEW,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use thaw_model::{Disposition, PgIdent};

    use super::*;
    use crate::encode::BadValue;

    #[test]
    fn whatever_needs_a_person_says_what_to_do() {
        for sqlstate in
            ["23502", "23503", "23505", "23514", "42501", "42703", "42P01", "3F000", "53100", "P0001"]
        {
            assert!(of_sqlstate(sqlstate).is_some(), "{sqlstate}");
        }
        // Passing trouble asks nothing of anybody.
        for sqlstate in ["08006", "40001", "57P01", "53300"] {
            assert_eq!(of_sqlstate(sqlstate), None, "{sqlstate}");
        }
    }

    #[test]
    fn a_bad_row_is_told_of_the_policies() {
        let error =
            EncodeError::BadRow { column: PgIdent::exact("v"), ordinal: 2, reason: BadValue::TextTooLong };
        let error = ChunkError::from(error);
        assert_eq!(error.disposition(), Disposition::Fatal);
        assert!(remedy(&error).is_some_and(|text| text.contains("on_bad_row")));
        assert_eq!(remedy(&ChunkError::LeaseLost), None);
    }
}
