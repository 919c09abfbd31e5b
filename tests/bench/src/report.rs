//! The table of docs/performance.md, between two marks; the prose around it is left as it is.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use thaw_harness::search;

use crate::figure::Figure;
use crate::machine;

const BEGIN: &str = "<!-- written by `make bench`: begin -->";
const END: &str = "<!-- written by `make bench`: end -->";

/// What a run has measured, and where.
#[derive(Debug)]
pub(crate) struct Report {
    scale: f64,
    rounds: usize,
    machine: String,
    load_before: String,
    postgres: String,
    figures: Vec<(String, Figure)>,
}

impl Report {
    /// Looks at the machine before anything runs on it.
    pub(crate) fn begin(scale: f64, rounds: usize) -> Result<Self> {
        Ok(Self {
            scale,
            rounds,
            machine: machine::describe(),
            load_before: machine::load_average(),
            postgres: machine::version(&search::postgres_bin()?.join("postgres")),
            figures: Vec::new(),
        })
    }

    pub(crate) fn add(&mut self, bench: &str, figure: Figure) {
        self.figures.push((bench.to_owned(), figure));
    }

    /// One line on where and how.
    pub(crate) fn conditions(&self) -> String {
        format!(
            "{}; {}; SCALE={}, median of {}; load average before the start {}",
            self.machine, self.postgres, self.scale, self.rounds, self.load_before
        )
    }

    /// How many goals were met.
    pub(crate) fn verdict(&self) -> String {
        let judged: Vec<bool> = self.figures.iter().filter_map(|(_, figure)| figure.is_met()).collect();
        let met = judged.iter().filter(|met| **met).count();
        format!("{met} of {} goals met", judged.len())
    }

    /// Replaces the table.
    ///
    /// # Errors
    /// The file has no marks, or cannot be written.
    pub(crate) fn write(&self, file: &Path, seconds: f64) -> Result<()> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let (before, rest) = text.split_once(BEGIN).context("the report has no mark to write at")?;
        let (_, after) = rest.split_once(END).context("the report has no mark to end at")?;
        let table = self.table(seconds)?;
        Ok(std::fs::write(file, format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))?)
    }

    fn table(&self, seconds: f64) -> Result<String> {
        let mut out = String::new();
        writeln!(out, "`make bench SCALE={}` on {}.", self.scale, self.machine)?;
        writeln!(
            out,
            "{}; median of {}; load average before the start {}; {seconds:.0} s in all; {}.\n",
            self.postgres,
            self.rounds,
            self.load_before,
            self.verdict()
        )?;
        writeln!(out, "| figure | value | goal | | |\n|---|---|---|---|---|")?;
        for (_, figure) in &self.figures {
            let goal = figure.goal.map(crate::figure::Goal::shown).unwrap_or_default();
            let met = figure.is_met().map_or("", |met| if met { "met" } else { "**missed**" });
            let notes = figure.notes.join("; ");
            writeln!(
                out,
                "| `{}` | {} {} | {goal} | {met} | {notes} |",
                figure.name,
                figure.shown(),
                figure.unit
            )?;
        }
        Ok(out)
    }
}
