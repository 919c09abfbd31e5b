//! INSERT, UPDATE, DELETE and TRUNCATE as history: nothing is overwritten, versions are closed and opened.
//!
//! DML sees the newest committed state, whatever queries of other sessions see yet. One statement writes a table at
//! a time, as Snowflake's table lock has it.

use deadpool_postgres::{Object, Transaction};
use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, FromTable, Insert, ObjectName, TableFactor, TableObject,
    TableWithJoins, Truncate, Update,
};

use crate::bind::{Binder, Bound, Relation, Scope, ScopeColumn, Session};
use crate::catalog::{Catalog, ColumnEntry, TableEntry};
use crate::dispatch::{answer, status};
use crate::engine::Engine;
use crate::error::SqlError;
use crate::names;
use crate::request::{QueryOutput, StatementKind};
use crate::sql_type::SqlType;

const COUNT: SqlType = SqlType::Number { precision: 19, scale: 0 };
const CURRENT: i64 = i64::MAX;

pub(crate) async fn insert(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    insert: &Insert,
) -> Result<QueryOutput, SqlError> {
    let TableObject::TableName(name) = &insert.table else {
        return Err(SqlError::unsupported("INSERT into something that is no table"));
    };
    let is_plain = insert.or.is_none()
        && !insert.ignore
        && insert.assignments.is_empty()
        && insert.partitioned.is_none()
        && insert.after_columns.is_empty()
        && insert.on.is_none()
        && insert.returning.is_none()
        && insert.table_alias.is_none()
        && insert.multi_table_insert_type.is_none();
    let Some(source) = insert.source.as_ref().filter(|_| is_plain) else {
        return Err(SqlError::unsupported("this form of INSERT"));
    };
    let binder = Binder::new(catalog, session);
    let table = base_table(&binder, name)?;
    let mut targets = Vec::new();
    for column in &insert.columns {
        let name = names::parts(column)?.pop().unwrap_or_default();
        targets.push(table.column(&name).ok_or_else(|| SqlError::invalid_identifier(&name))?);
    }
    if targets.is_empty() {
        targets.extend(&table.columns);
    }
    let query = binder.query(source, None)?;
    if query.columns.len() != targets.len() {
        let message = format!(
            "SQL compilation error:\nInsert value list does not match column list expecting {} but got {}",
            targets.len(),
            query.columns.len()
        );
        return Err(SqlError::new("002020", "21S01", message));
    }
    let mut columns = vec!["valid_from".to_owned()];
    let mut values = vec![session.now.to_string()];
    for column in &table.columns {
        let position = targets.iter().position(|target| target.ordinal == column.ordinal);
        let value = match position {
            Some(index) => {
                let from = &query.columns[index];
                Bound::new(format!("q.o{}", index + 1), from.sql_type, from.nullable)
            }
            None => default_value(&binder, column)?,
        };
        columns.push(column.physical());
        values.push(assigned(&binder, &value, column)?);
    }
    let sql = format!(
        "insert into {} ({}) select {} from ({}) q",
        table.physical(),
        columns.join(", "),
        values.join(", "),
        query.sql
    );
    let mut client = engine.client().await?;
    let transaction = begin(&mut client, &table).await?;
    if insert.overwrite {
        transaction.execute(&close_all(&table, session), &[]).await?;
    }
    let inserted = transaction.execute(&sql, &[]).await?;
    transaction.commit().await?;
    Ok(counts(&[("number of rows inserted", inserted)], (inserted, 0, 0)))
}

