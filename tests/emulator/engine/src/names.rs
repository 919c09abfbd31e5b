//! Names as a statement writes them: folding, and completion from the session.

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use crate::catalog::TableName;
use crate::error::SqlError;
use crate::request::ExecuteRequest;

/// Unquoted names fold to upper case, quoted ones are exact.
pub(crate) fn fold(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_uppercase() }
}

/// The folded parts of a dotted name.
pub(crate) fn parts(name: &ObjectName) -> Result<Vec<String>, SqlError> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(fold(ident)),
            ObjectNamePart::Function(_) => Err(SqlError::unsupported(format!("name {name}"))),
        })
        .collect()
}

/// A table's full name, with the session's database and schema where it gives none.
pub(crate) fn table(name: &ObjectName, session: &ExecuteRequest) -> Result<TableName, SqlError> {
    let mut parts = parts(name)?;
    let last = parts.pop().ok_or_else(|| SqlError::syntax("a name is missing"))?;
    let (database, schema) = schema_of(parts, session)?;
    Ok(TableName { database, schema, name: last })
}

/// A schema's full name.
pub(crate) fn schema(name: &ObjectName, session: &ExecuteRequest) -> Result<(String, String), SqlError> {
    let parts = parts(name)?;
    schema_of(parts, session)
}

fn schema_of(parts: Vec<String>, session: &ExecuteRequest) -> Result<(String, String), SqlError> {
    let no_database = || {
        SqlError::new(
            "090105",
            "22000",
            "Cannot perform operation. This session does not have a current database. Call 'USE DATABASE', or use a \
             qualified name.",
        )
    };
    let mut parts = parts.into_iter();
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => {
            let database = session.database.clone().ok_or_else(no_database)?;
            let schema = session.schema.clone().unwrap_or_else(|| "PUBLIC".to_owned());
            Ok((database, schema))
        }
        (Some(schema), None, _) => Ok((session.database.clone().ok_or_else(no_database)?, schema)),
        (Some(database), Some(schema), None) => {
            // `db..table` means the schema PUBLIC.
            let schema = if schema.is_empty() { "PUBLIC".to_owned() } else { schema };
            Ok((database, schema))
        }
        _ => Err(SqlError::syntax("a name has too many parts")),
    }
}

/// A name as messages show it.
pub(crate) fn shown(name: &TableName) -> String {
    format!("{}.{}.{}", name.database, name.schema, name.name)
}

/// PostgreSQL's form of a text constant; `text` is in the stored form already.
pub(crate) fn pg_text(text: &str) -> String {
    let escaped = text.replace('\'', "''");
    if escaped.contains('\\') {
        format!("E'{}'::text", escaped.replace('\\', "\\\\"))
    } else {
        format!("'{escaped}'::text")
    }
}
