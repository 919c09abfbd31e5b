//! How long a source object can be read as it was: tables, views, shares and the rest told apart. Pure: the answers of
//! SHOW in, a word for the plan out.
//!
//! Columns by name, as docs.snowflake.com/en/sql-reference/sql/show-tables, show-views and show-databases list them; what
//! a release does not send yet is taken for the plainest thing it can mean.

use std::collections::HashMap;

use thaw_model::SfIdent;
use thaw_snowflake::Table;

use crate::snapshot;

/// What the catalogue says about an object's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeTravel {
    pub kind: ObjectKind,
    /// Milliseconds since the epoch, by the source's clock; `AT` an earlier moment there is nothing to read.
    pub created: Option<i64>,
}

/// What kind of object a source is, as far as its history goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// Days of retention.
    Table {
        days: u32,
    },
    /// At most a day.
    Transient {
        days: u32,
    },
    Temporary {
        days: u32,
    },
    /// `AT` is not promised by the documents; tried.
    Dynamic,
    Hybrid,
    /// Its base tables decide; tried.
    View,
    SecureView,
    /// The provider decides; tried.
    Shared,
    /// SHOW does not list it (it lists ten thousand objects at most); tried.
    Unlisted,
    MaterializedView,
    External,
}

/// Whether a moment of the past can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// So many days back.
    Days(u32),
    /// Only the attempt tells.
    Tried,
    /// Never.
    None,
}

impl ObjectKind {
    #[must_use]
    pub fn reach(self) -> Reach {
        match self {
            Self::Table { days: 0 } | Self::Transient { days: 0 } | Self::Temporary { days: 0 } => {
                Reach::None
            }
            Self::Table { days } | Self::Transient { days } | Self::Temporary { days } => Reach::Days(days),
            Self::Dynamic | Self::Hybrid | Self::View | Self::SecureView | Self::Shared | Self::Unlisted => {
                Reach::Tried
            }
            Self::MaterializedView | Self::External => Reach::None,
        }
    }

    /// What it is and how long it remembers, for the plan.
    #[must_use]
    pub fn history(self) -> String {
        let days = |what: &str, days: u32| match days {
            0 => format!("the {what} keeps no history (retention 0)"),
            1 => format!("the {what} keeps 1 day of history"),
            days => format!("the {what} keeps {days} days of history"),
        };
        match self {
            Self::Table { days: count } => days("table", count),
            Self::Transient { days: count } => days("transient table", count),
            Self::Temporary { days: count } => days("temporary table", count),
            Self::Dynamic => "a dynamic table: how long its history reaches is not known".to_owned(),
            Self::Hybrid => "a hybrid table: how long its history reaches is not known".to_owned(),
            Self::View => "a view: the shortest history of its base tables decides".to_owned(),
            Self::SecureView => "a secure view: the shortest history of its base tables decides".to_owned(),
            Self::Shared => "a shared database: its provider decides how much history there is".to_owned(),
            Self::Unlisted => {
                "not listed among the schema's tables and views; its history is not known".to_owned()
            }
            Self::MaterializedView => "a materialized view cannot be read as it was".to_owned(),
            Self::External => "an external table cannot be read as it was".to_owned(),
        }
    }
}

/// What SHOW TABLES lists, by name.
pub(super) fn of_tables(listed: &Listed) -> HashMap<SfIdent, TimeTravel> {
    let tables = listed.rows().filter_map(|row| {
        let days = row.text("retention_time").and_then(|days| days.trim().parse().ok());
        let kind = match row.text("kind").map(str::to_uppercase).as_deref() {
            _ if row.is("is_external") => ObjectKind::External,
            _ if row.is("is_dynamic") => ObjectKind::Dynamic,
            _ if row.is("is_hybrid") => ObjectKind::Hybrid,
            Some("TRANSIENT") => ObjectKind::Transient { days: days? },
            Some("TEMPORARY") => ObjectKind::Temporary { days: days? },
            _ => ObjectKind::Table { days: days? },
        };
        row.object(kind)
    });
    tables.collect()
}

/// What SHOW VIEWS lists, by name.
pub(super) fn of_views(listed: &Listed) -> HashMap<SfIdent, TimeTravel> {
    let views = listed.rows().filter_map(|row| {
        let kind = if row.is("is_materialized") {
            ObjectKind::MaterializedView
        } else if row.is("is_secure") {
            ObjectKind::SecureView
        } else {
            ObjectKind::View
        };
        // A view's own age says nothing: `AT` reads its base tables with the definition of now.
        row.object(kind).map(|(name, view)| (name, TimeTravel { created: None, ..view }))
    });
    views.collect()
}

