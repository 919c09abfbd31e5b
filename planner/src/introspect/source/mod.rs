//! The source's side: columns with exact types, Time Travel retention, and the server's clock.

mod sql;

use std::collections::HashMap;

use thaw_config::{Config, Source, TableEntry};
use thaw_model::{SfIdent, SourceType};
use thaw_snowflake::{Client, SnowflakeError, Statement, Table};

/// A source table or view as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTable {
    pub columns: Vec<SourceColumn>,
    /// Whether statements can read it `AT` a moment of the last minutes, or why not.
    pub time_travel: TimeTravel,
}

/// A column as a result of `SELECT *` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    pub name: SfIdent,
    /// `None`: a type Thaw cannot read; `type_name` says which.
    pub source_type: Option<SourceType>,
    pub type_name: String,
}

/// What a schema lists about an object's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeTravel {
    Available,
    /// Not a table of the schema: a view, whose base tables decide. Tried, and done without where refused.
    Unknown,
    /// The reason, for the plan.
    None {
        reason: String,
    },
}

/// A statement in the session of a source: its database, schema, role, warehouse and time zone.
#[must_use]
pub fn statement(config: &Config, source: &Source, entry: &TableEntry, sql: String) -> Statement {
    Statement { timezone: Some(entry.timezone.clone()), ..session(config, source, sql) }
}

fn session(config: &Config, source: &Source, sql: String) -> Statement {
    Statement {
        database: Some(source.source_database.as_str().to_owned()),
        schema: Some(source.source_schema.as_str().to_owned()),
        warehouse: Some(config.snowflake.warehouse.clone()),
        role: config.snowflake.role.clone(),
        query_tag: Some("thaw/plan".to_owned()),
        ..Statement::new(sql)
    }
}

/// Describes one table or view. Reads no row.
///
/// # Errors
/// The source's refusal: no such object, or no grant on it.
pub async fn describe(
    client: &Client,
    config: &Config,
    source: &Source,
    entry: &TableEntry,
) -> Result<Vec<SourceColumn>, SnowflakeError> {
    let sql = sql::describe(&source.source_database, &source.source_schema, &entry.source);
    let described = client.query(&statement(config, source, entry, sql)).await?;
    let columns = described.columns.into_iter().map(|column| SourceColumn {
        name: SfIdent::exact(column.name),
        source_type: column.source_type,
        type_name: column.type_name,
    });
    Ok(columns.collect())
}

/// Lists the tables of a source's schema with their retention in days.
///
/// # Errors
/// The source's refusal: no such schema, or no grant on it.
pub async fn retention(
    client: &Client,
    config: &Config,
    source: &Source,
) -> Result<HashMap<SfIdent, TimeTravel>, SnowflakeError> {
    let sql = sql::show_tables(&source.source_database, &source.source_schema);
    let listed = client.query(&session(config, source, sql)).await?;
    Ok(read_retention(&listed))
}

/// The server's clock: a TIMESTAMP_LTZ as the wire spells it.
///
/// # Errors
/// The source's refusal.
pub async fn server_time(
    client: &Client,
    config: &Config,
    source: &Source,
) -> Result<Option<String>, SnowflakeError> {
    let answer = client.query(&session(config, source, sql::SERVER_TIME.to_owned())).await?;
    Ok(answer.rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
}

fn read_retention(listed: &Table) -> HashMap<SfIdent, TimeTravel> {
    let position =
        |name: &str| listed.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
    let (Some(name), Some(days)) = (position("name"), position("retention_time")) else {
        return HashMap::new();
    };
    let cell = |row: &[Option<String>], column: usize| row.get(column).cloned().flatten();
    let tables = listed.rows.iter().filter_map(|row| {
        let time_travel = match cell(row, days).as_deref() {
            Some("0") => TimeTravel::None { reason: "the table keeps no history (retention 0)".to_owned() },
            Some(_) => TimeTravel::Available,
            None => TimeTravel::Unknown,
        };
        Some((SfIdent::exact(cell(row, name)?), time_travel))
    });
    tables.collect()
}
