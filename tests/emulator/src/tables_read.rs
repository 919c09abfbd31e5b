//! Which tables a statement reads, for the log: tests count what a client makes the account scan.
//!
//! Only the text is looked at: a view counts as one table, INFORMATION_SCHEMA and SHOW as none.

use std::ops::ControlFlow;

use sqlparser::ast::{Query, Statement, Visit, Visitor};
use sqlparser::dialect::SnowflakeDialect;
use sqlparser::parser::Parser;

/// The tables named where rows are read from, as written, each once; `None` for what is not understood.
pub(crate) fn tables_read(sql: &str) -> Option<Vec<String>> {
    let statements = Parser::parse_sql(&SnowflakeDialect {}, sql).ok()?;
    let mut found = Relations::default();
    for statement in &statements {
        if let Statement::Query(_) | Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) =
            statement
        {
            // The visitor never breaks.
            if statement.visit(&mut found).is_break() {
                return None;
            }
        }
    }
    let Relations { mut names, common } = found;
    names.retain(|name| !common.contains(name) && !name.to_uppercase().contains("INFORMATION_SCHEMA"));
    names.sort();
    names.dedup();
    Some(names)
}

#[derive(Default)]
struct Relations {
    names: Vec<String>,
    /// Names of common table expressions.
    common: Vec<String>,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let expressions = query.with.iter().flat_map(|with| &with.cte_tables);
        self.common.extend(expressions.map(|expression| expression.alias.name.to_string()));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &sqlparser::ast::ObjectName) -> ControlFlow<()> {
        self.names.push(relation.to_string());
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_wherever_rows_come_from() {
        for (sql, expected) in [
            (
                "select count(*) from S.T at(timestamp => '2026-01-01'::timestamp_tz) where x in (select y from U)",
                vec!["S.T", "U"],
            ),
            ("with c as (select * from T) select * from c join T on true", vec!["T"]),
            ("select current_timestamp()", vec![]),
            ("select * from DB.INFORMATION_SCHEMA.COLUMNS", vec![]),
            ("show tables", vec![]),
        ] {
            assert_eq!(tables_read(sql), Some(expected.into_iter().map(str::to_owned).collect()), "{sql}");
        }
        assert_eq!(tables_read("selekt"), None);
    }
}
