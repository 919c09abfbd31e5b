//! The planner's command line: what may be typed, and nothing of what it does.
//!
//! Every flag here works.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use thaw_telemetry::LogFormat;

use crate::exit::Exit;
use crate::find_run::RunRef;

const EXIT_CODES: &str = "Exit codes: 0 completed (with --detach: published), 1 usage or configuration, \
2 partial, failed, cancelled or superseded, 3 another run holds a table, 4 interrupted.";

/// Loads Snowflake tables into PostgreSQL: plans them, hands their chunks to workers and follows them to the end.
#[derive(Debug, Parser)]
#[command(name = "planner", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Common {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "config.json")]
    pub config: PathBuf,
    /// Variables for ${NAME} in the configuration [default: .env, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Take every warning about the configuration for an error
    #[arg(long, global = true)]
    pub strict: bool,
    /// error, warn, info, debug, trace, or a list such as info,thaw_planner=debug
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// text or json; logs go to stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plan, publish, and wait until everything is loaded
    Run(RunArgs),
    /// Say everything that would stop a run; nothing is written
    Check(CheckArgs),
    /// Show the progress of a run
    Status(StatusArgs),
    /// Go on with a run and its stored plans: what failed or was cancelled is tried again
    Retry(RetryRunArgs),
    /// End a running run; what was loaded stays
    Cancel(CancelArgs),
    /// Compare both sides as they are now; exit code 2 where they differ
    Verify(VerifyArgs),
    /// The rows that a target could not hold: on_bad_row is quarantine
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Erase what old runs left in the status tables, except what later runs need
    Prune(PruneArgs),
    /// Make or update the status tables in every target database (run does it too)
    Init,
    /// Print the JSON Schema of the configuration
    Schema,
}

/// Flags of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Publish and leave; workers do the rest
    #[arg(long, conflicts_with_all = ["local", "dry_run", "report_json"])]
    pub detach: bool,
    /// Print the plan and write nothing
    #[arg(long, conflicts_with_all = ["report_json"])]
    pub dry_run: bool,
    /// The plan as JSON
    #[arg(long, requires = "dry_run")]
    pub json: bool,
    /// Load in this process, without a broker and without workers
    #[arg(long)]
    pub local: bool,
    /// Only this source; may be repeated
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Only this table, as source or target spells it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub table: Vec<String>,
    /// Read everything, whatever the watermarks say; tables without keys are emptied of their rows first
    #[arg(long, conflicts_with = "since")]
    pub full: bool,
    /// Read from this watermark on instead of from the bound; what it leaves out stays for the next run
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Write the report of the run as JSON
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,
    /// A new run, even where an earlier one is incomplete
    #[arg(long, conflicts_with_all = ["resume_max_age", "resume_run_id"])]
    pub no_resume: bool,
    /// Go on with an incomplete run that got on within so many hours; fractions are allowed
    #[arg(long, value_name = "HOURS", default_value = "12", value_parser = hours, conflicts_with = "resume_run_id")]
    pub resume_max_age: Duration,
    /// Go on with this run and its stored plans, whatever its age; a cancelled one, too
    #[arg(long, value_name = "RUN", conflicts_with_all = ["dry_run", "full", "since"])]
    pub resume_run_id: Option<RunRef>,
    /// How long to wait for databases and a broker that are not up yet
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub wait: Duration,
}

/// Flags of `retry`.
#[derive(Debug, Args)]
pub struct RetryRunArgs {
    /// The run: its id, or the beginning of it
    pub run: RunRef,
    /// Publish and leave; workers do the rest
    #[arg(long, conflicts_with_all = ["local", "report_json"])]
    pub detach: bool,
    /// Load in this process, without a broker and without workers
    #[arg(long)]
    pub local: bool,
    /// Write the report of the run as JSON
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,
    /// How long to wait for databases and a broker that are not up yet
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub wait: Duration,
}

/// What to do about quarantined rows.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// Say which rows are set aside, where and why
    List(ListArgs),
    /// Load the tables of such rows again, in full: rows that have not changed are not written
    Retry(RetryArgs),
}

/// Flags of `quarantine list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only this table, as source or target spells it
    #[arg(long, value_name = "NAME")]
    pub table: Option<String>,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Also rows that a later full run has read again
    #[arg(long)]
    pub all: bool,
    /// With keys and values, where quarantine_values has kept them
    #[arg(long)]
    pub show_values: bool,
    /// At most so many rows of a database
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(1..))]
    pub limit: i64,
}

