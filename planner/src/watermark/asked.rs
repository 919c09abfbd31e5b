//! What the command line asks instead of the bound: `--full` and `--since`.

use super::value::{Kind, WatermarkValue};

/// As typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Everything is read.
    pub full: bool,
    /// Rows from this value on are read.
    pub since: Option<String>,
}

/// As it concerns one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskedValue {
    /// Nothing: from the safe bound on.
    Bound,
    Full,
    Since(WatermarkValue),
}

/// Why `--since` cannot be taken for a table. The value itself is not repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    #[error(
        "--since needs a watermark that can be compared on both sides, and this table has none; leave it out with --table"
    )]
    NoWatermark,
    #[error("--since takes {expected} for this table's watermark")]
    Malformed { expected: &'static str },
}

impl Asked {
    /// Reads the value in the type of a table's watermark; `kind` is `None` where it has no watermark to compare.
    ///
    /// # Errors
    /// What is expected instead.
    pub fn of_table(&self, kind: Option<Kind>) -> Result<AskedValue, AskedError> {
        let Some(text) = &self.since else {
            return Ok(if self.full { AskedValue::Full } else { AskedValue::Bound });
        };
        let kind = kind.ok_or(AskedError::NoWatermark)?;
        WatermarkValue::from_literal(kind, text)
            .filter(|value| value.to_text().is_some())
            .map(AskedValue::Since)
            .ok_or(AskedError::Malformed { expected: kind.form() })
    }

    /// A run that is asked for this never goes on with an older plan.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.full || self.since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_read_in_the_type_of_each_tables_watermark() {
        let asked = Asked { full: false, since: Some("2024-01-10".into()) };
        assert_eq!(asked.of_table(Some(Kind::Date)), Ok(AskedValue::Since(WatermarkValue::Date(19_732))));
        assert!(matches!(asked.of_table(Some(Kind::WallClock)), Ok(AskedValue::Since(_))));
        let refused = asked.of_table(Some(Kind::Number)).expect_err("is no number");
        assert!(refused.to_string().contains("whole number") && !refused.to_string().contains("2024-01-10"));
        assert_eq!(asked.of_table(None), Err(AskedError::NoWatermark));
        assert_eq!(Asked::default().of_table(None), Ok(AskedValue::Bound));
        assert_eq!(Asked { full: true, since: None }.of_table(None), Ok(AskedValue::Full));
    }
}