pub(crate) async fn update(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    update: &Update,
) -> Result<QueryOutput, SqlError> {
    if update.from.is_some()
        || update.returning.is_some()
        || !update.order_by.is_empty()
        || update.limit.is_some()
    {
        return Err(SqlError::unsupported("UPDATE with FROM, RETURNING, ORDER BY or LIMIT"));
    }
    let binder = Binder::new(catalog, session);
    let (table, scope) = target(&binder, &update.table, "h")?;
    let condition = condition(&binder, update.selection.as_ref(), &scope)?;
    let (_, closed) = target(&binder, &update.table, "closed")?;
    let mut columns = vec!["valid_from".to_owned()];
    let mut values = vec![session.now.to_string()];
    let mut left = update.assignments.len();
    for column in &table.columns {
        let new = update.assignments.iter().find(|assignment| is_target(assignment, &column.name));
        columns.push(column.physical());
        values.push(match new {
            None => format!("closed.{}", column.physical()),
            Some(assignment) => {
                left -= 1;
                assigned(&binder, &binder.expr(&assignment.value, &closed)?, column)?
            }
        });
    }
    if left > 0 {
        return Err(SqlError::syntax("UPDATE sets a column that the table does not have, or one twice"));
    }
    let sql = format!(
        "with closed as (update {physical} h set valid_to = {now} where h.valid_to = {CURRENT}{condition} returning h.*) \
         insert into {physical} ({}) select {} from closed",
        columns.join(", "),
        values.join(", "),
        physical = table.physical(),
        now = session.now,
    );
    let mut client = engine.client().await?;
    let transaction = begin(&mut client, &table).await?;
    let updated = transaction.execute(&sql, &[]).await?;
    transaction.commit().await?;
    let row = [("number of rows updated", updated), ("number of multi-joined rows updated", 0)];
    Ok(counts(&row, (0, updated, 0)))
}

pub(crate) async fn delete(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    delete: &Delete,
) -> Result<QueryOutput, SqlError> {
    let from = match &delete.from {
        FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from) => from,
    };
    let is_plain = delete.tables.is_empty()
        && delete.using.is_none()
        && delete.returning.is_none()
        && delete.order_by.is_empty()
        && delete.limit.is_none();
    let ([item], true) = (from.as_slice(), is_plain) else {
        return Err(SqlError::unsupported("DELETE with USING, RETURNING, ORDER BY or LIMIT"));
    };
    let binder = Binder::new(catalog, session);
    let (table, scope) = target(&binder, item, "h")?;
    let condition = condition(&binder, delete.selection.as_ref(), &scope)?;
    let mut client = engine.client().await?;
    let transaction = begin(&mut client, &table).await?;
    let sql = format!("{}{condition}", close_all(&table, session));
    let deleted = transaction.execute(&sql, &[]).await?;
    transaction.commit().await?;
    Ok(counts(&[("number of rows deleted", deleted)], (0, 0, deleted)))
}

pub(crate) async fn truncate(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    truncate: &Truncate,
) -> Result<QueryOutput, SqlError> {
    let binder = Binder::new(catalog, session);
    let [item] = truncate.table_names.as_slice() else {
        return Err(SqlError::unsupported("TRUNCATE of several tables"));
    };
    if truncate.partitions.is_some() || truncate.identity.is_some() || truncate.cascade.is_some() {
        return Err(SqlError::unsupported("TRUNCATE with options"));
    }
    let table = match base_table(&binder, &item.name) {
        Err(error) if truncate.if_exists && error.code == "002003" => {
            return Ok(status("Statement executed successfully.".to_owned()));
        }
        other => other?,
    };
    let mut client = engine.client().await?;
    let transaction = begin(&mut client, &table).await?;
    transaction.execute(&close_all(&table, session), &[]).await?;
    transaction.commit().await?;
    Ok(status("Statement executed successfully.".to_owned()))
}

/// Locks the table against other writers until the transaction ends.
async fn begin<'c>(client: &'c mut Object, table: &TableEntry) -> Result<Transaction<'c>, SqlError> {
    let transaction = client.transaction().await?;
    transaction
        .execute("select pg_advisory_xact_lock(5157002, $1)", &[&i32::try_from(table.id).unwrap_or(0)])
        .await?;
    Ok(transaction)
}

fn close_all(table: &TableEntry, session: &Session<'_>) -> String {
    format!("update {} h set valid_to = {} where h.valid_to = {CURRENT}", table.physical(), session.now)
}

