//! `planner check`: everything that would stop a run, all at once. Nothing is written.

use thaw_config::{Config, Finding, Severity};
use thaw_model::ErrorReport;
use thaw_queue::rabbitmq::{RabbitOptions, RabbitQueue};

use thaw_snowflake::Statement;

use crate::check;
use crate::exit::Exit;
use crate::output;
use crate::preflight::{self, Preflight};
use crate::select::{self, Selected};
use crate::session::Session;

/// docs.snowflake.com/en/sql-reference/sql/show-parameters. Thaw's own sessions have the zone of their table.
const SHOW_TIMEZONE: &str = "show parameters like 'TIMEZONE' in account";

/// The configuration was read, which is the whole check.
#[must_use]
pub fn offline(config: &Config) -> Exit {
    output::result(format!("the configuration is valid: {}", summary(config)));
    Exit::Completed
}

/// Connects to both ends and to the broker, and looks at every enabled table.
pub async fn online(config: &Config) -> Exit {
    let mut errors = check_broker(config).await;
    let selected = match select::select(config, &[], &[]) {
        Ok(selected) => selected,
        Err(findings) => {
            output::findings(&findings);
            return Exit::Configuration;
        }
    };
    match Session::new(config) {
        Ok(session) => {
            let looked = preflight::preflight(&session, config, &selected).await;
            output::findings(&looked.findings);
            output::findings(&left_undone(&looked));
            errors += looked.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
            if let Some(zone) = account_timezone(&session, config).await {
                output::result(format!("the account's time zone is {zone}; {}", zones(&selected)));
            }
        }
        Err(error) => {
            output::complaint(format!("error: snowflake: {error}"));
            errors += 1;
        }
    }
    if errors > 0 {
        let noun = if errors == 1 { "error" } else { "errors" };
        output::complaint(format!("{errors} {noun}; nothing was written"));
        return Exit::Configuration;
    }
    output::result(format!("ready to load: {}", summary(config)));
    Exit::Completed
}

/// What a run will leave out because the role does not own its targets; each table of the run says so again.
fn left_undone(looked: &Preflight<'_>) -> Vec<Finding> {
    let not_owned = looked.ready.iter().filter(|ready| !ready.target.privileges.owner);
    not_owned
        .map(|ready| {
            let message = format!(
                "this role is no member of the owner of {}.{}: ANALYZE will be left out after a load, and \
                 disable_index cannot be used",
                ready.selected.source.target_schema, ready.selected.entry.target
            );
            check::warning(ready.selected.entry, "target", message)
        })
        .collect()
}

/// What sessions have that name no zone. `None` where nobody says; what is wrong
/// with the connection has been said by the checks before.
async fn account_timezone(session: &Session, config: &Config) -> Option<String> {
    let statement = Statement {
        role: config.snowflake.role.clone(),
        query_tag: Some("thaw/check".to_owned()),
        ..Statement::new(SHOW_TIMEZONE)
    };
    let answer = session.snowflake.query(&statement).await.ok()?;
    let value = answer.columns.iter().position(|column| column.name.eq_ignore_ascii_case("value"))?;
    answer.rows.first()?.get(value)?.clone()
}

/// The zones that Thaw's own sessions have.
fn zones(selected: &[Selected<'_>]) -> String {
    let mut zones: Vec<&str> = selected.iter().map(|selected| selected.entry.timezone.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    format!("the tables are read in {}", zones.join(", "))
}

/// How many errors were reported. A configuration without a broker is fine: `run --local` needs none.
async fn check_broker(config: &Config) -> usize {
    let Some(rabbit) = &config.rabbitmq else { return 0 };
    let options = RabbitOptions {
        ca_file: rabbit.ca_file.clone(),
        ..RabbitOptions::new(rabbit.url.clone(), "planner-check")
    };
    let checked = match RabbitQueue::new(&options) {
        Ok(queue) => queue.check().await,
        Err(error) => Err(error),
    };
    match checked {
        Ok(()) => 0,
        Err(error) => {
            let text = ErrorReport::of(&error).text;
            output::complaint(format!("error: rabbitmq: {text}; check rabbitmq.url and ca_file"));
            1
        }
    }
}

fn summary(config: &Config) -> String {
    let sources = config.sources.iter().filter(|source| source.enabled);
    let tables = sources.clone().flat_map(|source| &source.tables).filter(|table| table.enabled).count();
    let (sources, broker) =
        (sources.count(), if config.rabbitmq.is_some() { "" } else { ", no broker (--local only)" });
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    format!("{tables} enabled table{} in {sources} source{}{broker}", plural(tables), plural(sources))
}
