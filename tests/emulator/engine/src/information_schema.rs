//! INFORMATION_SCHEMA.TABLES and .COLUMNS, made from the catalogue as constant rows.
//!
//! Columns: docs.snowflake.com/en/sql-reference/info-schema/{tables,columns}; those that are always NULL here and
//! that nobody reads are left out.

use crate::bind::{BoundQuery, OutColumn, Session, stored};
use crate::catalog::{Catalog, ColumnEntry, TableEntry, TableName};
use crate::error::SqlError;
use crate::names::{pg_text, shown};
use crate::sql_type::SqlType;
use crate::time_travel;

const COUNT: SqlType = SqlType::Number { precision: 38, scale: 0 };
const MOMENT: SqlType = SqlType::TimestampLtz { scale: 9 };

/// The view `name` of a database's INFORMATION_SCHEMA.
pub(crate) fn view(
    catalog: &Catalog,
    session: &Session<'_>,
    name: &TableName,
) -> Result<BoundQuery, SqlError> {
    if !catalog.databases.contains_key(&name.database) {
        return Err(SqlError::no_such_object("Database", &name.database));
    }
    let role = session.request.role.as_deref();
    let tables = catalog
        .tables
        .values()
        .filter(|table| table.name.database == name.database && !catalog.is_denied(&table.name, role));
    match name.name.as_str() {
        "TABLES" => Ok(rows(&tables_columns(), tables.map(|table| table_row(table, session)).collect())),
        "COLUMNS" => {
            let all = tables.flat_map(|table| {
                table.columns.iter().enumerate().map(|(index, column)| column_row(table, index + 1, column))
            });
            Ok(rows(&columns_columns(), all.collect()))
        }
        _ => Err(SqlError::no_such_object("Object", &shown(name))),
    }
}

fn rows(columns: &[(&str, SqlType)], rows: Vec<Vec<String>>) -> BoundQuery {
    let described: Vec<OutColumn> =
        columns.iter().map(|(name, sql_type)| stored(name, *sql_type, true)).collect();
    let names: Vec<String> = (1..=columns.len()).map(|number| format!("o{number}")).collect();
    // A first row of NULLs gives the columns their types and is left out again.
    let nulls: Vec<String> = columns
        .iter()
        .map(|(_, sql_type)| format!("null::{}", crate::bind::bare_storage(*sql_type)))
        .collect();
    let mut all = vec![format!("({}, false)", nulls.join(", "))];
    all.extend(rows.into_iter().map(|row| format!("({}, true)", row.join(", "))));
    let list = names.join(", ");
    let sql = format!("select {list} from (values {}) v({list}, is_row) where is_row", all.join(", "));
    BoundQuery { sql, columns: described }
}

fn tables_columns() -> [(&'static str, SqlType); 14] {
    [
        ("TABLE_CATALOG", SqlType::TEXT),
        ("TABLE_SCHEMA", SqlType::TEXT),
        ("TABLE_NAME", SqlType::TEXT),
        ("TABLE_OWNER", SqlType::TEXT),
        ("TABLE_TYPE", SqlType::TEXT),
        ("IS_TRANSIENT", SqlType::TEXT),
        ("CLUSTERING_KEY", SqlType::TEXT),
        ("ROW_COUNT", COUNT),
        ("BYTES", COUNT),
        ("RETENTION_TIME", COUNT),
        ("CREATED", MOMENT),
        ("LAST_ALTERED", MOMENT),
        ("LAST_DDL", MOMENT),
        ("COMMENT", SqlType::TEXT),
    ]
}

fn table_row(table: &TableEntry, session: &Session<'_>) -> Vec<String> {
    let moment = |nanoseconds: i64| format!("({nanoseconds}::numeric / 1000000000)");
    let physical = table.physical();
    let (count, bytes, kind) = if table.view_sql.is_some() {
        ("null::numeric".to_owned(), "null::numeric".to_owned(), "VIEW")
    } else {
        let visible = time_travel::visible("h", session.visible_until);
        let count = format!("(select count(*)::numeric from {physical} h where {visible})");
        (count, format!("pg_relation_size('{physical}')::numeric"), "BASE TABLE")
    };
    vec![
        pg_text(&table.name.database),
        pg_text(&table.name.schema),
        pg_text(&table.name.name),
        pg_text("ACCOUNTADMIN"),
        pg_text(kind),
        pg_text(if table.transient { "YES" } else { "NO" }),
        "null::text".to_owned(),
        count,
        bytes,
        format!("{}::numeric", table.retention_days),
        moment(table.created_at),
        moment(table.altered_at),
        moment(table.altered_at),
        pg_text(&table.comment),
    ]
}

fn columns_columns() -> [(&'static str, SqlType); 15] {
    [
        ("TABLE_CATALOG", SqlType::TEXT),
        ("TABLE_SCHEMA", SqlType::TEXT),
        ("TABLE_NAME", SqlType::TEXT),
        ("COLUMN_NAME", SqlType::TEXT),
        ("ORDINAL_POSITION", COUNT),
        ("COLUMN_DEFAULT", SqlType::TEXT),
        ("IS_NULLABLE", SqlType::TEXT),
        ("DATA_TYPE", SqlType::TEXT),
        ("CHARACTER_MAXIMUM_LENGTH", COUNT),
        ("CHARACTER_OCTET_LENGTH", COUNT),
        ("NUMERIC_PRECISION", COUNT),
        ("NUMERIC_PRECISION_RADIX", COUNT),
        ("NUMERIC_SCALE", COUNT),
        ("IS_IDENTITY", SqlType::TEXT),
        ("COMMENT", SqlType::TEXT),
    ]
}

fn column_row(table: &TableEntry, position: usize, column: &ColumnEntry) -> Vec<String> {
    let number = |value: Option<u64>| value.map_or_else(|| "null".to_owned(), |value| value.to_string());
    let (precision, scale) = match column.sql_type {
        SqlType::Number { precision, scale } => (Some(u64::from(precision)), Some(u64::from(scale))),
        _ => (None, None),
    };
    vec![
        pg_text(&table.name.database),
        pg_text(&table.name.schema),
        pg_text(&table.name.name),
        pg_text(&column.name),
        position.to_string(),
        column.default_sql.as_deref().map_or_else(|| "null".to_owned(), pg_text),
        pg_text(if column.nullable { "YES" } else { "NO" }),
        pg_text(column.sql_type.information_schema_name()),
        number(column.sql_type.row_type_length()),
        number(column.sql_type.row_type_byte_length()),
        number(precision),
        number(precision.map(|_| 10)),
        number(scale),
        pg_text("NO"),
        pg_text(&column.comment),
    ]
}
