//! CREATE, DROP and ALTER of databases, schemas, tables and views.

use deadpool_postgres::Transaction;
use sqlparser::ast::{
    AlterTable, AlterTableOperation, ColumnDef, ColumnOption, CreateTable, CreateTableOptions, CreateView,
    Expr, ObjectName, ObjectType, SchemaName, SqlOption, Statement, TableConstraint,
};

use crate::bind::{Binder, BoundQuery, Session};
use crate::catalog::{Catalog, ColumnEntry, TableEntry, TableName};
use crate::catalog_store::{self, NewTable};
use crate::dispatch::status;
use crate::engine::Engine;
use crate::error::SqlError;
use crate::names;
use crate::request::QueryOutput;
use crate::sql_type::SqlType;

pub(crate) async fn create_table(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    create: &CreateTable,
) -> Result<QueryOutput, SqlError> {
    let is_plain = !create.external
        && !create.dynamic
        && !create.iceberg
        && !create.temporary
        && create.like.is_none()
        && create.clone.is_none()
        && create.inherits.is_none();
    if !is_plain {
        return Err(SqlError::unsupported(
            "CREATE TABLE that is temporary, external, dynamic, LIKE or CLONE",
        ));
    }
    let name = names::table(&create.name, session.request)?;
    require_schema(catalog, &name)?;
    if catalog.tables.contains_key(&name) && !create.or_replace {
        if create.if_not_exists {
            return Ok(status(format!("{} already exists, statement succeeded.", name.name)));
        }
        return Err(already_exists(&name));
    }
    let binder = Binder::new(catalog, session);
    let mut columns = read_columns(create)?;
    let mut fill = None;
    if let Some(query) = &create.query {
        let bound = binder.query(query, None)?;
        if columns.is_empty() {
            columns = (1_i32..)
                .zip(&bound.columns)
                .map(|(ordinal, column)| plain_column(ordinal, &column.name, column.sql_type))
                .collect();
        } else {
            return Err(SqlError::unsupported("CREATE TABLE with columns AS SELECT"));
        }
        fill = Some(bound);
    }
    if columns.is_empty() {
        return Err(SqlError::syntax("a table needs columns"));
    }
    let days = create.data_retention_time_in_days.unwrap_or(1);
    let table = NewTable {
        name: name.clone(),
        created_at: session.now,
        retention_days: i32::try_from(days.min(90)).unwrap_or(90),
        transient: create.transient,
        view_sql: None,
        comment: String::new(),
        columns,
    };
    let mut client = engine.client().await?;
    let transaction = client.transaction().await?;
    catalog_store::touch(&transaction).await?;
    if let Some(old) = catalog.tables.get(&name) {
        catalog_store::drop_table(&transaction, old).await?;
    }
    let physical = catalog_store::create_table(&transaction, &table).await?;
    if let Some(bound) = fill {
        transaction.execute(&fill_sql(&physical, &table, &bound), &[]).await?;
    }
    transaction.commit().await?;
    Ok(status(format!("Table {} successfully created.", name.name)))
}

/// The rows of CREATE TABLE AS SELECT.
fn fill_sql(physical: &str, table: &NewTable, bound: &BoundQuery) -> String {
    let names: Vec<String> = table.columns.iter().map(ColumnEntry::physical).collect();
    let values: Vec<String> = (1..=names.len()).map(|number| format!("q.o{number}")).collect();
    format!(
        "insert into {physical} (valid_from, {}) select {}, {} from ({}) q",
        names.join(", "),
        table.created_at,
        values.join(", "),
        bound.sql
    )
}

pub(crate) async fn create_view(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    create: &CreateView,
) -> Result<QueryOutput, SqlError> {
    if create.materialized || create.temporary || create.to.is_some() || create.or_alter {
        return Err(SqlError::unsupported("CREATE VIEW that is materialized or temporary"));
    }
    let name = names::table(&create.name, session.request)?;
    require_schema(catalog, &name)?;
    if catalog.tables.contains_key(&name) && !create.or_replace {
        return Err(already_exists(&name));
    }
    let bound = Binder::new(catalog, session).query(&create.query, None)?;
    if !create.columns.is_empty() && create.columns.len() != bound.columns.len() {
        return Err(SqlError::syntax("a view lists a wrong number of columns"));
    }
    let columns = (1_i32..).zip(bound.columns.iter().enumerate()).map(|(ordinal, (index, column))| {
        let name =
            create.columns.get(index).map_or_else(|| column.name.clone(), |new| names::fold(&new.name));
        ColumnEntry { nullable: column.nullable, ..plain_column(ordinal, &name, column.sql_type) }
    });
    let table = NewTable {
        name: name.clone(),
        created_at: session.now,
        retention_days: 1,
        transient: false,
        view_sql: Some(sql_of(&create.query)),
        comment: String::new(),
        columns: columns.collect(),
    };
    let mut client = engine.client().await?;
    let transaction = client.transaction().await?;
    catalog_store::touch(&transaction).await?;
    if let Some(old) = catalog.tables.get(&name) {
        catalog_store::drop_table(&transaction, old).await?;
    }
    catalog_store::create_table(&transaction, &table).await?;
    transaction.commit().await?;
    Ok(status(format!("View {} successfully created.", name.name)))
}