/// Flags of `quarantine retry`.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Only this table, as source or target spells it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub table: Vec<String>,
    /// Load in this process, without a broker and without workers
    #[arg(long)]
    pub local: bool,
    /// Write the report of the run as JSON
    #[arg(long, value_name = "FILE")]
    pub report_json: Option<PathBuf>,
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Only the configuration; nothing is connected
    #[arg(long)]
    pub offline: bool,
}

/// Flags of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Only this source; may be repeated
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,
    /// Only this table, as source or target spells it; may be repeated
    #[arg(long, value_name = "NAME")]
    pub table: Vec<String>,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Show the values of keys and watermark that differ: they are data
    #[arg(long)]
    pub show_values: bool,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The run: its id, or the beginning of it [default: the newest]
    pub run: Option<RunRef>,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Go on until the run has ended; the exit code is then the run's
    #[arg(long)]
    pub watch: bool,
    /// With chunks and their ranges, which are the user's data
    #[arg(long)]
    pub show_ranges: bool,
}

/// Flags of `prune`.
#[derive(Debug, Args)]
pub struct PruneArgs {
    /// Runs that ended longer ago: 36h, 30d, 8w
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Duration,
    /// Say what would go, and erase nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Flags of `cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The run: its id, or the beginning of it
    pub run: RunRef,
}

/// A whole number of hours, days or weeks.
fn age(text: &str) -> Result<Duration, String> {
    let wrong = || "not an age such as 36h, 30d or 8w".to_owned();
    let (number, hours) = [('h', 1), ('d', 24), ('w', 168)]
        .into_iter()
        .find_map(|(unit, hours)| Some((text.strip_suffix(unit)?, hours)))
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(hours * 3600).map(Duration::from_secs).ok_or_else(wrong)
}

/// Whole seconds.
fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "not a whole number of seconds".to_owned())
}

/// Hours as a duration; a fraction is one.
fn hours(text: &str) -> Result<Duration, String> {
    let hours: f64 = text.parse().map_err(|_| "not a number of hours".to_owned())?;
    Duration::try_from_secs_f64(hours * 3600.0).map_err(|_| "not a number of hours from 0 on".to_owned())
}

/// Reads the process's arguments. What is wrong with them has been said when this fails.
///
/// # Errors
/// How the process ends: `Completed` after `--help` and `--version`, else `Configuration`.
pub fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|error| {
        // To stdout or stderr as the kind asks for; a closed pipe changes nothing.
        drop(error.print());
        if error.use_stderr() { Exit::Configuration } else { Exit::Completed }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn refused(args: &[&str]) -> clap::Error {
        Cli::try_parse_from(args).expect_err("is refused")
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn common_flags_may_stand_before_and_after_the_command() {
        for args in [["planner", "--config", "x.json", "run"], ["planner", "run", "--config", "x.json"]] {
            let cli = Cli::try_parse_from(args).expect("parses");
            assert_eq!(cli.common.config, PathBuf::from("x.json"));
            assert_eq!((cli.common.log_level.as_str(), cli.common.log_format), ("info", LogFormat::Text));
        }
    }

    #[test]
    fn sources_and_tables_may_be_repeated() {
        let args = ["planner", "run", "--source", "a", "--table", "T", "--table", "U", "--dry-run", "--json"];
        let Command::Run(run) = Cli::try_parse_from(args).expect("parses").command else { panic!("not run") };
        assert_eq!((run.source, run.table), (vec!["a".to_owned()], vec!["T".to_owned(), "U".to_owned()]));
        assert!(run.dry_run && run.json && !run.local);
    }

    #[test]
    fn flags_that_contradict_each_other_are_refused() {
        for args in [
            &["planner", "run", "--detach", "--local"][..],
            &["planner", "run", "--detach", "--dry-run"],
            &["planner", "run", "--full", "--since", "2024-01-01"],
            &["planner", "run", "--json"],
            &["planner", "run", "--dry-run", "--report-json", "x"],
            &["planner", "status", "not-a-uuid"],
            &["planner", "run", "--log-format", "xml"],
            &["planner"],
        ] {
            assert!(refused(args).use_stderr(), "{args:?}");
        }
    }

    #[test]
    fn ages_and_hours_are_read() {
        assert_eq!(age("36h"), Ok(Duration::from_secs(36 * 3600)));
        assert_eq!(age("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(hours("0.5"), Ok(Duration::from_secs(1800)));
        for text in ["30", "d", "-1d", "1y", "1.5d"] {
            assert!(age(text).is_err(), "{text}");
        }
        for text in ["-1", "soon", "inf", "nan"] {
            assert!(hours(text).is_err(), "{text}");
        }
    }
}