fn base_table(binder: &Binder<'_>, name: &ObjectName) -> Result<std::sync::Arc<TableEntry>, SqlError> {
    let table = binder.readable(&names::table(name, binder.session.request)?)?;
    if table.view_sql.is_some() {
        return Err(SqlError::unsupported("DML on a view"));
    }
    Ok(table)
}

/// The one table of an UPDATE or DELETE, and a scope in which its columns stand under `alias`.
fn target(
    binder: &Binder<'_>,
    item: &TableWithJoins,
    alias: &str,
) -> Result<(std::sync::Arc<TableEntry>, Scope<'static>), SqlError> {
    let TableFactor::Table { name, alias: shown, version: None, args: None, .. } = &item.relation else {
        return Err(SqlError::unsupported("UPDATE or DELETE of something that is no table"));
    };
    if !item.joins.is_empty() {
        return Err(SqlError::unsupported("UPDATE or DELETE with a join"));
    }
    let table = base_table(binder, name)?;
    let full = &table.name;
    let qualifier = match shown {
        Some(shown) => vec![names::fold(&shown.name)],
        None => vec![full.database.clone(), full.schema.clone(), full.name.clone()],
    };
    let columns = table.columns.iter().map(|column| ScopeColumn {
        name: column.name.clone(),
        sql: format!("{alias}.{}", column.physical()),
        sql_type: column.sql_type,
        nullable: column.nullable,
        source: None,
        is_stored: true,
    });
    let relation = Relation { qualifier, columns: columns.collect(), base: None };
    Ok((table, Scope { relations: vec![relation], ..Scope::default() }))
}

fn condition(
    binder: &Binder<'_>,
    selection: Option<&sqlparser::ast::Expr>,
    scope: &Scope<'_>,
) -> Result<String, SqlError> {
    match selection {
        None => Ok(String::new()),
        Some(selection) => Ok(format!(" and {}", binder.condition(&binder.expr(selection, scope)?)?.sql)),
    }
}

fn is_target(assignment: &Assignment, column: &str) -> bool {
    match &assignment.target {
        AssignmentTarget::ColumnName(name) => {
            names::parts(name).ok().and_then(|mut parts| parts.pop()).is_some_and(|last| last == column)
        }
        AssignmentTarget::Tuple(_) => false,
    }
}

/// The value as the column holds it.
fn assigned(binder: &Binder<'_>, value: &Bound, column: &ColumnEntry) -> Result<String, SqlError> {
    let is_json_from_text = column.sql_type.is_semi_structured() && value.sql_type.is_text();
    if is_json_from_text {
        return Err(SqlError::new(
            "002023",
            "22000",
            format!(
                "SQL compilation error:\nExpression type does not match column data type, expecting {} but got {} for \
                 column {}",
                column.sql_type, value.sql_type, column.name
            ),
        ));
    }
    match (value.sql_type, column.sql_type) {
        // PARSE_JSON gives VARIANT; OBJECT and ARRAY columns take it.
        (SqlType::Variant, SqlType::Object | SqlType::Array) => Ok(value.sql.clone()),
        _ => Ok(binder.coerce(value, column.sql_type)?.sql),
    }
}

fn default_value(binder: &Binder<'_>, column: &ColumnEntry) -> Result<Bound, SqlError> {
    let Some(text) = &column.default_sql else {
        return Ok(Bound::new("null", SqlType::Null, true));
    };
    let query = crate::parse::query(&format!("SELECT {text}"))?;
    let bound = binder.query(&query, None)?;
    Ok(match bound.columns.first() {
        Some(column) => Bound::new(format!("({})", bound.sql), column.sql_type, column.nullable),
        None => Bound::new("null", SqlType::Null, true),
    })
}

fn counts(columns: &[(&str, u64)], kind: (u64, u64, u64)) -> QueryOutput {
    let described: Vec<(&str, SqlType)> = columns.iter().map(|(name, _)| (*name, COUNT)).collect();
    let row = columns.iter().map(|(_, count)| Some(count.to_string())).collect();
    let (inserted, updated, deleted) = kind;
    answer(StatementKind::Dml { inserted, updated, deleted }, &described, vec![row])
}
