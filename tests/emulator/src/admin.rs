//! The admin endpoint: faults, clocks, the statement log, direct SQL. Plain HTTP, for whoever runs the tests.
//!
//! Everything a test wants to arrange or to ask that a client of the account could not.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use emulator_engine::{ExecuteRequest, SqlError, StatementKind};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock::Advance;
use crate::execution::nanoseconds;
use crate::faults::Rule;
use crate::limits;
use crate::prepared;
use crate::state::Emulator;

type Answer = (StatusCode, Json<Value>);

/// The admin endpoints.
pub(crate) fn router(emulator: Arc<Emulator>) -> Router {
    Router::new()
        .route("/health", get(async || Json(json!({"ready": true}))))
        .route("/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/clock", get(read_clock).post(advance_clock))
        .route("/statements", get(list_statements).delete(clear_statements))
        .route("/expire", post(expire))
        .route("/limits", get(read_limits).post(set_limits))
        .route("/sql", post(execute))
        .route("/answers", post(prepare).delete(clear_prepared))
        .route("/deny", post(deny).delete(allow))
        .route("/replace", post(replace))
        .with_state(emulator)
}

fn ok(value: Value) -> Answer {
    (StatusCode::OK, Json(value))
}

fn refuse(why: impl Into<String>) -> Answer {
    (StatusCode::BAD_REQUEST, Json(json!({"error": why.into()})))
}

async fn list_faults(Shared(emulator): Shared<Arc<Emulator>>) -> Answer {
    ok(json!(emulator.faults.list()))
}

async fn add_fault(
    Shared(emulator): Shared<Arc<Emulator>>,
    rule: Result<Json<Rule>, JsonRejection>,
) -> Answer {
    match rule {
        Ok(Json(rule)) => ok(json!({"id": emulator.faults.add(rule)})),
        Err(error) => refuse(error.body_text()),
    }
}

/// Removes all rules and forgets which tokens have expired.
async fn clear_faults(Shared(emulator): Shared<Arc<Emulator>>) -> Answer {
    emulator.directory.pardon();
    ok(json!({"removed": emulator.faults.remove(None)}))
}

async fn remove_fault(Shared(emulator): Shared<Arc<Emulator>>, Path(id): Path<u64>) -> Answer {
    match emulator.faults.remove(Some(id)) {
        true => ok(json!({"removed": true})),
        false => (StatusCode::NOT_FOUND, Json(json!({"error": format!("there is no rule {id}")}))),
    }
}

async fn read_clock(Shared(emulator): Shared<Arc<Emulator>>) -> Answer {
    ok(json!(emulator.clock.read()))
}

async fn advance_clock(
    Shared(emulator): Shared<Arc<Emulator>>,
    by: Result<Json<Advance>, JsonRejection>,
) -> Answer {
    match by {
        Ok(Json(by)) => {
            emulator.clock.advance(&by);
            ok(json!(emulator.clock.read()))
        }
        Err(error) => refuse(error.body_text()),
    }
}

/// `GET /statements?sql_contains=&query_tag_contains=&scan_cost=`
#[derive(Debug, Deserialize)]
struct LogFilter {
    sql_contains: Option<String>,
    query_tag_contains: Option<String>,
    #[serde(default)]
    scan_cost: bool,
}

async fn list_statements(Shared(emulator): Shared<Arc<Emulator>>, Query(filter): Query<LogFilter>) -> Answer {
    let mut log = emulator.statements.log(|statement| {
        let tag = statement.submission.parameters.query_tag.as_deref().unwrap_or_default();
        contains(&statement.submission.sql, filter.sql_contains.as_deref())
            && filter.query_tag_contains.as_ref().is_none_or(|part| tag.contains(part))
    });
    if filter.scan_cost {
        let mut counted = BTreeMap::new();
        for entry in &mut log {
            let mut rows = 0;
            for table in entry.tables.iter().flatten() {
                if !counted.contains_key(table) {
                    // A table that has gone since counts for nothing.
                    let count = Box::pin(row_count(&emulator, table)).await.unwrap_or(0);
                    counted.insert(table.clone(), count);
                }
                rows += counted.get(table).copied().unwrap_or(0);
            }
            entry.rows_scanned = Some(rows);
        }
    }
    ok(json!(log))
}

