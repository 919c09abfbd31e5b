//! One measured figure and its goal. Knows nothing of how it was measured.

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure with its goal, if it has one, and what a reader needs to judge it.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) goal: Option<Goal>,
    /// Absolute numbers behind a ratio, sizes, spreads.
    pub(crate) notes: Vec<String>,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, goal: None, notes: Vec::new() }
    }

    pub(crate) fn goal(self, goal: Goal) -> Self {
        Self { goal: Some(goal), ..self }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The value with as many decimals as it deserves.
    pub(crate) fn shown(&self) -> String {
        match self.value.abs() {
            value if value >= 1000.0 => format!("{:.0}", self.value),
            value if value >= 100.0 => format!("{:.1}", self.value),
            _ => format!("{:.2}", self.value),
        }
    }

    /// `None`: there is no goal.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.goal.map(|goal| match goal {
            Goal::AtLeast(least) => self.value >= least,
            Goal::AtMost(most) => self.value <= most,
        })
    }

    /// `goal >= 1.1: met`.
    pub(crate) fn verdict(&self) -> Option<String> {
        let met = if self.is_met()? { "met" } else { "MISSED" };
        Some(format!("goal {}: {met}", self.goal?.shown()))
    }
}

impl Goal {
    pub(crate) fn shown(self) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {least}"),
            Self::AtMost(most) => format!("<= {most}"),
        }
    }
}

/// For rates and sizes that people read: six digits are enough.
#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "figures for people")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// Bytes as megabytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    float(bytes) / 1_048_576.0
}

/// A part of a count; for sizes under `SCALE`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::as_conversions,
    reason = "row counts of a bench"
)]
pub(crate) fn scaled(count: u64, scale: f64) -> u64 {
    ((float(count) * scale) as u64).max(1)
}
