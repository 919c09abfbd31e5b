//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::auth::KnownToken;

/// A test double of Snowflake's SQL API v2 over a PostgreSQL database.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the SQL API until interrupted
    Serve(Box<ServeArgs>),
    /// Load rows into a table of the emulated account, creating it
    Load(LoadArgs),
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address of the SQL API; port 0 takes a free one (see --port-file)
    #[arg(long, default_value = "127.0.0.1:8084")]
    pub(crate) listen: SocketAddr,
    /// PostgreSQL that holds the emulated account; its schemas are created if missing
    #[arg(long, value_name = "URL")]
    pub(crate) postgres: String,
    /// Account identifier, as in the host name of a real one
    #[arg(long, default_value = "EMULATOR")]
    pub(crate) account: String,
    /// A user and the PEM file of a public key; repeat for more users, or for a user's second key
    #[arg(long = "user", value_name = "NAME=PUBLIC.PEM", value_parser = parse_user)]
    pub(crate) users: Vec<(String, PathBuf)>,
    /// An OAuth or programmatic access token; repeatable
    #[arg(long = "token", value_name = "oauth|pat:NAME=VALUE")]
    pub(crate) tokens: Vec<KnownToken>,
    /// Certificate chain (PEM): serve TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Address of the admin endpoint (plain HTTP): faults, clock, statement log, direct SQL
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
    /// Seed of everything random: row order, partition cuts, early 202s
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Nothing adversarial at all: even cuts, PostgreSQL's row order, commits visible at once
    #[arg(long)]
    pub(crate) calm: bool,
    /// Leave row order to PostgreSQL (for benchmarks)
    #[arg(long)]
    pub(crate) no_shuffle: bool,
    /// Execute a query once and answer it from the stored bytes ever after, whatever is written (for benchmarks)
    #[arg(long)]
    pub(crate) freeze: bool,
    /// How long a commit stays invisible to other requests
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_seconds)]
    pub(crate) commit_visibility_seconds: Duration,
    /// How long a synchronous submission waits before it is answered 202
    #[arg(long, value_name = "SECONDS", default_value = "45", value_parser = parse_seconds)]
    pub(crate) sync_wait_seconds: Duration,
    /// How long a result is kept, on the virtual clock
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub(crate) result_hours: u32,
    /// Cut partitions at so many bytes at most, below what client_result_chunk_size allows
    #[arg(long, value_name = "BYTES", default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) partition_bytes: u64,
    /// Cut partitions at so many rows at most
    #[arg(long, value_name = "ROWS", default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) partition_rows: u64,
    /// Connections to PostgreSQL; every statement being executed holds one
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) connections: usize,
    /// Write the bound addresses to this file once ready: {"url":..,"admin_url":..,"port":..,"admin_port":..}
    #[arg(long, value_name = "FILE")]
    pub(crate) port_file: Option<PathBuf>,
    /// Folder of the result spool (unlinked files); default: the system's temporary folder
    #[arg(long, value_name = "DIR")]
    pub(crate) spool: Option<PathBuf>,
}

/// Arguments of `load`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["tpch", "csv"])))]
pub(crate) struct LoadArgs {
    /// PostgreSQL that holds the emulated account
    #[arg(long, value_name = "URL")]
    pub(crate) postgres: String,
    /// The table; database and schema are created if missing, the table must not exist
    #[arg(long, value_name = "DB.SCHEMA.TABLE")]
    pub(crate) table: String,
    /// Generate a TPC-H table, with an added UPDATED_AT
    #[arg(long, value_enum, value_name = "TABLE")]
    pub(crate) tpch: Option<TpchTable>,
    /// TPC-H scale factor; 1 is 1.5 million orders
    #[arg(long, default_value_t = 0.01)]
    pub(crate) scale: f64,
    /// Load a CSV file (with a header line; an empty unquoted field is NULL)
    #[arg(long, value_name = "FILE", requires = "ddl")]
    pub(crate) csv: Option<PathBuf>,
    /// CREATE TABLE statement for --csv, in Snowflake SQL
    #[arg(long, value_name = "FILE", requires = "csv")]
    pub(crate) ddl: Option<PathBuf>,
    /// Load at most so many rows
    #[arg(long, value_name = "N")]
    pub(crate) rows: Option<u64>,
    /// How long ago the table was created and its rows committed: Time Travel works back to then
    #[arg(long, value_name = "DURATION", default_value = "6h", value_parser = parse_duration)]
    pub(crate) created_ago: Duration,
    /// Drop a table of that name first
    #[arg(long)]
    pub(crate) replace: bool,
}

/// The tables of TPC-H.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TpchTable {
    Region,
    Nation,
    Part,
    Supplier,
    Partsupp,
    Customer,
    Orders,
    Lineitem,
}

fn parse_user(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(path)))
        }
        _ => Err("expected NAME=path/to/public.pem".to_owned()),
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected a number of seconds".to_owned())
}

/// `90s`, `30m`, `2h`, `1d`; a bare number is seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, seconds) = match text.chars().last() {
        Some('s') => (text.trim_end_matches('s'), 1),
        Some('m') => (text.trim_end_matches('m'), 60),
        Some('h') => (text.trim_end_matches('h'), 3600),
        Some('d') => (text.trim_end_matches('d'), 86_400),
        _ => (text, 1),
    };
    let number: u32 =
        number.parse().map_err(|_| "expected a duration such as 90s, 30m, 2h or 1d".to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert!(parse_duration("two hours").is_err());
    }

    #[test]
    fn the_command_line_of_the_documents_is_understood() {
        Cli::try_parse_from(
            "snowflake-emulator serve --listen 127.0.0.1:8084 --postgres postgres://localhost/x --account A \
             --user LOADER=public.pem --token oauth:U=v --token pat:U=w=x --tls-cert c --tls-key k \
             --admin 127.0.0.1:0 --seed 7"
                .split_whitespace(),
        )
        .unwrap();
        Cli::try_parse_from(
            "snowflake-emulator load --postgres URL --table D.S.T --tpch orders --scale 0.5"
                .split_whitespace(),
        )
        .unwrap();
        assert!(
            Cli::try_parse_from("snowflake-emulator load --postgres URL --table D.S.T".split(' ')).is_err()
        );
    }
}