/// The other DDL statements; anything else is refused here.
pub(crate) async fn other(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    statement: Statement,
) -> Result<QueryOutput, SqlError> {
    let mut client = engine.client().await?;
    let transaction = client.transaction().await?;
    catalog_store::touch(&transaction).await?;
    let done = match &statement {
        Statement::CreateDatabase { db_name, if_not_exists, or_replace: false, clone: None, .. } => {
            let name = names::parts(db_name)?.join(".");
            if catalog.databases.contains_key(&name) && !if_not_exists {
                return Err(SqlError::new(
                    "002002",
                    "42710",
                    format!("SQL compilation error:\nObject '{name}' already exists."),
                ));
            }
            catalog_store::create_database(&transaction, &name, session.now).await?;
            format!("Database {name} successfully created.")
        }
        Statement::CreateSchema {
            schema_name: SchemaName::Simple(name),
            if_not_exists,
            or_replace: false,
            clone: None,
            ..
        } => {
            let (database, schema) = names::schema(name, session.request)?;
            if !catalog.databases.contains_key(&database) {
                return Err(SqlError::no_such_object("Database", &database));
            }
            if catalog.schema_exists(&database, &schema) && !if_not_exists {
                return Err(SqlError::new(
                    "002002",
                    "42710",
                    format!("SQL compilation error:\nObject '{schema}' already exists."),
                ));
            }
            catalog_store::create_schema(&transaction, &database, &schema, session.now).await?;
            format!("Schema {schema} successfully created.")
        }
        Statement::Drop { object_type, if_exists, names: dropped, .. } => {
            drop_objects(&transaction, catalog, session, (*object_type, *if_exists, dropped)).await?
        }
        Statement::AlterTable(alter) => alter_table(&transaction, catalog, session, alter).await?,
        other => {
            let text = other.to_string();
            let words: Vec<&str> = text.split_whitespace().take(2).collect();
            return Err(SqlError::unsupported(format!("statement {}", words.join(" "))));
        }
    };
    transaction.commit().await?;
    Ok(status(done))
}

async fn drop_objects(
    transaction: &Transaction<'_>,
    catalog: &Catalog,
    session: &Session<'_>,
    dropped: (ObjectType, bool, &[ObjectName]),
) -> Result<String, SqlError> {
    let (kind, if_exists, list) = dropped;
    let [name] = list else {
        return Err(SqlError::unsupported("DROP of several objects"));
    };
    if !matches!(kind, ObjectType::Table | ObjectType::View) {
        return Err(SqlError::unsupported(format!("DROP {kind}")));
    }
    let name = names::table(name, session.request)?;
    let found = catalog.table(&name, session.request.role.as_deref());
    match found.filter(|table| table.view_sql.is_some() == (kind == ObjectType::View)) {
        Some(table) => {
            catalog_store::drop_table(transaction, table).await?;
            Ok(format!("{} successfully dropped.", name.name))
        }
        None if if_exists => Ok("Drop statement executed successfully.".to_owned()),
        None => Err(SqlError::no_such_object("Table", &names::shown(&name))),
    }
}

async fn alter_table(
    transaction: &Transaction<'_>,
    catalog: &Catalog,
    session: &Session<'_>,
    alter: &AlterTable,
) -> Result<String, SqlError> {
    let table = Binder::new(catalog, session).readable(&names::table(&alter.name, session.request)?)?;
    if table.view_sql.is_some() {
        return Err(SqlError::unsupported("ALTER TABLE of a view"));
    }
    for operation in &alter.operations {
        match operation {
            AlterTableOperation::AddColumn {
                column_def,
                if_not_exists: false,
                column_position: None,
                ..
            } => {
                let next = next_ordinal(transaction, &table).await?;
                let column = read_column(column_def, next)?;
                if !column.nullable || column.default_sql.is_some() || column.key_position.is_some() {
                    return Err(SqlError::unsupported(
                        "ALTER TABLE ADD COLUMN with NOT NULL, DEFAULT or a key",
                    ));
                }
                catalog_store::add_column(transaction, &table, &column).await?;
            }
            AlterTableOperation::DropColumn { column_names, if_exists: false, .. } => {
                for name in column_names {
                    let name = names::fold(name);
                    let column = table.column(&name).ok_or_else(|| SqlError::invalid_identifier(&name))?;
                    catalog_store::drop_column(transaction, &table, column).await?;
                }
            }
            AlterTableOperation::SetTblProperties { table_properties } => {
                for option in table_properties {
                    catalog_store::set_retention(transaction, &table, retention(option)?).await?;
                }
            }
            AlterTableOperation::SetOptionsParens { options } => {
                for option in options {
                    catalog_store::set_retention(transaction, &table, retention(option)?).await?;
                }
            }
            other => return Err(SqlError::unsupported(format!("ALTER TABLE {other}"))),
        }
    }
    Ok("Statement executed successfully.".to_owned())
}

