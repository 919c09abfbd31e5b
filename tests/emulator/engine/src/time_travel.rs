//! The virtual clock against a table's history: which commits a read sees, and when it may not look back.

use std::ops::ControlFlow;

use sqlparser::ast::{Query, Statement, TableFactor, TableVersion, Visit, VisitMut, Visitor, VisitorMut};

use crate::bind::{At, read_at};
use crate::catalog::TableEntry;
use crate::error::SqlError;

const NANOS_A_DAY: i64 = 86_400_000_000_000;

/// Nanoseconds of the virtual clock as the history columns hold them.
pub(crate) fn clock(nanoseconds: i128) -> i64 {
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX - 1 })
}

/// Refuses a moment before the table was created, outside its retention, or in the future.
pub(crate) fn check(table: &TableEntry, moment: i64, now: i64) -> Result<(), SqlError> {
    let reach = now.saturating_sub(i64::from(table.retention_days).saturating_mul(NANOS_A_DAY));
    if table.retention_days == 0 || moment < reach || moment < table.created_at || moment > now {
        return Err(SqlError::no_time_travel(&table.name.name));
    }
    Ok(())
}

/// The condition a version of a row meets if it was there at `moment`.
pub(crate) fn visible(alias: &str, moment: i64) -> String {
    format!("{alias}.valid_from <= {moment} and {alias}.valid_to > {moment}")
}

/// Collects the AT clauses of a statement, so that their constants can be computed before it is bound.
pub(crate) fn find_moments(statement: &Statement) -> Result<Vec<At>, SqlError> {
    let mut found = Vec::new();
    let walked = visit_table_factors(statement, |factor| {
        if let TableFactor::Table { version: Some(version), .. } = factor {
            match read_at(version) {
                Ok(at) => found.push(at),
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    });
    match walked {
        ControlFlow::Continue(()) => Ok(found),
        ControlFlow::Break(error) => Err(error),
    }
}

/// AT on a view goes to every table below it that has none of its own.
pub(crate) fn push_down(query: &mut Query, version: &TableVersion) {
    struct Push<'v>(&'v TableVersion);
    impl VisitorMut for Push<'_> {
        type Break = ();
        fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { version, .. } = factor
                && version.is_none()
            {
                *version = Some(self.0.clone());
            }
            ControlFlow::Continue(())
        }
    }
    // The visitor never breaks.
    let ControlFlow::Continue(()) = query.visit(&mut Push(version)) else { return };
}

fn visit_table_factors<E>(
    statement: &Statement,
    visit: impl FnMut(&TableFactor) -> ControlFlow<E>,
) -> ControlFlow<E> {
    struct Walk<F, E>(F, std::marker::PhantomData<E>);
    impl<F: FnMut(&TableFactor) -> ControlFlow<E>, E> Visitor for Walk<F, E> {
        type Break = E;
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<E> {
            (self.0)(factor)
        }
    }
    statement.visit(&mut Walk(visit, std::marker::PhantomData))
}
