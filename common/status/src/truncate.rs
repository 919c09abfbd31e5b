//! Emptying a target, once per execution, inside the start transaction; together with the tables of the run that refer
//! to it and are emptied as well, for PostgreSQL refuses one without the others. Never CASCADE: that would empty tables
//! nobody named.

use thaw_model::{PgIdent, RunId, TableId};
use tokio_postgres::Transaction;

use crate::error::StoreError;
use crate::start::qualified;
use crate::{activity, row};

const MEMBERS: &str = include_str!("sql/list_tables_to_truncate.sql");
const FROM_OUTSIDE: &str = include_str!("sql/list_references_from_outside.sql");
const MARK: &str = include_str!("sql/mark_truncated.sql");

/// Truncates `target` and those of the locked tables `together` that nobody has truncated for them, and marks them.
/// False: a table that refers to one of them is not planned yet, so that nobody knows whether it goes with them.
pub(crate) async fn once(
    transaction: &Transaction<'_>,
    (run, table): (RunId, TableId),
    target: &str,
    together: &[i64],
) -> Result<bool, StoreError> {
    let group = Group::read(transaction, (table, target), together, false).await?;
    if !group.tables.contains(&table.0) {
        return Ok(true);
    }
    if group.is_referenced(transaction, run).await? == Referenced::Early {
        return Ok(false);
    }
    group.truncate(transaction, (run, table)).await?;
    Ok(true)
}

/// The same for a fresh execution: those that go with the target have not been started, so that they are empty still.
pub(crate) async fn again(
    transaction: &Transaction<'_>,
    (run, table): (RunId, TableId),
    target: &str,
    together: &[i64],
) -> Result<(), StoreError> {
    let group = Group::read(transaction, (table, target), together, true).await?;
    // What is not planned yet makes PostgreSQL refuse: no table is emptied that may not be.
    group.is_referenced(transaction, run).await?;
    group.truncate(transaction, (run, table)).await
}

/// Whether a table outside of a group refers into it; one that stays there is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Referenced {
    No,
    Early,
}

/// Tables that are emptied by one statement, and their quoted names.
struct Group {
    tables: Vec<i64>,
    targets: Vec<String>,
}

impl Group {
    async fn read(
        transaction: &Transaction<'_>,
        (table, target): (TableId, &str),
        together: &[i64],
        even_marked: bool,
    ) -> Result<Self, StoreError> {
        let mut group = Self { tables: Vec::new(), targets: Vec::new() };
        for row in &transaction.query(MEMBERS, &[&together, &even_marked]).await? {
            let id = row::table_id(row)?;
            group.tables.push(id.0);
            group.targets.push(if id == table {
                target.to_owned()
            } else {
                let schema = PgIdent::exact(row.try_get::<_, String>("target_schema")?);
                qualified(&schema, &PgIdent::exact(row.try_get::<_, String>("target_table")?))
            });
        }
        Ok(group)
    }

    async fn is_referenced(
        &self,
        transaction: &Transaction<'_>,
        run: RunId,
    ) -> Result<Referenced, StoreError> {
        let Some(reference) = transaction.query_opt(FROM_OUTSIDE, &[&self.targets, &run.0]).await? else {
            return Ok(Referenced::No);
        };
        if reference.try_get::<_, bool>("is_early")? {
            return Ok(Referenced::Early);
        }
        Err(StoreError::TruncateReferenced {
            table: reference.try_get("table_name")?,
            constraint: reference.try_get("constraint_name")?,
        })
    }

    async fn truncate(
        &self,
        transaction: &Transaction<'_>,
        table: (RunId, TableId),
    ) -> Result<(), StoreError> {
        lock_exclusively(transaction, table, &self.targets).await?;
        transaction.batch_execute(&format!("truncate table {}", self.targets.join(", "))).await?;
        transaction.execute(MARK, &[&self.tables]).await?;
        Ok(())
    }
}

/// Locks targets against everybody.
pub(crate) async fn lock_exclusively(
    transaction: &Transaction<'_>,
    (run, table): (RunId, TableId),
    targets: &[String],
) -> Result<(), StoreError> {
    let name = activity::of_table(run, table, "start");
    activity::begin(transaction, &name, activity::EXCLUSIVE).await?;
    transaction.batch_execute(&format!("lock table {} in access exclusive mode", targets.join(", "))).await?;
    activity::begin(transaction, &name, activity::START).await
}
