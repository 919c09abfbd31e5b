//! Which module answers which statement; a kind that has no arm is refused.

use std::collections::BTreeMap;

use sqlparser::ast::{Query, Statement};

use crate::bind::{At, Binder, OnBadText, OutColumn, Scope, Session};
use crate::catalog::Catalog;
use crate::encode::Cell;
use crate::engine::Engine;
use crate::error::SqlError;
use crate::parse::Parsed;
use crate::request::{Column, ExecuteRequest, QueryOutput, StatementKind};
use crate::rows::RowStream;
use crate::sql_type::SqlType;
use crate::{ddl, dml, show, time_travel};

/// Pages from which a table counts as large: about 100,000 short rows.
const LARGE_TABLE_PAGES: i64 = 2_000;

/// Executes one parsed statement.
pub(crate) async fn execute(
    engine: &Engine,
    request: &ExecuteRequest,
    parsed: Parsed,
) -> Result<QueryOutput, SqlError> {
    let catalog = engine.catalog().await?;
    let mut session = Session::new(request, engine.shared.options.seed);
    let statement = match parsed {
        Parsed::Show(words) => return show::by_words(&catalog, &session, &words),
        Parsed::Statement(statement) => *statement,
    };
    session.moments = moments(engine, &catalog, &session, time_travel::find_moments(&statement)?).await?;
    match statement {
        Statement::Query(query) => select(engine, &catalog, &mut session, &query).await,
        Statement::Insert(insert) => dml::insert(engine, &catalog, &session, &insert).await,
        Statement::Update(update) => dml::update(engine, &catalog, &session, &update).await,
        Statement::Delete(delete) => dml::delete(engine, &catalog, &session, &delete).await,
        Statement::Truncate(truncate) => dml::truncate(engine, &catalog, &session, &truncate).await,
        Statement::CreateTable(create) => ddl::create_table(engine, &catalog, &session, &create).await,
        Statement::CreateView(create) => ddl::create_view(engine, &catalog, &session, &create).await,
        other => match show::answer_for(engine, &catalog, &session, &other).await? {
            Some(output) => Ok(output),
            None => ddl::other(engine, &catalog, &session, other).await,
        },
    }
}

async fn select(
    engine: &Engine,
    catalog: &Catalog,
    session: &mut Session<'_>,
    query: &Query,
) -> Result<QueryOutput, SqlError> {
    let client = engine.client().await?;
    if session.order_seed.is_some() {
        let large = "select substr(relname, 2)::bigint, pg_relation_size(oid) / 8192 from pg_class \
                     where relnamespace = 'sfd'::regnamespace and relkind = 'r' \
                     and pg_relation_size(oid) / 8192 >= $1";
        for row in client.query(large, &[&LARGE_TABLE_PAGES]).await? {
            let pages: i64 = row.get(1);
            session.large_tables.insert(row.get(0), pages.unsigned_abs());
        }
    }
    let binder = Binder::new(catalog, session);
    let bound = binder.top_query(query)?;
    let tables = binder.tables();
    tracing::debug!(columns = bound.columns.len(), "running a query");
    let cells = bound.columns.iter().map(|column| Cell::of(column.sql_type)).collect();
    let rows = RowStream::start(client, &bound.sql, cells).await?;
    Ok(QueryOutput {
        columns: bound.columns.into_iter().map(described).collect(),
        kind: StatementKind::Query,
        tables,
        rows,
    })
}

/// Computes the constants of AT clauses: `CURRENT_TIMESTAMP` and arithmetic are allowed there.
async fn moments(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    clauses: Vec<At>,
) -> Result<BTreeMap<String, i64>, SqlError> {
    let mut known = BTreeMap::new();
    for at in clauses {
        let key = at.key();
        if known.contains_key(&key) {
            continue;
        }
        let binder = Binder::new(catalog, session);
        let sql = match &at {
            At::Timestamp(expr) => {
                let value = binder.expr(expr, &Scope::default())?;
                // A bare text is TIMESTAMP_NTZ, and that is read as UTC here.
                let value = match value.sql_type {
                    SqlType::Text { .. } | SqlType::Date => {
                        binder.cast(&value, SqlType::TimestampNtz { scale: 9 }, OnBadText::Fail)?
                    }
                    _ => value,
                };
                let seconds = match value.sql_type {
                    SqlType::TimestampNtz { .. } | SqlType::TimestampLtz { .. } => value.sql,
                    SqlType::TimestampTz { .. } => format!("({})[1]", value.sql),
                    other => return Err(SqlError::invalid_types("AT(TIMESTAMP)", &other.to_string())),
                };
                // Time Travel knows milliseconds.
                format!("select (floor({seconds} * 1000) * 1000000)::bigint")
            }
            At::Offset(expr) => {
                let value = binder.numeric(&binder.expr(expr, &Scope::default())?)?;
                format!("select ({} + floor(({})::numeric * 1000) * 1000000)::bigint", session.now, value.sql)
            }
        };
        let client = engine.client().await?;
        let moment: Option<i64> = client.query_one(&sql, &[]).await?.get(0);
        let moment = moment.ok_or_else(|| SqlError::syntax("the time of AT is NULL"))?;
        known.insert(key, moment);
    }
    Ok(known)
}

fn described(column: OutColumn) -> Column {
    let (database, schema, table) = match column.source {
        Some(source) => (source.database, source.schema, source.name),
        None => Default::default(),
    };
    Column {
        name: column.name,
        sql_type: column.sql_type,
        nullable: column.nullable,
        database,
        schema,
        table,
    }
}

/// An answer made here: texts, already encoded.
pub(crate) fn answer(
    kind: StatementKind,
    columns: &[(&str, SqlType)],
    rows: Vec<Vec<Option<String>>>,
) -> QueryOutput {
    let columns = columns
        .iter()
        .map(|(name, sql_type)| Column {
            name: (*name).to_owned(),
            sql_type: *sql_type,
            nullable: true,
            database: String::new(),
            schema: String::new(),
            table: String::new(),
        })
        .collect();
    QueryOutput { columns, kind, tables: Vec::new(), rows: RowStream::memory(rows) }
}

/// The one-line answer of DDL.
pub(crate) fn status(text: String) -> QueryOutput {
    answer(StatementKind::Ddl, &[("status", SqlType::TEXT)], vec![vec![Some(text)]])
}
