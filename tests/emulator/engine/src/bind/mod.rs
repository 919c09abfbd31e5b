//! The binder: a statement's tree against the catalogue gives PostgreSQL text whose every expression has a
//! Snowflake type.
//!
//! Everything is whitelisted. A node without an arm here is an error that names it, so that nothing reaches
//! PostgreSQL with PostgreSQL's meaning. It knows no connection: what it needs from one is in [`Session`].

mod aggregate;
mod cast;
mod datetime;
mod expr;
mod format;
mod from;
mod function;
mod literal;
mod operator;
mod query;
mod scope;
mod select;
mod text_function;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::catalog::{Catalog, TableName};
use crate::error::SqlError;
use crate::request::ExecuteRequest;
use crate::sql_type::SqlType;
use crate::time_travel;

pub(crate) use cast::{OnBadText, bare_storage};
pub(crate) use from::{At, read_at, stored};
pub(crate) use query::{BoundQuery, OutColumn};
pub(crate) use scope::{Relation, Scope, ScopeColumn};

/// A session's zone when it names none.
pub(crate) const DEFAULT_ZONE: &str = "America/Los_Angeles";
/// Views of views of views: an end to recursion.
const MAX_VIEW_DEPTH: u32 = 32;

/// A bound expression.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) sql: String,
    pub(crate) sql_type: SqlType,
    pub(crate) nullable: bool,
    /// The text of a string constant: it takes the type of what it meets.
    pub(crate) is_constant_text: bool,
    pub(crate) has_aggregate: bool,
    pub(crate) has_window: bool,
    /// The table of a bare column.
    pub(crate) source: Option<TableName>,
    /// Already in the form a column of its type is stored in: no last cast is needed.
    pub(crate) is_stored: bool,
}

impl Bound {
    pub(crate) fn new(sql: impl Into<String>, sql_type: SqlType, nullable: bool) -> Self {
        Self {
            sql: sql.into(),
            sql_type,
            nullable,
            is_constant_text: false,
            has_aggregate: false,
            has_window: false,
            source: None,
            is_stored: false,
        }
    }

    /// A new expression made of `parts`: NULL if one of them is, and an aggregate if one is.
    pub(crate) fn of(sql: impl Into<String>, sql_type: SqlType, parts: &[&Self]) -> Self {
        Self {
            nullable: parts.iter().any(|part| part.nullable),
            has_aggregate: parts.iter().any(|part| part.has_aggregate),
            has_window: parts.iter().any(|part| part.has_window),
            ..Self::new(sql, sql_type, true)
        }
    }

    pub(crate) fn nullable(mut self, nullable: bool) -> Self {
        self.nullable = nullable;
        self
    }

    /// The expression in the exact PostgreSQL type of a result's column.
    pub(crate) fn for_output(&self) -> String {
        let sql = &self.sql;
        match self.sql_type {
            SqlType::TimestampTz { .. } => format!("sfe.tz_wire({sql})"),
            _ if self.is_stored => sql.clone(),
            SqlType::Number { scale, .. } => format!("({sql})::numeric(38,{scale})"),
            SqlType::Time { .. } | SqlType::TimestampNtz { .. } | SqlType::TimestampLtz { .. } => {
                format!("({sql})::numeric(38,9)")
            }
            SqlType::Float => format!("({sql})::float8"),
            SqlType::Date => format!("({sql})::int4"),
            SqlType::Boolean => format!("({sql})::boolean"),
            SqlType::Binary { .. } => format!("({sql})::bytea"),
            _ => format!("({sql})::text"),
        }
    }
}

/// What a statement is bound in.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) request: &'a ExecuteRequest,
    /// Nanoseconds.
    pub(crate) now: i64,
    /// The moment queries read at.
    pub(crate) visible_until: i64,
    pub(crate) timezone: &'a str,
    /// The values of the statement's AT expressions, by their text.
    pub(crate) moments: BTreeMap<String, i64>,
    /// Pages of the tables large enough for the cheap shuffle, by id.
    pub(crate) large_tables: HashMap<i64, u64>,
    /// Mixed from the request's and the engine's seed.
    pub(crate) order_seed: Option<u64>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(request: &'a ExecuteRequest, engine_seed: u64) -> Self {
        Self {
            request,
            now: time_travel::clock(request.now),
            visible_until: time_travel::clock(request.visible_until.min(request.now)),
            timezone: request.timezone.as_deref().unwrap_or(DEFAULT_ZONE),
            moments: BTreeMap::new(),
            large_tables: HashMap::new(),
            order_seed: request.order_seed.map(|seed| seed ^ engine_seed.rotate_left(32)),
        }
    }

    /// The session's zone as PostgreSQL text.
    pub(crate) fn zone(&self) -> String {
        crate::names::pg_text(self.timezone)
    }
}

/// Binds one statement.
#[derive(Debug)]
pub(crate) struct Binder<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) session: &'a Session<'a>,
    next_alias: Cell<u32>,
    view_depth: Cell<u32>,
    tables: RefCell<BTreeSet<String>>,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(catalog: &'a Catalog, session: &'a Session<'a>) -> Self {
        Self {
            catalog,
            session,
            next_alias: Cell::new(1),
            view_depth: Cell::new(0),
            tables: RefCell::default(),
        }
    }

    /// A PostgreSQL alias nobody else has.
    pub(crate) fn alias(&self) -> String {
        let number = self.next_alias.get();
        self.next_alias.set(number + 1);
        format!("r{number}")
    }

    /// Full names of the tables bound so far.
    pub(crate) fn tables(&self) -> Vec<String> {
        self.tables.borrow().iter().cloned().collect()
    }

    fn enter_view(&self) -> Result<(), SqlError> {
        if self.view_depth.get() >= MAX_VIEW_DEPTH {
            return Err(SqlError::unsupported("views nested more than 32 deep"));
        }
        self.view_depth.set(self.view_depth.get() + 1);
        Ok(())
    }

    fn leave_view(&self) {
        self.view_depth.set(self.view_depth.get() - 1);
    }
}