/// Whether SHOW DATABASES says that a database comes from a share.
pub(super) fn is_shared(listed: &Listed, database: &SfIdent) -> bool {
    listed.rows().any(|row| {
        row.text("name") == Some(database.as_str())
            && (row.text("kind").is_some_and(|kind| kind.eq_ignore_ascii_case("IMPORTED DATABASE"))
                || row.text("origin").is_some_and(|origin| !origin.is_empty()))
    })
}

/// The answer of a SHOW.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

impl From<Table> for Listed {
    fn from(table: Table) -> Self {
        let columns = table.columns.into_iter().map(|column| column.name).collect();
        Self { columns, rows: table.rows }
    }
}

impl Listed {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { columns: &self.columns, cells })
    }
}

/// A row, its cells by name.
struct Row<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

impl<'a> Row<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        let position = self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))?;
        self.cells.get(position)?.as_deref()
    }

    /// SHOW says `Y`, `N`, `true`, `false`.
    fn is(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|text| text.eq_ignore_ascii_case("y") || text.eq_ignore_ascii_case("true"))
    }

    fn object(&self, kind: ObjectKind) -> Option<(SfIdent, TimeTravel)> {
        let created = self.text("created_on").and_then(snapshot::millis);
        Some((SfIdent::exact(self.text("name")?), TimeTravel { kind, created }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(columns: &[&str], rows: &[&[&str]]) -> Listed {
        let cells = |row: &&[&str]| row.iter().map(|cell| Some((*cell).to_owned())).collect();
        Listed {
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            rows: rows.iter().map(cells).collect(),
        }
    }

    fn kind(found: &HashMap<SfIdent, TimeTravel>, name: &str) -> Option<ObjectKind> {
        found.get(&SfIdent::exact(name)).map(|object| object.kind)
    }

    #[test]
    fn tables_are_told_apart_by_retention_and_kind() {
        let columns =
            ["created_on", "name", "kind", "retention_time", "is_external", "is_dynamic", "is_hybrid"];
        let rows: &[&[&str]] = &[
            &["1611871777.123000000", "LONG", "TABLE", "90", "N", "N", "N"],
            &["1611871777.123000000", "NONE", "TABLE", "0", "N", "N", "N"],
            &["1611871777.123000000", "SHORT", "TRANSIENT", "1", "N", "N", "N"],
            &["1611871777.123000000", "GONE", "TEMPORARY", "0", "N", "N", "N"],
            &["1611871777.123000000", "FILES", "TABLE", "1", "Y", "N", "N"],
            &["1611871777.123000000", "FRESH", "TABLE", "1", "N", "Y", "N"],
        ];
        let found = of_tables(&listed(&columns, rows));
        assert_eq!(kind(&found, "LONG"), Some(ObjectKind::Table { days: 90 }));
        assert_eq!(found[&SfIdent::exact("LONG")].created, Some(1_611_871_777_123));
        assert_eq!(kind(&found, "NONE").map(ObjectKind::reach), Some(Reach::None));
        assert_eq!(kind(&found, "SHORT"), Some(ObjectKind::Transient { days: 1 }));
        assert_eq!(kind(&found, "GONE").map(ObjectKind::reach), Some(Reach::None));
        assert_eq!(kind(&found, "FILES").map(ObjectKind::reach), Some(Reach::None));
        assert_eq!(kind(&found, "FRESH").map(ObjectKind::reach), Some(Reach::Tried));
    }

    #[test]
    fn an_older_account_that_sends_fewer_columns_is_understood() {
        let found = of_tables(&listed(&["name", "retention_time"], &[&["T", "1"], &["U", ""]]));
        assert_eq!(kind(&found, "T"), Some(ObjectKind::Table { days: 1 }));
        assert_eq!(kind(&found, "U"), None, "an answer without a number says nothing");
    }

    #[test]
    fn views_are_told_apart() {
        let columns = ["name", "is_secure", "is_materialized"];
        let rows: &[&[&str]] = &[&["V", "false", "false"], &["S", "true", "false"], &["M", "false", "true"]];
        let found = of_views(&listed(&columns, rows));
        assert_eq!(kind(&found, "V"), Some(ObjectKind::View));
        assert_eq!(kind(&found, "S"), Some(ObjectKind::SecureView));
        assert_eq!(kind(&found, "M").map(ObjectKind::reach), Some(Reach::None));
    }

    #[test]
    fn a_shared_database_is_known_by_its_kind_or_its_origin() {
        let columns = ["name", "origin", "kind"];
        let rows: &[&[&str]] = &[
            &["OWN", "", "STANDARD"],
            &["IMPORTED", "", "IMPORTED DATABASE"],
            &["OLD_SHARE", "PROVIDER.SHARE", ""],
        ];
        let table = listed(&columns, rows);
        let shared = |name: &str| is_shared(&table, &SfIdent::exact(name));
        assert_eq!([shared("OWN"), shared("IMPORTED"), shared("OLD_SHARE")], [false, true, true]);
    }
}
