//! Source and target compared row by row, by nobody who had a part in moving the rows.
//!
//! Both sides are read with SQL: the emulator's own storage (its tables `sfe.*` and `sfd.*`) and the target. Each
//! row is rendered to text by PostgreSQL in one canonical form and hashed; the two bags of hashes are compared, so
//! that order does not matter and a doubled row cannot hide a missing one.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use tokio_postgres::Client;

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    pub source_rows: usize,
    pub target_rows: usize,
    /// Rows of the source that the target lacks (or holds with other values).
    pub missing: usize,
    /// Rows of the target that the source lacks: doubled, or with other values.
    pub doubled: usize,
    /// Sum of the row hashes, the same in any order.
    pub source_checksum: i128,
    pub target_checksum: i128,
}

impl Comparison {
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.missing == 0 && self.doubled == 0 && self.source_checksum == self.target_checksum
    }
}

/// The two ends of one table.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// The emulator's database.
    pub source: &'a Client,
    /// `DB.SCHEMA.TABLE`, as the emulator's catalogue spells it.
    pub source_table: &'a str,
    pub target: &'a Client,
    /// `schema.table` of the target, lower case.
    pub target_table: &'a str,
    /// SQL condition on the target's columns: only these rows are compared with the whole source.
    pub target_condition: &'a str,
}

impl<'a> Ends<'a> {
    /// Whole tables.
    #[must_use]
    pub fn new(source: &'a Client, source_table: &'a str, target: &'a Client, target_table: &'a str) -> Self {
        Self { source, source_table, target, target_table, target_condition: "true" }
    }
}

/// A column of both ends.
struct Column {
    /// How the source's storage renders it.
    source: String,
    /// How the target renders it.
    target: String,
}

/// Compares every column that both ends have under the same name (or, lower case, at the target).
///
/// # Errors
/// A table is missing, no column is common, or a type has no canonical form here.
pub async fn table(ends: Ends<'_>) -> Result<Comparison> {
    let (id, columns) = columns(&ends).await?;
    ensure!(!columns.is_empty(), "{} and {} have no common column", ends.source_table, ends.target_table);
    let open = i64::MAX;
    let render = |side: fn(&Column) -> &str| columns.iter().map(side).collect::<Vec<_>>().join(", ");
    let source_sql =
        format!("select {} from sfd.t{id} where valid_to = {open}", hashed(&render(|column| &column.source)));
    let target_sql = format!(
        "select {} from {} where {}",
        hashed(&render(|column| &column.target)),
        ends.target_table,
        ends.target_condition
    );
    let source = hashes(ends.source, &source_sql).await.context("reading the source")?;
    let target = hashes(ends.target, &target_sql).await.context("reading the target")?;
    Ok(compare(source, target))
}

/// The row as text, with NULL told from empty and cells told apart, as 64 bits.
fn hashed(cells: &str) -> String {
    format!("('x' || substr(md5(row({cells})::text), 1, 16))::bit(64)::bigint")
}

async fn hashes(client: &Client, sql: &str) -> Result<Vec<i64>> {
    let rows = client.query(sql, &[]).await?;
    let mut hashes: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    hashes.sort_unstable();
    Ok(hashes)
}

fn compare(source: Vec<i64>, target: Vec<i64>) -> Comparison {
    let sum = |hashes: &[i64]| hashes.iter().map(|hash| i128::from(*hash)).sum();
    let (mut missing, mut doubled) = (0, 0);
    let (mut left, mut right) = (source.iter().peekable(), target.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(other)) => one.cmp(other),
        };
        if order.is_le() {
            left.next();
        }
        if order.is_ge() {
            right.next();
        }
        missing += usize::from(order.is_lt());
        doubled += usize::from(order.is_gt());
    }
    Comparison {
        source_rows: source.len(),
        target_rows: target.len(),
        missing,
        doubled,
        source_checksum: sum(&source),
        target_checksum: sum(&target),
    }
}

