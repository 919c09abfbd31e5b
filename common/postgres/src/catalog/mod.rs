//! What the target table is: asked once, by the planner, in one query. Nothing here reads rows except
//! [`is_empty`] and [`max_as_text`], which say so.

mod column_type;

use serde::Deserialize;
use thaw_model::{PgIdent, TargetType};
use tokio_postgres::GenericClient;

use crate::error::PgError;

const DESCRIBE: &str = include_str!("describe.sql");

/// Everything the planner decides from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetTable {
    pub kind: RelationKind,
    /// In the table's order.
    pub columns: Vec<TargetColumn>,
    /// The primary key first.
    pub unique_indexes: Vec<UniqueIndex>,
    /// From this table to others.
    pub foreign_keys: Vec<ForeignKey>,
    /// From others (or itself) to this table.
    pub referenced_by: Vec<ForeignKey>,
    /// Enabled triggers of the user, by name.
    pub triggers: Vec<String>,
    /// Rewrite rules: INSERT may become something else, and COPY ignores them.
    pub has_rules: bool,
    /// Row security filters what this role reads and writes here.
    pub row_security_active: bool,
    pub privileges: Privileges,
    /// `pg_class.reltuples`; `None` where the table was never analyzed.
    pub estimated_rows: Option<i64>,
}

/// `pg_class.relkind`, of what can be named in INSERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum RelationKind {
    #[serde(rename = "r")]
    Table,
    #[serde(rename = "p")]
    Partitioned,
    #[serde(rename = "v")]
    View,
    #[serde(rename = "m")]
    MaterializedView,
    #[serde(rename = "f")]
    Foreign,
}

impl RelationKind {
    /// Rows can be copied into it and conflicts resolved on it.
    #[must_use]
    pub const fn is_loadable(self) -> bool {
        match self {
            Self::Table | Self::Partitioned => true,
            Self::View | Self::MaterializedView | Self::Foreign => false,
        }
    }

    /// For messages: `view`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Partitioned => "partitioned table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Foreign => "foreign table",
        }
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetColumn {
    pub name: PgIdent,
    /// After domains are resolved.
    pub column_type: ColumnType,
    /// As the server prints it, domain names included: `character varying(20)`.
    pub type_text: String,
    /// Neither the column nor a domain below it refuses NULL.
    pub nullable: bool,
    pub has_default: bool,
    /// GENERATED ALWAYS AS (expression): left out of every load.
    pub generated: bool,
    pub identity: Identity,
    /// Where it is not the database's default.
    pub collation: Option<String>,
    /// Equal means equal bytes. False under a nondeterministic collation.
    pub collation_deterministic: bool,
    /// The labels of an enum type, in its order; empty for other types.
    pub enum_labels: Vec<String>,
}

/// What the encoder makes of the column's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    Loadable(TargetType),
    /// The type's name: no encoding exists for it.
    Unsupported(String),
}

/// GENERATED ... AS IDENTITY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub enum Identity {
    #[serde(rename = "")]
    No,
    /// Needs OVERRIDING SYSTEM VALUE.
    #[serde(rename = "a")]
    Always,
    #[serde(rename = "d")]
    ByDefault,
}

/// A unique index, of a constraint or not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UniqueIndex {
    pub name: PgIdent,
    /// The key columns; columns of INCLUDE are not among them. An expression has no column.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub columns: Vec<PgIdent>,
    pub on_expressions: bool,
    pub partial: bool,
    pub deferrable: bool,
    pub primary: bool,
    /// False while CREATE INDEX CONCURRENTLY builds it, or after that failed.
    pub valid: bool,
    /// NULL equals NULL (PostgreSQL 15).
    pub nulls_not_distinct: bool,
}

impl UniqueIndex {
    /// Proves that `keys`, in any order, are unique, so that ON CONFLICT may name them.
    #[must_use]
    pub fn is_arbiter_for(&self, keys: &[PgIdent]) -> bool {
        self.valid
            && !self.partial
            && !self.deferrable
            && !self.on_expressions
            && self.columns.len() == keys.len()
            && keys.iter().all(|key| self.columns.contains(key))
    }
}

/// A foreign key; `from` refers to `to`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ForeignKey {
    pub name: PgIdent,
    pub from_schema: PgIdent,
    pub from_table: PgIdent,
    pub to_schema: PgIdent,
    pub to_table: PgIdent,
    pub columns: Vec<PgIdent>,
    pub deferrable: bool,
}

