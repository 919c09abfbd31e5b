//! The source's side: columns with exact types, Time Travel retention, and the server's clock.

mod history;
mod sql;

use std::collections::HashMap;

use thaw_config::{Config, Source, TableEntry};
use thaw_model::{SfIdent, SourceType};
use thaw_snowflake::{Client, SnowflakeError, Statement};

use history::Listed;
pub use history::{ObjectKind, Reach, TimeTravel};

/// A column as a result of `SELECT *` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    pub name: SfIdent,
    /// `None`: a type Thaw cannot read; `type_name` says which.
    pub source_type: Option<SourceType>,
    pub type_name: String,
    /// A text that does not compare by its bytes.
    pub is_collated: bool,
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
        is_collated: column.collation.is_some(),
    });
    Ok(columns.collect())
}

/// Whether the source accepts the filter, as it would be sent: its columns and functions. Reads no row.
///
/// # Errors
/// The source's refusal.
pub async fn try_filter(
    client: &Client,
    config: &Config,
    source: &Source,
    entry: &TableEntry,
    filter: &str,
) -> Result<(), SnowflakeError> {
    let sql = sql::try_filter(&source.source_database, &source.source_schema, &entry.source, filter);
    client.query(&statement(config, source, entry, sql)).await.map(drop)
}

/// What the source's catalogue says about the history of the objects named `wanted`; one it does not list is
/// [`ObjectKind::Unlisted`]. Views are listed only where one of them is no table.
///
/// # Errors
/// The source's refusal: no such schema, or no grant on it.
pub async fn histories(
    client: &Client,
    config: &Config,
    source: &Source,
    wanted: impl Iterator<Item = &SfIdent>,
) -> Result<HashMap<SfIdent, TimeTravel>, SnowflakeError> {
    let (database, schema) = (&source.source_database, &source.source_schema);
    let show = async |sql| client.query(&session(config, source, sql)).await.map(Listed::from);
    let (tables, databases) = tokio::join!(
        show(sql::show_tables(database, schema)),
        // Refused to whom may see no database but this one: then it is taken for the account's own.
        show(sql::show_databases(database)),
    );
    let mut found = history::of_tables(&tables?);
    let missing: Vec<&SfIdent> = wanted.filter(|name| !found.contains_key(*name)).collect();
    if !missing.is_empty() {
        match show(sql::show_views(database, schema)).await {
            Ok(views) => found.extend(history::of_views(&views)),
            Err(SnowflakeError::Sql { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    for name in missing {
        let unlisted = TimeTravel { kind: ObjectKind::Unlisted, created: None };
        found.entry(name.clone()).or_insert(unlisted);
    }
    match databases {
        Ok(databases) if history::is_shared(&databases, database) => {
            for object in found.values_mut() {
                *object = TimeTravel { kind: ObjectKind::Shared, created: None };
            }
        }
        Ok(_) | Err(SnowflakeError::Sql { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(found)
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
