//! TO_CHAR of dates and times: Snowflake's format elements, and the formats used when none is given.
//!
//! The defaults (docs.snowflake.com/en/sql-reference/parameters): TIMESTAMP_*_OUTPUT_FORMAT shows three digits
//! of the fraction, so that `ts::VARCHAR` loses what is below a millisecond; name FF9 to see all.

use crate::bind::{Binder, Bound};
use crate::error::SqlError;
use crate::names::pg_text;
use crate::sql_type::SqlType;

const NTZ_FORMAT: &str = "YYYY-MM-DD HH24:MI:SS.FF3";
const ZONED_FORMAT: &str = "YYYY-MM-DD HH24:MI:SS.FF3 TZHTZM";
const TIME_FORMAT: &str = "HH24:MI:SS";

/// Longest first, so that `HH24` is not read as `HH`.
const ELEMENTS: [&str; 28] = [
    "TZH:TZM", "TZHTZM", "YYYY", "HH24", "HH12", "TZH", "TZM", "MON", "FF0", "FF1", "FF2", "FF3", "FF4",
    "FF5", "FF6", "FF7", "FF8", "FF9", "YY", "MM", "DD", "DY", "MI", "SS", "FF", "AM", "PM", "HH",
];

impl Binder<'_> {
    /// A date or time as `::VARCHAR` shows it.
    pub(crate) fn default_format(&self, value: &Bound) -> Result<String, SqlError> {
        let format = match value.sql_type {
            SqlType::TimestampNtz { .. } => NTZ_FORMAT,
            SqlType::Time { .. } => TIME_FORMAT,
            _ => ZONED_FORMAT,
        };
        self.format_call(value, format)
    }

    /// TO_CHAR(value, format).
    pub(crate) fn formatted(&self, value: &Bound, format: &Bound) -> Result<Bound, SqlError> {
        if !matches!(value.sql_type, SqlType::Date | SqlType::Time { .. }) && !value.sql_type.is_timestamp() {
            return Err(SqlError::unsupported(format!("TO_CHAR of {} with a format", value.sql_type)));
        }
        let text = format.sql.strip_prefix('\'').and_then(|text| text.strip_suffix("'::text"));
        match text {
            Some(text) if format.is_constant_text => {
                let sql = self.format_call(value, &text.replace("''", "'"))?;
                Ok(Bound::of(sql, SqlType::TEXT, &[value]))
            }
            _ => Err(SqlError::unsupported("TO_CHAR with a computed format")),
        }
    }

    fn format_call(&self, value: &Bound, format: &str) -> Result<String, SqlError> {
        let local = match value.sql_type {
            SqlType::Time { .. } => format!("({})", value.sql),
            _ => self.wall_clock(value, "VARCHAR")?,
        };
        let minutes = match value.sql_type {
            SqlType::TimestampTz { .. } => format!("(({})[2])::int", value.sql),
            SqlType::TimestampLtz { .. } => {
                format!("(sfe.zone_offset({}, {}) / 60)", value.sql, self.session.zone())
            }
            _ => "0".to_owned(),
        };
        let parts: Vec<String> = elements(format)?.iter().map(|part| pg_text(part)).collect();
        Ok(format!("sfe.format_time({local}, {minutes}, array[{}]::text[])", parts.join(",")))
    }
}

/// Cuts a format into elements; text between them is marked with `=`.
fn elements(format: &str) -> Result<Vec<String>, SqlError> {
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some(letter) = rest.chars().next() {
        if letter == '"' {
            let (quoted, after) = rest
                .strip_prefix('"')
                .and_then(|text| text.split_once('"'))
                .ok_or_else(|| SqlError::syntax("a quote in a format is not closed"))?;
            parts.push(format!("={quoted}"));
            rest = after;
            continue;
        }
        let upper = rest.to_ascii_uppercase();
        if let Some(element) = ELEMENTS.iter().find(|element| upper.starts_with(**element)) {
            parts.push(canonical(element).to_owned());
            rest = rest.get(element.len()..).unwrap_or("");
        } else if letter.is_ascii_alphabetic() && !(letter == 'T' && rest.len() > 1) {
            return Err(SqlError::unsupported(format!("format {format}")));
        } else {
            parts.push(format!("={letter}"));
            rest = rest.get(letter.len_utf8()..).unwrap_or("");
        }
    }
    Ok(parts)
}

fn canonical(element: &str) -> &str {
    match element {
        "FF" => "FF9",
        "HH" => "HH24",
        "PM" => "AM",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_cut_into_elements() {
        assert_eq!(elements("yyyy-MM\"Th\"").unwrap(), ["YYYY", "=-", "MM", "=Th"]);
        assert_eq!(elements("HH24:MI:SS.FF9").unwrap(), ["HH24", "=:", "MI", "=:", "SS", "=.", "FF9"]);
        assert!(elements("Q").is_err());
    }
}