/// What this role may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "eight rights are eight answers")]
pub struct Privileges {
    /// Of the schema: without it nothing in it can be named, whatever was granted on the table.
    pub usage: bool,
    pub select: bool,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
    /// Owns the table, directly or as a member of the owner: may drop and create its indexes.
    pub owner: bool,
    /// Temporary tables in this database, which upserts stage in.
    pub create_temp: bool,
}

/// Describes a table as this role sees it; `None` where there is no such relation.
///
/// # Errors
/// What the server or the line says.
pub async fn describe_table(
    client: &impl GenericClient,
    schema: &PgIdent,
    table: &PgIdent,
) -> Result<Option<TargetTable>, PgError> {
    let Some(row) = client.query_opt(DESCRIBE, &[&schema.as_str(), &table.as_str()]).await? else {
        return Ok(None);
    };
    let json: &str = row.try_get(0)?;
    let document: Document = serde_json::from_str(json)
        .map_err(|_| PgError::Driver("the catalogue's answer has another shape than asked for".to_owned()))?;
    Ok(Some(document.into()))
}

/// Whether the table holds no row. Reads one row at most.
///
/// # Errors
/// What the server or the line says.
pub async fn is_empty(
    client: &impl GenericClient,
    schema: &PgIdent,
    table: &PgIdent,
) -> Result<bool, PgError> {
    let sql = format!("select not exists (select 1 from {}.{})", schema.quoted(), table.quoted());
    Ok(client.query_one(&sql, &[]).await?.try_get(0)?)
}

/// The greatest value of a column as text in the session's ISO style, among the rows of `condition` (SQL of this
/// program, never of a user) where one is given; `None` where there is none. Scans the table unless an index
/// helps.
///
/// # Errors
/// What the server or the line says.
pub async fn max_as_text(
    client: &impl GenericClient,
    schema: &PgIdent,
    table: &PgIdent,
    column: &PgIdent,
    condition: Option<&str>,
) -> Result<Option<String>, PgError> {
    let condition = condition.map(|sql| format!(" where {sql}")).unwrap_or_default();
    let sql = format!(
        "select max({})::text from {}.{}{condition}",
        column.quoted(),
        schema.quoted(),
        table.quoted()
    );
    Ok(client.query_one(&sql, &[]).await?.try_get(0)?)
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<PgIdent>, D::Error> {
    Ok(Option::<Vec<PgIdent>>::deserialize(input)?.unwrap_or_default())
}

/// The answer of describe.sql.
#[derive(Deserialize)]
struct Document {
    relkind: RelationKind,
    columns: Vec<ColumnDocument>,
    unique_indexes: Vec<UniqueIndex>,
    foreign_keys: Vec<ForeignKey>,
    referenced_by: Vec<ForeignKey>,
    triggers: Vec<String>,
    has_rules: bool,
    row_security_active: bool,
    privileges: Privileges,
    estimated_rows: Option<i64>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the catalogue's own flags")]
struct ColumnDocument {
    name: PgIdent,
    type_name: String,
    type_schema: String,
    type_kind: String,
    type_text: String,
    typmod: i32,
    nullable: bool,
    has_default: bool,
    generated: bool,
    identity: Identity,
    collation: Option<String>,
    collation_deterministic: bool,
    enum_labels: Vec<String>,
}

impl From<Document> for TargetTable {
    fn from(document: Document) -> Self {
        Self {
            kind: document.relkind,
            columns: document.columns.into_iter().map(TargetColumn::from).collect(),
            unique_indexes: document.unique_indexes,
            foreign_keys: document.foreign_keys,
            referenced_by: document.referenced_by,
            triggers: document.triggers,
            has_rules: document.has_rules,
            row_security_active: document.row_security_active,
            privileges: document.privileges,
            estimated_rows: document.estimated_rows,
        }
    }
}

impl From<ColumnDocument> for TargetColumn {
    fn from(column: ColumnDocument) -> Self {
        let target_type = column_type::target_type(
            (&column.type_schema, &column.type_name),
            &column.type_kind,
            column.typmod,
            &column.enum_labels,
        );
        Self {
            name: column.name,
            column_type: match target_type {
                Some(found) => ColumnType::Loadable(found),
                None => ColumnType::Unsupported(column.type_text.clone()),
            },
            type_text: column.type_text,
            nullable: column.nullable,
            has_default: column.has_default,
            generated: column.generated,
            identity: column.identity,
            collation: column.collation,
            collation_deterministic: column.collation_deterministic,
            enum_labels: column.enum_labels,
        }
    }
}
