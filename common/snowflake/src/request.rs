//! A statement and the body of its POST.
//!
//! Source: docs.snowflake.com/en/developer-guide/sql-api/reference (body of POST /api/v2/statements, and the
//! closed list of parameters it accepts).

use std::time::Duration;

use serde::Serialize;

/// The longest `query_tag` that Snowflake accepts, in characters.
const QUERY_TAG_CHARS_MAX: usize = 2000;

/// One SQL statement and the session it runs in. Names are exact, as the catalogue spells them; what is `None`
/// is the user's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Statement {
    pub sql: String,
    pub database: Option<String>,
    pub schema: Option<String>,
    pub warehouse: Option<String>,
    pub role: Option<String>,
    /// The session time zone; `None`: UTC.
    pub timezone: Option<String>,
    /// What `QUERY_HISTORY` shows; cut to 2000 characters.
    pub query_tag: Option<String>,
    /// The server cancels the statement after this time, and the client gives up a little later. `None`: the
    /// account's `STATEMENT_TIMEOUT_IN_SECONDS`.
    pub timeout: Option<Duration>,
}

impl Statement {
    /// A statement with the user's defaults, in UTC.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), ..Self::default() }
    }
}

#[derive(Serialize)]
pub(crate) struct Body<'a> {
    statement: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warehouse: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    parameters: Parameters<'a>,
}

/// No output format is among them: with one set, a type comes back as formatted text.
#[derive(Serialize)]
struct Parameters<'a> {
    timezone: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query_tag: Option<&'a str>,
    /// A value set on the user would truncate results in silence.
    rows_per_resultset: u32,
    /// Megabytes, uncompressed; the least there is: least memory, most even partitions.
    client_result_chunk_size: u32,
}

impl<'a> Body<'a> {
    pub(crate) fn of(statement: &'a Statement) -> Self {
        Self {
            statement: &statement.sql,
            timeout: statement.timeout.map(whole_seconds),
            database: statement.database.as_deref(),
            schema: statement.schema.as_deref(),
            warehouse: statement.warehouse.as_deref(),
            role: statement.role.as_deref(),
            parameters: Parameters {
                timezone: statement.timezone.as_deref().unwrap_or("UTC"),
                query_tag: statement.query_tag.as_deref().map(cut_tag),
                rows_per_resultset: 0,
                client_result_chunk_size: 16,
            },
        }
    }
}

/// 0 would mean the maximum, a week.
fn whole_seconds(timeout: Duration) -> u64 {
    (timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0)).max(1)
}

fn cut_tag(tag: &str) -> &str {
    tag.char_indices().nth(QUERY_TAG_CHARS_MAX).and_then(|(end, _)| tag.get(..end)).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_sets_what_a_users_defaults_could_spoil_and_no_output_format() {
        let statement = Statement {
            warehouse: Some("WH".into()),
            query_tag: Some("t".repeat(3000)),
            timeout: Some(Duration::from_millis(1500)),
            ..Statement::new("select 1")
        };
        let body = serde_json::to_value(Body::of(&statement)).unwrap();
        assert_eq!(body["statement"], "select 1");
        assert_eq!(body["timeout"], 2);
        assert_eq!(body["warehouse"], "WH");
        assert!(body.get("role").is_none());
        let parameters = body["parameters"].as_object().unwrap();
        assert_eq!(parameters["rows_per_resultset"], 0);
        assert_eq!(parameters["client_result_chunk_size"], 16);
        assert_eq!(parameters["timezone"], "UTC");
        assert_eq!(parameters["query_tag"].as_str().unwrap().len(), 2000);
        assert!(parameters.keys().all(|key| !key.contains("format")));
    }
}
