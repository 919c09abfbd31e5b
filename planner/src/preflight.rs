//! Looks at both ends of every selected table and reports everything that would stop a load, all tables in one go,
//! before anything is written.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream;
use thaw_config::{Config, Finding, Severity, Source};
use thaw_model::{Classify, ErrorReport, PgIdent, SfIdent};
use thaw_postgres::PgError;
use thaw_postgres::catalog::{self, TargetTable};
use thaw_snowflake::SnowflakeError;
use thaw_status::StoreError;

use crate::check::{self, TargetHolds, fault};
use crate::columns::{self, Mapped};
use crate::filter;
use crate::introspect::source::{self, ObjectKind, TimeTravel};
use crate::introspect::target;
use crate::run::reserve::entry_id;
use crate::select::Selected;
use crate::session::{PLANNING_CONCURRENCY, Session};

/// A table that can be loaded.
#[derive(Debug, Clone)]
pub struct Ready<'a> {
    pub selected: Selected<'a>,
    pub mapped: Mapped,
    pub target: TargetTable,
    pub time_travel: TimeTravel,
    /// The source's clock when it was looked at.
    pub server_time: String,
}

/// What a look at both ends gave.
#[derive(Debug, Default)]
pub struct Preflight<'a> {
    /// Every table that passed; all of them where `findings` holds no error.
    pub ready: Vec<Ready<'a>>,
    /// Errors and warnings, in the order of the configuration.
    pub findings: Vec<Finding>,
}

impl Preflight<'_> {
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

/// What is asked once per source.
struct SourceFacts {
    server_time: String,
    histories: HashMap<SfIdent, TimeTravel>,
}

/// Looks. Reads no row of a source, and of a target only whether it has one.
pub async fn preflight<'a>(session: &Session, config: &Config, selected: &[Selected<'a>]) -> Preflight<'a> {
    let mut result = Preflight::default();
    result.findings.extend(check_databases(session, selected).await);
    let mut sources: HashMap<&str, SourceFacts> = HashMap::new();
    for source in distinct_sources(selected) {
        match source_facts(session, config, source, selected).await {
            Ok(facts) => drop(sources.insert(&source.path, facts)),
            Err(error) => {
                result.findings.push(source_fault(&source.path, config.snowflake.url.as_str(), &error));
                // What is wrong with the connection is wrong for every source; it is said once.
                if concerns_connection(&error) {
                    return result;
                }
            }
        }
    }
    if result.has_errors() {
        return result;
    }
    let all = selected;
    let looks = selected.iter().filter_map(|selected| {
        let facts = sources.get(selected.source.path.as_str())?;
        Some(look(session, config, (*selected, all), facts))
    });
    let outcomes: Vec<(Option<Ready<'a>>, Vec<Finding>)> =
        stream::iter(looks).buffered(PLANNING_CONCURRENCY).collect().await;
    for (ready, findings) in outcomes {
        result.ready.extend(ready);
        result.findings.extend(findings);
    }
    let looked_at = result.ready.iter().map(|ready| (ready.selected.entry, &ready.mapped));
    result.findings.extend(check::names::lossy(&looked_at.collect::<Vec<_>>()));
    result
}

async fn check_databases(session: &Session, selected: &[Selected<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for Selected { source, .. } in selected {
        if seen.contains(&source.target_database.as_str()) {
            continue;
        }
        seen.push(&source.target_database);
        if let Err(error) = connect(session, &source.target_database).await {
            let message = format!(
                "database \"{}\" cannot be used: {error}; check postgres.host, port, user, password and sslmode",
                source.target_database
            );
            findings.push(error_at("postgres", message));
        }
    }
    findings
}

async fn connect(session: &Session, database: &str) -> Result<(), PgError> {
    session.pools.pool(database)?.get().await.map(drop)
}

fn distinct_sources<'a>(selected: &[Selected<'a>]) -> Vec<&'a Source> {
    let mut sources: Vec<&'a Source> = Vec::new();
    for Selected { source, .. } in selected {
        if !sources.iter().any(|known| known.path == source.path) {
            sources.push(source);
        }
    }
    sources
}

