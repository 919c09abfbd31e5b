//! The emulator's catalogue as a statement sees it: databases, schemas, tables, views, columns, denials.
//!
//! Read whole and kept until its version in PostgreSQL moves, so that several processes may share one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Object;

use crate::error::SqlError;
use crate::sql_type::SqlType;

/// The exact name of a table or view.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TableName {
    pub(crate) database: String,
    pub(crate) schema: String,
    pub(crate) name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnEntry {
    /// PostgreSQL's column is `c<ordinal>`; never used again after DROP COLUMN.
    pub(crate) ordinal: i32,
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    pub(crate) nullable: bool,
    /// 1-based place in the primary key.
    pub(crate) key_position: Option<i32>,
    /// Snowflake's text of the default.
    pub(crate) default_sql: Option<String>,
    pub(crate) comment: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableEntry {
    /// PostgreSQL's table is `sfd.t<id>`.
    pub(crate) id: i64,
    pub(crate) name: TableName,
    /// Nanoseconds on the virtual clock.
    pub(crate) created_at: i64,
    pub(crate) altered_at: i64,
    pub(crate) retention_days: i32,
    pub(crate) transient: bool,
    /// The SELECT of a view.
    pub(crate) view_sql: Option<String>,
    pub(crate) comment: String,
    pub(crate) columns: Vec<ColumnEntry>,
}

impl ColumnEntry {
    pub(crate) fn physical(&self) -> String {
        format!("c{}", self.ordinal)
    }
}

impl TableEntry {
    pub(crate) fn physical(&self) -> String {
        format!("sfd.t{}", self.id)
    }

    pub(crate) fn column(&self, name: &str) -> Option<&ColumnEntry> {
        self.columns.iter().find(|column| column.name == name)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) databases: BTreeMap<String, i64>,
    pub(crate) schemas: BTreeMap<(String, String), i64>,
    pub(crate) tables: BTreeMap<TableName, Arc<TableEntry>>,
    denials: HashSet<(String, TableName)>,
}

impl Catalog {
    /// The table as `role` sees it.
    pub(crate) fn table(&self, name: &TableName, role: Option<&str>) -> Option<&Arc<TableEntry>> {
        self.tables.get(name).filter(|_| !self.is_denied(name, role))
    }

    pub(crate) fn is_denied(&self, name: &TableName, role: Option<&str>) -> bool {
        role.is_some_and(|role| self.denials.contains(&(role.to_owned(), name.clone())))
    }

    pub(crate) fn schema_exists(&self, database: &str, schema: &str) -> bool {
        self.schemas.contains_key(&(database.to_owned(), schema.to_owned()))
    }

    /// The names of a database's schemas.
    pub(crate) fn schema_names(&self, database: &str) -> BTreeSet<String> {
        self.schemas.keys().filter(|(owner, _)| owner == database).map(|(_, name)| name.clone()).collect()
    }
}

/// The newest catalogue read, with its version.
#[derive(Debug, Default)]
pub(crate) struct CatalogCache(Mutex<Option<(i64, Arc<Catalog>)>>);

impl CatalogCache {
    pub(crate) async fn current(&self, client: &Object) -> Result<Arc<Catalog>, SqlError> {
        let version: i64 = client.query_one("select catalog from sfe.versions", &[]).await?.get(0);
        if let Some((known, catalog)) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner)
            && *known == version
        {
            return Ok(Arc::clone(catalog));
        }
        let catalog = Arc::new(read(client).await?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, Arc::clone(&catalog)));
        Ok(catalog)
    }
}

async fn read(client: &Object) -> Result<Catalog, SqlError> {
    let mut catalog = Catalog::default();
    for row in client.query("select name, created_at from sfe.databases", &[]).await? {
        catalog.databases.insert(row.get(0), row.get(1));
    }
    for row in client.query("select database_name, name, created_at from sfe.schemas", &[]).await? {
        catalog.schemas.insert((row.get(0), row.get(1)), row.get(2));
    }
    let mut columns: BTreeMap<i64, Vec<ColumnEntry>> = BTreeMap::new();
    let read_columns = "select table_id, ordinal, name, sql_type, nullable, key_position, default_sql, comment \
                        from sfe.columns order by table_id, ordinal";
    for row in client.query(read_columns, &[]).await? {
        let text: String = row.get(3);
        let sql_type = SqlType::parse(&text).ok_or_else(|| {
            SqlError::internal(format!("the catalogue holds a type of another version: {text}"))
        })?;
        columns.entry(row.get(0)).or_default().push(ColumnEntry {
            ordinal: row.get(1),
            name: row.get(2),
            sql_type,
            nullable: row.get(4),
            key_position: row.get(5),
            default_sql: row.get(6),
            comment: row.get(7),
        });
    }
    let read_tables = "select id, database_name, schema_name, name, created_at, altered_at, retention_days, \
                       transient, view_sql, comment from sfe.tables";
    for row in client.query(read_tables, &[]).await? {
        let id: i64 = row.get(0);
        let name = TableName { database: row.get(1), schema: row.get(2), name: row.get(3) };
        let entry = TableEntry {
            id,
            name: name.clone(),
            created_at: row.get(4),
            altered_at: row.get(5),
            retention_days: row.get(6),
            transient: row.get(7),
            view_sql: row.get(8),
            comment: row.get(9),
            columns: columns.remove(&id).unwrap_or_default(),
        };
        catalog.tables.insert(name, Arc::new(entry));
    }
    for row in client.query("select role, database_name, schema_name, name from sfe.denials", &[]).await? {
        let name = TableName { database: row.get(1), schema: row.get(2), name: row.get(3) };
        catalog.denials.insert((row.get(0), name));
    }
    Ok(catalog)
}
