//! Changes of the catalogue and of the tables behind it: each function is one transaction's work.

use deadpool_postgres::Transaction;

use crate::catalog::{ColumnEntry, TableEntry, TableName};
use crate::error::SqlError;

/// What CREATE TABLE or CREATE VIEW records.
#[derive(Debug)]
pub(crate) struct NewTable {
    pub(crate) name: TableName,
    pub(crate) created_at: i64,
    pub(crate) retention_days: i32,
    pub(crate) transient: bool,
    pub(crate) view_sql: Option<String>,
    pub(crate) comment: String,
    pub(crate) columns: Vec<ColumnEntry>,
}

/// Makes every cache of the catalogue stale, and lets one change happen at a time.
pub(crate) async fn touch(transaction: &Transaction<'_>) -> Result<(), SqlError> {
    transaction.execute("update sfe.versions set catalog = catalog + 1", &[]).await?;
    Ok(())
}

pub(crate) async fn create_schema(
    transaction: &Transaction<'_>,
    database: &str,
    schema: &str,
    now: i64,
) -> Result<(), SqlError> {
    let insert = "insert into sfe.schemas values ($1, $2, $3) on conflict do nothing";
    transaction.execute(insert, &[&database, &schema, &now]).await?;
    Ok(())
}

pub(crate) async fn create_database(
    transaction: &Transaction<'_>,
    database: &str,
    now: i64,
) -> Result<(), SqlError> {
    let insert = "insert into sfe.databases values ($1, $2) on conflict do nothing";
    transaction.execute(insert, &[&database, &now]).await?;
    create_schema(transaction, database, "PUBLIC", now).await
}

/// Records a table and creates its PostgreSQL table; gives that table's name.
pub(crate) async fn create_table(
    transaction: &Transaction<'_>,
    table: &NewTable,
) -> Result<String, SqlError> {
    let kind = if table.view_sql.is_some() { "view" } else { "table" };
    let name = &table.name;
    let insert = "insert into sfe.tables (database_name, schema_name, name, kind, created_at, altered_at, \
                  retention_days, transient, view_sql, comment) \
                  values ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9) returning id";
    let row = transaction
        .query_one(
            insert,
            &[
                &name.database,
                &name.schema,
                &name.name,
                &kind,
                &table.created_at,
                &table.retention_days,
                &table.transient,
                &table.view_sql,
                &table.comment,
            ],
        )
        .await?;
    let id: i64 = row.get(0);
    for column in &table.columns {
        insert_column(transaction, id, column).await?;
    }
    let physical = format!("sfd.t{id}");
    if table.view_sql.is_none() {
        let columns: Vec<String> =
            table.columns.iter().map(|column| format!(", {}", column_ddl(column))).collect();
        let create = format!(
            "create table {physical} (valid_from bigint not null, valid_to bigint not null default {}{}) \
             with (autovacuum_enabled = true)",
            i64::MAX,
            columns.concat()
        );
        transaction.batch_execute(&create).await?;
    }
    Ok(physical)
}

pub(crate) async fn drop_table(transaction: &Transaction<'_>, table: &TableEntry) -> Result<(), SqlError> {
    transaction.execute("delete from sfe.tables where id = $1", &[&table.id]).await?;
    if table.view_sql.is_none() {
        transaction.batch_execute(&format!("drop table {}", table.physical())).await?;
    }
    Ok(())
}

pub(crate) async fn add_column(
    transaction: &Transaction<'_>,
    table: &TableEntry,
    column: &ColumnEntry,
) -> Result<(), SqlError> {
    insert_column(transaction, table.id, column).await?;
    transaction
        .batch_execute(&format!("alter table {} add {}", table.physical(), column_ddl(column)))
        .await?;
    Ok(())
}

pub(crate) async fn drop_column(
    transaction: &Transaction<'_>,
    table: &TableEntry,
    column: &ColumnEntry,
) -> Result<(), SqlError> {
    let delete = "delete from sfe.columns where table_id = $1 and ordinal = $2";
    transaction.execute(delete, &[&table.id, &column.ordinal]).await?;
    let drop = format!("alter table {} drop column {}", table.physical(), column.physical());
    transaction.batch_execute(&drop).await?;
    Ok(())
}

pub(crate) async fn set_retention(
    transaction: &Transaction<'_>,
    table: &TableEntry,
    days: i32,
) -> Result<(), SqlError> {
    let update = "update sfe.tables set retention_days = $2 where id = $1";
    transaction.execute(update, &[&table.id, &days]).await?;
    Ok(())
}

async fn insert_column(
    transaction: &Transaction<'_>,
    table: i64,
    column: &ColumnEntry,
) -> Result<(), SqlError> {
    let insert = "insert into sfe.columns values ($1, $2, $3, $4, $5, $6, $7, $8)";
    transaction
        .execute(
            insert,
            &[
                &table,
                &column.ordinal,
                &column.name,
                &column.sql_type.to_string(),
                &column.nullable,
                &column.key_position,
                &column.default_sql,
                &column.comment,
            ],
        )
        .await?;
    Ok(())
}

fn column_ddl(column: &ColumnEntry) -> String {
    let not_null = if column.nullable { "" } else { " not null" };
    format!("{} {}{not_null}", column.physical(), column.sql_type.storage())
}