async fn source_facts(
    session: &Session,
    config: &Config,
    source: &Source,
    selected: &[Selected<'_>],
) -> Result<SourceFacts, SnowflakeError> {
    let wanted =
        selected.iter().filter(|other| other.source.path == source.path).map(|other| &other.entry.source);
    let (server_time, histories) = tokio::try_join!(
        source::server_time(&session.snowflake, config, source),
        source::histories(&session.snowflake, config, source, wanted),
    )?;
    Ok(SourceFacts { server_time: server_time.unwrap_or_default(), histories })
}

async fn look<'a>(
    session: &Session,
    config: &Config,
    (selected, all): (Selected<'a>, &[Selected<'a>]),
    facts: &SourceFacts,
) -> (Option<Ready<'a>>, Vec<Finding>) {
    let Selected { source, entry } = selected;
    let truncated =
        |schema: &PgIdent, name: &PgIdent| all.iter().any(|other| other.truncates(source, (schema, name)));
    let (columns, filtered, described) = tokio::join!(
        source::describe(&session.snowflake, config, source, entry),
        try_filter(session, config, selected, &facts.server_time),
        describe_target(session, selected),
    );
    let mut findings = Vec::new();
    match (&columns, &filtered) {
        (Err(error), _) => {
            let path = format!("{}.source", entry.path);
            findings.push(source_fault(&path, config.snowflake.url.as_str(), error));
        }
        (Ok(_), Err(error)) => {
            let report = ErrorReport::of(error);
            let message = format!(
                "is refused by the source: {} ({}); check its columns and functions",
                report.text,
                error.class()
            );
            findings.push(fault(entry, "source_filter", message));
        }
        (Ok(_), Ok(())) => {}
    }
    let target = match described {
        Ok(Some(target)) => {
            findings.extend(check::relation(entry, &source.target_schema, &target, truncated));
            Some(target)
        }
        Ok(None) => {
            let message = format!(
                "database \"{}\" has no table {}.{}; create it, Thaw does not",
                source.target_database, source.target_schema, entry.target
            );
            findings.push(fault(entry, "target", message));
            None
        }
        Err(error) => {
            findings.push(fault(entry, "target", format!("cannot be described: {error}")));
            None
        }
    };
    let mapped = columns.ok().zip(target.as_ref()).and_then(|(columns, target)| {
        columns::map(entry, &columns, target).map_err(|faults| findings.extend(faults)).ok()
    });
    if let Some((mapped, target)) = mapped.as_ref().zip(target.as_ref()) {
        findings.extend(check::keys(entry, &source.target_schema, target, mapped));
        // What may not be read has been said already.
        if target.kind.is_loadable() && target.privileges.usage && target.privileges.select {
            findings.extend(check_rows((session, config), selected, target, mapped).await);
        }
    }
    findings.extend(check::source(entry, mapped.as_ref(), &facts.server_time));
    findings.extend(mapped.as_ref().map_or_else(Vec::new, |mapped| check::names::declared(entry, mapped)));
    let unlisted = TimeTravel { kind: ObjectKind::Unlisted, created: None };
    let time_travel = facts.histories.get(&entry.source).cloned().unwrap_or(unlisted);
    let ready = mapped.zip(target).map(|(mapped, target)| Ready {
        selected,
        mapped,
        target,
        time_travel,
        server_time: facts.server_time.clone(),
    });
    (ready, findings)
}

/// What cannot be frozen is said elsewhere.
async fn try_filter(
    session: &Session,
    config: &Config,
    Selected { source, entry }: Selected<'_>,
    server_time: &str,
) -> Result<(), SnowflakeError> {
    let frozen =
        entry.source_filter.as_deref().map(|text| filter::freeze(text, server_time, &entry.timezone));
    let Some(filter) = frozen.and_then(Result::ok).and_then(|sent| sent.text) else { return Ok(()) };
    source::try_filter(&session.snowflake, config, source, entry, &filter).await
}

async fn check_rows(
    (session, config): (&Session, &Config),
    selected: Selected<'_>,
    target: &TargetTable,
    mapped: &Mapped,
) -> Vec<Finding> {
    let Selected { source, entry } = selected;
    let look = async {
        let client = session.pools.pool(&source.target_database)?.get().await?;
        if catalog::is_empty(&**client, &source.target_schema, &entry.target).await? {
            return Ok::<_, StoreError>(TargetHolds::Nothing);
        }
        Ok(match thaw_status::rows_left(&client, &entry_id(config, selected)).await {
            Ok(Some(_)) => TargetHolds::RowsOfUnfinishedRun,
            Ok(None) => TargetHolds::Rows,
            Err(error) if error.is_schema_missing() => TargetHolds::Rows,
            Err(error) => return Err(error),
        })
    };
    match look.await {
        Ok(holds) => check::rows(entry, target, mapped, holds),
        Err(error) => vec![fault(entry, "target", format!("cannot be read: {error}"))],
    }
}

async fn describe_target(session: &Session, selected: Selected<'_>) -> Result<Option<TargetTable>, PgError> {
    let client = session.pools.pool(&selected.source.target_database)?.get().await?;
    target::describe(&client, &selected.source.target_schema, &selected.entry.target).await
}

/// Whether another statement would meet the same: the connection or the credentials.
fn concerns_connection(error: &SnowflakeError) -> bool {
    !matches!(error, SnowflakeError::Sql { .. })
}

fn source_fault(path: &str, url: &str, error: &SnowflakeError) -> Finding {
    let report = ErrorReport::of(error);
    if concerns_connection(error) {
        let advice = "check snowflake.account, url, user, rsa_key, role, proxy and ca_file";
        return error_at("snowflake", format!("{url}: {}; {advice}", report.text));
    }
    let advice = "check the name, and that the role may use its database and schema and select from it";
    error_at(path, format!("{} ({}); {advice}", report.text, error.class()))
}

fn error_at(path: &str, message: String) -> Finding {
    Finding { severity: Severity::Error, path: path.to_owned(), line: None, message }
}
