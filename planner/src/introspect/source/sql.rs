//! The statements that describe a source.

use thaw_model::SfIdent;
use thaw_model::ident::sf_literal;

pub(super) const SERVER_TIME: &str = "select current_timestamp()";

/// A result without rows has the exact types of every column, of views too
/// (docs.snowflake.com/en/developer-guide/sql-api/handling-responses, rowType).
pub(super) fn describe(database: &SfIdent, schema: &SfIdent, table: &SfIdent) -> String {
    format!("select * from {}.{}.{} limit 0", database.quoted(), schema.quoted(), table.quoted())
}

/// Whether Snowflake can compile the filter over the table. The line breaks keep a comment at its end from eating the
/// parenthesis.
pub(super) fn try_filter(database: &SfIdent, schema: &SfIdent, table: &SfIdent, filter: &str) -> String {
    let name = format!("{}.{}.{}", database.quoted(), schema.quoted(), table.quoted());
    format!("select 1 from {name} where (\n{filter}\n) limit 0")
}

/// docs.snowflake.com/en/sql-reference/sql/show-tables: needs no warehouse; views are not listed.
pub(super) fn show_tables(database: &SfIdent, schema: &SfIdent) -> String {
    format!("show tables in schema {}.{}", database.quoted(), schema.quoted())
}

/// docs.snowflake.com/en/sql-reference/sql/show-views: needs no warehouse.
pub(super) fn show_views(database: &SfIdent, schema: &SfIdent) -> String {
    format!("show views in schema {}.{}", database.quoted(), schema.quoted())
}

/// docs.snowflake.com/en/sql-reference/sql/show-databases: needs no warehouse. The pattern may match others, too.
pub(super) fn show_databases(database: &SfIdent) -> String {
    format!("show databases like {}", sf_literal(database.as_str()))
}
