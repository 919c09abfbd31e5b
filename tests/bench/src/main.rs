//! `make bench`: what limits a load on this machine, as ratios of two things measured in the same run, one after the
//! other in turns. One file a bench, in [`bench`]; `--only NAME` takes those whose name begins so.
//!
//! Every figure is a line `BENCH name value unit`, with its goal. A complete run writes the table of
//! docs/performance.md. Source, target, broker, emulator and product share the machine: read the ratios.

mod bench;
mod data_set;
mod figure;
mod load;
mod machine;
mod psql;
mod report;
mod rig;
mod rounds;
mod simulated_fleet;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Parser;

use crate::figure::Figure;
use crate::report::Report;
use crate::rig::Rig;

/// Measures Thaw against PostgreSQL itself, on private servers.
#[derive(Debug, Parser)]
struct Arguments {
    /// 1: lineitem has three million rows; the other data sets shrink and grow with it
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Only the benches whose names begin with one of these, separated by commas; the report is left as it is
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How often either side of a ratio is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The file whose table a complete run writes
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// List the benches
    #[arg(long)]
    list: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.list {
        bench::NAMES.iter().for_each(|name| say(name));
        return Ok(());
    }
    let is_wanted = |name: &str| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| name.starts_with(only.as_str()))
    };
    let chosen: Vec<&str> = bench::NAMES.into_iter().filter(|name| is_wanted(name)).collect();
    ensure!(!chosen.is_empty(), "no bench is called so; `bench --list` names them all");
    let start = Instant::now();
    let mut report = Report::begin(arguments.scale, arguments.rounds)?;
    say(&format!("starting servers; {}", report.conditions()));
    let mut rig = Rig::start(arguments.scale, arguments.rounds).await?;
    for name in &chosen {
        say(&format!("== {name} ({:.0} s)", start.elapsed().as_secs_f64()));
        for figure in bench::run(name, &mut rig).await? {
            say_figure(&figure);
            report.add(name, figure);
        }
    }
    drop(rig);
    let seconds = start.elapsed().as_secs_f64();
    say(&format!("all of it took {seconds:.0} s; {}", report.verdict()));
    if let Some(file) = arguments.report.filter(|_| arguments.only.is_empty()) {
        report.write(&file, seconds)?;
        say(&format!("written to {}", file.display()));
    }
    Ok(())
}

fn say_figure(figure: &Figure) {
    say(&format!("BENCH {} {} {}", figure.name, figure.shown(), figure.unit));
    if let Some(verdict) = figure.verdict() {
        say(&format!("  {verdict}"));
    }
    for note in &figure.notes {
        say(&format!("  {note}"));
    }
}

fn say(line: &str) {
    // Nobody reads a closed pipe.
    writeln!(io::stdout().lock(), "{line}").ok();
}