fn contains(sql: &str, part: Option<&str>) -> bool {
    part.is_none_or(|part| sql.to_uppercase().contains(&part.to_uppercase()))
}

/// Rows of a table, by its full name as the log has it.
async fn row_count(emulator: &Emulator, table: &str) -> Result<u64, SqlError> {
    let now = nanoseconds(emulator.clock.now_ms());
    let request = ExecuteRequest {
        sql: format!("select count(*) from {table}"),
        timezone: Some("UTC".to_owned()),
        user: "ADMIN".to_owned(),
        now,
        visible_until: now,
        ..ExecuteRequest::default()
    };
    let rows = emulator.engine.execute(request).await?.rows.collect().await?;
    let count = rows.first().and_then(|row| row.first()).and_then(|cell| cell.as_deref()?.parse().ok());
    Ok(count.unwrap_or(0))
}

/// `POST /expire`: results of ended statements, all or some, are gone: 000709.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expiry {
    handle: Option<Uuid>,
    sql_contains: Option<String>,
}

async fn expire(
    Shared(emulator): Shared<Arc<Emulator>>,
    which: Result<Json<Expiry>, JsonRejection>,
) -> Answer {
    match which {
        Ok(Json(which)) => {
            let expired = emulator.statements.expire_now(|statement| {
                which.handle.is_none_or(|handle| statement.handle == handle)
                    && contains(&statement.submission.sql, which.sql_contains.as_deref())
            });
            ok(json!({"expired": expired}))
        }
        Err(error) => refuse(error.body_text()),
    }
}

async fn read_limits(Shared(emulator): Shared<Arc<Emulator>>) -> Answer {
    ok(json!(emulator.limits.read()))
}

async fn set_limits(
    Shared(emulator): Shared<Arc<Emulator>>,
    asked: Result<Json<limits::Asked>, JsonRejection>,
) -> Answer {
    match asked {
        Ok(Json(asked)) => {
            emulator.limits.set(asked);
            ok(json!(emulator.limits.read()))
        }
        Err(error) => refuse(error.body_text()),
    }
}

async fn clear_statements(Shared(emulator): Shared<Arc<Emulator>>) -> Answer {
    emulator.statements.clear_log();
    ok(json!({}))
}

/// `POST /sql`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectSql {
    /// One statement, or several to be executed in order.
    sql: OneOrMany,
    database: Option<String>,
    schema: Option<String>,
    /// The session's time zone; UTC if absent.
    timezone: Option<String>,
    /// Commit so many seconds before the virtual clock's now.
    #[serde(default)]
    seconds_ago: f64,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Executes at once, sees everything, and makes what it commits visible to everybody at once.
async fn execute(
    Shared(emulator): Shared<Arc<Emulator>>,
    body: Result<Json<DirectSql>, JsonRejection>,
) -> Answer {
    let direct = match body {
        Ok(Json(direct)) => direct,
        Err(error) => return refuse(error.body_text()),
    };
    let statements = match &direct.sql {
        OneOrMany::One(sql) => std::slice::from_ref(sql),
        OneOrMany::Many(list) => list.as_slice(),
    };
    let mut last = json!({});
    for sql in statements {
        match Box::pin(execute_one(&emulator, sql, &direct)).await {
            Ok(answer) => last = answer,
            Err(error) => {
                let body = json!({
                    "error": error.message, "code": error.code, "sql_state": error.sql_state, "sql": sql,
                });
                return (StatusCode::UNPROCESSABLE_ENTITY, Json(body));
            }
        }
    }
    emulator.reveal_commits();
    ok(last)
}