/// Never an ordinal that a dropped column had: PostgreSQL keeps those.
async fn next_ordinal(transaction: &Transaction<'_>, table: &TableEntry) -> Result<i32, SqlError> {
    let sql = format!(
        "select greatest(coalesce(max(ordinal), 0), (select max(attnum)::int from pg_attribute \
         where attrelid = '{}'::regclass)) + 1 from sfe.columns where table_id = $1",
        table.physical()
    );
    Ok(transaction.query_one(&sql, &[&table.id]).await?.get(0))
}

fn retention(option: &SqlOption) -> Result<i32, SqlError> {
    match option {
        SqlOption::KeyValue { key, value: Expr::Value(value) }
            if key.value.eq_ignore_ascii_case("DATA_RETENTION_TIME_IN_DAYS") =>
        {
            value
                .value
                .to_string()
                .parse()
                .map_err(|_| SqlError::syntax("DATA_RETENTION_TIME_IN_DAYS is a number"))
        }
        other => Err(SqlError::unsupported(format!("table option {other}"))),
    }
}

fn read_columns(create: &CreateTable) -> Result<Vec<ColumnEntry>, SqlError> {
    if create.table_options != CreateTableOptions::None {
        return Err(SqlError::unsupported("options of CREATE TABLE"));
    }
    let mut columns = Vec::with_capacity(create.columns.len());
    for (ordinal, definition) in (1_i32..).zip(&create.columns) {
        columns.push(read_column(definition, ordinal)?);
    }
    for constraint in &create.constraints {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                for (position, part) in (1_i32..).zip(&key.columns) {
                    let Expr::Identifier(name) = &part.column.expr else {
                        return Err(SqlError::unsupported("an expression in PRIMARY KEY"));
                    };
                    let name = names::fold(name);
                    let column = columns.iter_mut().find(|column| column.name == name);
                    let column = column.ok_or_else(|| SqlError::invalid_identifier(&name))?;
                    column.key_position = Some(position);
                    column.nullable = false;
                }
            }
            // Recorded by Snowflake, enforced by nobody.
            TableConstraint::Unique(_) | TableConstraint::ForeignKey(_) => {}
            other => return Err(SqlError::unsupported(format!("constraint {other}"))),
        }
    }
    Ok(columns)
}

fn read_column(definition: &ColumnDef, ordinal: i32) -> Result<ColumnEntry, SqlError> {
    let sql_type = SqlType::from_ast(&definition.data_type)?;
    let mut column = plain_column(ordinal, &names::fold(&definition.name), sql_type);
    for option in &definition.options {
        match &option.option {
            ColumnOption::Null | ColumnOption::Unique(_) => {}
            ColumnOption::NotNull => column.nullable = false,
            ColumnOption::Default(expr) => column.default_sql = Some(expr_sql(expr)),
            ColumnOption::PrimaryKey(_) => {
                column.nullable = false;
                column.key_position = Some(1);
            }
            ColumnOption::Comment(text) => column.comment.clone_from(text),
            other => return Err(SqlError::unsupported(format!("column option {other}"))),
        }
    }
    Ok(column)
}

fn plain_column(ordinal: i32, name: &str, sql_type: SqlType) -> ColumnEntry {
    let sql_type = if sql_type == SqlType::Null { SqlType::TEXT } else { sql_type };
    ColumnEntry {
        ordinal,
        name: name.to_owned(),
        sql_type,
        nullable: true,
        key_position: None,
        default_sql: None,
        comment: String::new(),
    }
}

/// The tree as text that parses back: backslashes in constants are escapes again.
fn sql_of(query: &sqlparser::ast::Query) -> String {
    query.to_string().replace('\\', "\\\\")
}

fn expr_sql(expr: &Expr) -> String {
    expr.to_string().replace('\\', "\\\\")
}

fn require_schema(catalog: &Catalog, name: &TableName) -> Result<(), SqlError> {
    if !catalog.databases.contains_key(&name.database) {
        return Err(SqlError::no_such_object("Database", &name.database));
    }
    if !catalog.schema_exists(&name.database, &name.schema) {
        return Err(SqlError::no_such_object("Schema", &format!("{}.{}", name.database, name.schema)));
    }
    Ok(())
}

fn already_exists(name: &TableName) -> SqlError {
    let message = format!("SQL compilation error:\nObject '{}' already exists.", names::shown(name));
    SqlError::new("002002", "42710", message)
}
