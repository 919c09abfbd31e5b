//! Which names an expression can see: the relations of its FROM, the aliases of its SELECT list, and what is
//! around a sub-select.

use std::sync::Mutex;

use sqlparser::ast::Expr;

use crate::bind::{Bound, BoundQuery};
use crate::catalog::TableName;
use crate::error::SqlError;
use crate::sql_type::SqlType;

/// One column a relation offers.
#[derive(Debug, Clone)]
pub(crate) struct ScopeColumn {
    pub(crate) name: String,
    /// PostgreSQL text, alias included.
    pub(crate) sql: String,
    pub(crate) sql_type: SqlType,
    pub(crate) nullable: bool,
    pub(crate) source: Option<TableName>,
    pub(crate) is_stored: bool,
}

/// One item of a FROM.
#[derive(Debug, Clone)]
pub(crate) struct Relation {
    /// What may stand before a column's dot: `[database, schema, table]`, `[alias]`, or nothing.
    pub(crate) qualifier: Vec<String>,
    pub(crate) columns: Vec<ScopeColumn>,
    /// The base table's id and PostgreSQL alias, where it is one.
    pub(crate) base: Option<(i64, String)>,
}

/// A WITH name and its query.
#[derive(Debug, Clone)]
pub(crate) struct NamedQuery {
    pub(crate) name: String,
    pub(crate) pg_name: String,
    pub(crate) query: BoundQuery,
}

/// The names in reach, innermost first.
#[derive(Debug, Default)]
pub(crate) struct Scope<'s> {
    pub(crate) relations: Vec<Relation>,
    pub(crate) named_queries: Vec<NamedQuery>,
    /// Aliases of the SELECT list, with what they stand for.
    pub(crate) aliases: Vec<(String, Expr)>,
    /// Aliases being looked into, to end `a AS b, b AS a`.
    pub(crate) open_aliases: Mutex<Vec<String>>,
    pub(crate) parent: Option<&'s Scope<'s>>,
}

impl Relation {
    fn answers_to(&self, qualifier: &[String]) -> bool {
        self.qualifier.ends_with(qualifier)
    }
}

impl<'s> Scope<'s> {
    pub(crate) fn inside(parent: &'s Scope<'s>) -> Self {
        Self { parent: Some(parent), ..Self::default() }
    }

    /// Finds a column here or, for a sub-select, around.
    pub(crate) fn column(&self, qualifier: &[String], name: &str) -> Result<Option<Bound>, SqlError> {
        let mut found = self
            .relations
            .iter()
            .filter(|relation| qualifier.is_empty() || relation.answers_to(qualifier))
            .flat_map(|relation| relation.columns.iter().filter(|column| column.name == name));
        if let Some(column) = found.next() {
            if found.next().is_some() {
                let message = format!("SQL compilation error: ambiguous column name '{name}'");
                return Err(SqlError::new("002028", "42601", message));
            }
            let mut bound = Bound::new(column.sql.clone(), column.sql_type, column.nullable);
            bound.source.clone_from(&column.source);
            bound.is_stored = column.is_stored;
            return Ok(Some(bound));
        }
        Ok(None)
    }

    /// Finds a WITH name here or around.
    pub(crate) fn named_query(&self, name: &str) -> Option<&NamedQuery> {
        let here = self.named_queries.iter().rev().find(|query| query.name == name);
        here.or_else(|| self.parent.and_then(|parent| parent.named_query(name)))
    }

    /// The columns of `*` or `qualifier.*`.
    pub(crate) fn wildcard(&self, qualifier: &[String]) -> Option<Vec<&ScopeColumn>> {
        let mut relations =
            self.relations.iter().filter(|relation| relation.answers_to(qualifier)).peekable();
        relations.peek()?;
        Some(relations.flat_map(|relation| &relation.columns).collect())
    }
}