async fn execute_one(emulator: &Emulator, sql: &str, direct: &DirectSql) -> Result<Value, SqlError> {
    let ago = std::time::Duration::try_from_secs_f64(direct.seconds_ago).unwrap_or_default();
    let now = nanoseconds(emulator.clock.now_ms()) - i128::try_from(ago.as_nanos()).unwrap_or(0);
    let request = ExecuteRequest {
        sql: sql.to_owned(),
        database: direct.database.clone(),
        schema: direct.schema.clone(),
        timezone: Some(direct.timezone.clone().unwrap_or_else(|| "UTC".to_owned())),
        user: "ADMIN".to_owned(),
        account: emulator.directory.account().to_owned(),
        now,
        visible_until: now,
        ..ExecuteRequest::default()
    };
    let output = emulator.engine.execute(request).await?;
    let columns: Vec<_> = output.columns.iter().map(|column| column.name.clone()).collect();
    let changed = match output.kind {
        StatementKind::Dml { inserted, updated, deleted } => {
            json!({"inserted": inserted, "updated": updated, "deleted": deleted})
        }
        StatementKind::Query | StatementKind::Ddl => Value::Null,
    };
    Ok(json!({"columns": columns, "rows": output.rows.collect().await?, "changed": changed}))
}

/// Answers statements with the rows of another one from now on.
async fn prepare(
    Shared(emulator): Shared<Arc<Emulator>>,
    answer: Result<Json<prepared::Answer>, JsonRejection>,
) -> Answer {
    match answer {
        Ok(Json(answer)) => {
            emulator.prepared.add(answer);
            ok(json!({}))
        }
        Err(error) => refuse(error.body_text()),
    }
}

async fn clear_prepared(Shared(emulator): Shared<Arc<Emulator>>) -> Answer {
    ok(json!({"removed": emulator.prepared.clear()}))
}

/// `POST /deny`, `DELETE /deny`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Denial {
    role: String,
    database: String,
    schema: String,
    table: String,
}

/// Hides a table from a role: 002003, as if it did not exist.
async fn deny(Shared(emulator): Shared<Arc<Emulator>>, body: Result<Json<Denial>, JsonRejection>) -> Answer {
    match body {
        Ok(Json(what)) => {
            outcome(emulator.engine.deny(&what.role, &what.database, &what.schema, &what.table).await)
        }
        Err(error) => refuse(error.body_text()),
    }
}

async fn allow(Shared(emulator): Shared<Arc<Emulator>>, body: Result<Json<Denial>, JsonRejection>) -> Answer {
    match body {
        Ok(Json(what)) => {
            outcome(emulator.engine.allow(&what.role, &what.database, &what.schema, &what.table).await)
        }
        Err(error) => refuse(error.body_text()),
    }
}

/// `POST /replace`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    database: String,
    schema: String,
    table: String,
}

/// CREATE OR REPLACE with the same rows, as dbt does at night: Time Travel before it is 000707 from now on.
async fn replace(
    Shared(emulator): Shared<Arc<Emulator>>,
    body: Result<Json<Replacement>, JsonRejection>,
) -> Answer {
    match body {
        Ok(Json(what)) => {
            let now = nanoseconds(emulator.clock.now_ms());
            let replaced =
                emulator.engine.replace_table(&what.database, &what.schema, &what.table, now).await;
            emulator.reveal_commits();
            outcome(replaced)
        }
        Err(error) => refuse(error.body_text()),
    }
}

fn outcome(result: Result<(), SqlError>) -> Answer {
    match result {
        Ok(()) => ok(json!({})),
        Err(error) => {
            let body = json!({"error": error.message, "code": error.code, "sql_state": error.sql_state});
            (StatusCode::UNPROCESSABLE_ENTITY, Json(body))
        }
    }
}