async fn columns(ends: &Ends<'_>) -> Result<(i64, Vec<Column>)> {
    let [database, schema, name] = ends.source_table.split('.').collect::<Vec<_>>()[..] else {
        bail!("{} is not DB.SCHEMA.TABLE", ends.source_table);
    };
    let table = ends
        .source
        .query_opt(
            "select id from sfe.tables where database_name = $1 and schema_name = $2 and name = $3",
            &[&database, &schema, &name],
        )
        .await?
        .with_context(|| format!("the emulator has no table {}", ends.source_table))?;
    let id: i64 = table.get(0);
    let declared = ends
        .source
        .query("select name, sql_type, ordinal from sfe.columns where table_id = $1 order by ordinal", &[&id])
        .await?;
    let types = target_types(ends).await?;
    let mut columns = Vec::new();
    for column in &declared {
        let (name, sql_type, ordinal): (String, String, i32) = (column.get(0), column.get(1), column.get(2));
        let spelled = [name.clone(), name.to_lowercase()];
        let Some((target, pg_type)) = spelled.iter().find_map(|name| types.get_key_value(name)) else {
            continue;
        };
        let stored = storage_column(ends.source, id, ordinal).await?;
        columns.push(Column {
            source: canonical_source(&stored, &sql_type)?,
            target: canonical_target(&format!("\"{target}\""), pg_type)?,
        });
    }
    Ok((id, columns))
}

/// The emulator names columns by number, counted from 0 or 1: the one that its table has.
async fn storage_column(client: &Client, id: i64, ordinal: i32) -> Result<String> {
    let name = format!("c{ordinal}");
    let found = client
        .query_opt(
            "select 1 from pg_attribute where attrelid = to_regclass('sfd.t' || $1::bigint) and attname = $2",
            &[&id, &name],
        )
        .await?;
    found.map(|_| name.clone()).with_context(|| format!("the emulator's table {id} has no column {name}"))
}

async fn target_types(ends: &Ends<'_>) -> Result<BTreeMap<String, String>> {
    let rows = ends
        .target
        .query(
            "select attname::text, format_type(atttypid, null) from pg_attribute \
             where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
            &[&ends.target_table],
        )
        .await?;
    ensure!(!rows.is_empty(), "the target has no table {}", ends.target_table);
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The emulator's storage as canonical text. Its README and its engine's types say what is stored how.
fn canonical_source(column: &str, sql_type: &str) -> Result<String> {
    let kind = sql_type.split('(').next().unwrap_or(sql_type);
    Ok(match kind {
        "NUMBER" => format!("trim_scale({column})::text"),
        "VARCHAR" | "TEXT" => format!("{column}::text"),
        "FLOAT" | "BOOLEAN" => format!("{column}::text"),
        "BINARY" => format!("encode({column}, 'hex')"),
        "DATE" => format!("{column}::text"),
        // Seconds; microseconds are what the target can hold, and values are floored to them.
        "TIME" | "TIMESTAMP_NTZ" | "TIMESTAMP_LTZ" => format!("floor({column} * 1000000)::text"),
        "TIMESTAMP_TZ" => format!("floor({column}[1] * 1000000)::text"),
        "VARIANT" | "OBJECT" | "ARRAY" => format!("{column}::jsonb::text"),
        other => bail!("{other} has no canonical form yet"),
    })
}

fn canonical_target(column: &str, pg_type: &str) -> Result<String> {
    Ok(match pg_type {
        "smallint" | "integer" | "bigint" | "numeric" => format!("trim_scale({column}::numeric)::text"),
        "text" | "character varying" | "uuid" => format!("{column}::text"),
        "character" => format!("{column}::text"),
        "double precision" | "real" | "boolean" => format!("{column}::text"),
        "bytea" => format!("encode({column}, 'hex')"),
        "date" => format!("({column} - date '1970-01-01')::text"),
        "time without time zone" | "timestamp without time zone" | "timestamp with time zone" => {
            format!("floor(extract(epoch from {column}) * 1000000)::text")
        }
        "json" | "jsonb" => format!("{column}::jsonb::text"),
        other => bail!("{other} has no canonical form yet"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_doubled_rows_are_both_counted() {
        let found = compare(vec![1, 2, 2, 3], vec![2, 3, 3, 4]);
        assert_eq!((found.missing, found.doubled), (2, 2));
        assert!(!found.is_equal());
        assert!(compare(vec![1, 2, 2], vec![1, 2, 2]).is_equal());
        assert_eq!(compare(vec![1], vec![]).missing, 1);
    }
}
