//! What tests do to an account behind its SQL: denials, replaced tables, quick setup.

use std::sync::Arc;

use crate::catalog::{TableEntry, TableName};
use crate::catalog_store::{self, NewTable};
use crate::engine::Engine;
use crate::error::SqlError;
use crate::names;
use crate::request::ExecuteRequest;
use crate::time_travel;

impl Engine {
    /// Executes a statement for its effect, in the zone UTC, at `now`, seeing everything.
    ///
    /// # Errors
    /// As [`Engine::execute`].
    pub async fn run(&self, sql: &str, database: &str, schema: &str, now: i128) -> Result<(), SqlError> {
        let request = ExecuteRequest {
            sql: sql.to_owned(),
            database: Some(database.to_owned()),
            schema: Some(schema.to_owned()),
            timezone: Some("UTC".to_owned()),
            now,
            visible_until: now,
            ..ExecuteRequest::default()
        };
        self.execute(request).await?.rows.collect().await.map(drop)
    }

    /// Hides a table or view from `role`: it "does not exist or is not authorized" (002003) for it.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn deny(&self, role: &str, database: &str, schema: &str, table: &str) -> Result<(), SqlError> {
        let deny = "insert into sfe.denials values ($1, $2, $3, $4) on conflict do nothing";
        self.change_denial(deny, [role, database, schema, table]).await
    }

    /// Takes [`Engine::deny`] back.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn allow(&self, role: &str, database: &str, schema: &str, table: &str) -> Result<(), SqlError> {
        let allow = "delete from sfe.denials where role = $1 and database_name = $2 and schema_name = $3 and name = $4";
        self.change_denial(allow, [role, database, schema, table]).await
    }

    /// What dbt does at night: a new table of the same name with the same current rows, created and committed at
    /// `now`; AT before it is 000707 from then on.
    ///
    /// # Errors
    /// 002003 when there is no such table.
    pub async fn replace_table(
        &self,
        database: &str,
        schema: &str,
        table: &str,
        now: i128,
    ) -> Result<(), SqlError> {
        let old = self.table_entry(database, schema, table).await?;
        let now = time_travel::clock(now);
        let new = NewTable {
            name: old.name.clone(),
            created_at: now,
            retention_days: old.retention_days,
            transient: old.transient,
            view_sql: None,
            comment: old.comment.clone(),
            columns: old.columns.clone(),
        };
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        catalog_store::touch(&transaction).await?;
        // The old rows must outlive their entry in the catalogue for a moment.
        transaction.execute("delete from sfe.tables where id = $1", &[&old.id]).await?;
        let physical = catalog_store::create_table(&transaction, &new).await?;
        let columns: Vec<String> = old.columns.iter().map(crate::catalog::ColumnEntry::physical).collect();
        let list = columns.join(", ");
        let copy = format!(
            "insert into {physical} (valid_from, {list}) select {now}, {list} from {source} where valid_to = {}; \
             drop table {source}",
            i64::MAX,
            source = old.physical(),
        );
        transaction.batch_execute(&copy).await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn table_entry(
        &self,
        database: &str,
        schema: &str,
        table: &str,
    ) -> Result<Arc<TableEntry>, SqlError> {
        let name =
            TableName { database: database.to_owned(), schema: schema.to_owned(), name: table.to_owned() };
        let catalog = self.catalog().await?;
        let found = catalog.tables.get(&name).filter(|table| table.view_sql.is_none());
        found.cloned().ok_or_else(|| SqlError::no_such_object("Table", &names::shown(&name)))
    }

    async fn change_denial(&self, sql: &str, values: [&str; 4]) -> Result<(), SqlError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        catalog_store::touch(&transaction).await?;
        let [role, database, schema, table] = values;
        transaction.execute(sql, &[&role, &database, &schema, &table]).await?;
        transaction.commit().await?;
        Ok(())
    }
}
