//! Two sides of a ratio, measured in turns, so that what else the machine does strikes both; the median counts.

use anyhow::{Context, Result};

/// The measurements of one side, of which the middle one counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side(Vec<f64>);

impl Side {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// # Errors
    /// Nothing was measured.
    pub(crate) fn median(&self) -> Result<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().context("nothing was measured")
    }

    /// Least and greatest as `a..b`.
    pub(crate) fn spread(&self) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(0.0, f64::max);
        format!("{least:.2}..{most:.2}")
    }
}
