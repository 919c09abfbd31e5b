//! Reads the keys that a table may have and the top level may have for all tables.

use std::time::Duration;

use thaw_model::plan::BadRowPolicy;

use crate::config::{Lookback, NUL_IN_TEXT, ON_BAD_ROW, STRATEGIES, Strategy};
use crate::defaults::{BATCH_SIZE, MAX_BAD_ROWS, OFFSET_SUB_CHUNKS_MAX, TIMEZONE};
use crate::json::Value;
use crate::scope::{Scope, Text};

/// The shared keys, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) batch_size: u32,
    /// `None`: as `batch_size`, whichever level that comes from.
    pub(crate) batch_size_copy_mode: Option<u32>,
    pub(crate) insert_only: bool,
    pub(crate) strategy: Strategy,
    /// `None`: the default.
    pub(crate) timezone: Option<String>,
    pub(crate) watermark_lookback: Lookback,
    pub(crate) bad_rows: BadRowPolicy,
    pub(crate) lossy: Vec<String>,
    pub(crate) allow_empty_source: bool,
    pub(crate) append: bool,
    pub(crate) offset_sub_chunks_max: u32,
}

impl Shared {
    /// What holds where nothing is said.
    pub(crate) fn defaults() -> Self {
        Self {
            batch_size: BATCH_SIZE,
            batch_size_copy_mode: None,
            insert_only: false,
            strategy: Strategy::Auto,
            timezone: None,
            watermark_lookback: Lookback::Default,
            bad_rows: BadRowPolicy { max_bad_rows: MAX_BAD_ROWS, ..BadRowPolicy::default() },
            lossy: Vec::new(),
            allow_empty_source: false,
            append: false,
            offset_sub_chunks_max: OFFSET_SUB_CHUNKS_MAX,
        }
    }

    /// Reads the keys of `scope` over `outer`.
    pub(crate) fn read(scope: &Scope<'_>, outer: &Self) -> Self {
        let lossy: Vec<String> = scope.names("lossy").into_iter().map(|text| text.value).collect();
        let outer_rows = outer.bad_rows;
        Self {
            batch_size: scope.integer("batch_size").unwrap_or(outer.batch_size),
            batch_size_copy_mode: scope.integer("batch_size_copy_mode").or(outer.batch_size_copy_mode),
            insert_only: scope.flag("insert_only_mode").unwrap_or(outer.insert_only),
            strategy: scope.word("strategy", STRATEGIES).unwrap_or(outer.strategy),
            timezone: timezone(scope).or_else(|| outer.timezone.clone()),
            watermark_lookback: lookback(scope).unwrap_or(outer.watermark_lookback),
            bad_rows: BadRowPolicy {
                on_bad_row: scope.word("on_bad_row", ON_BAD_ROW).unwrap_or(outer_rows.on_bad_row),
                nul_in_text: scope.word("nul_in_text", NUL_IN_TEXT).unwrap_or(outer_rows.nul_in_text),
                max_bad_rows: scope.integer("max_bad_rows").unwrap_or(outer_rows.max_bad_rows),
                keep_values: scope.flag("quarantine_values").unwrap_or(outer_rows.keep_values),
            },
            lossy: if lossy.is_empty() { outer.lossy.clone() } else { lossy },
            allow_empty_source: scope.flag("allow_empty_source").unwrap_or(outer.allow_empty_source),
            append: scope.flag("append").unwrap_or(outer.append),
            offset_sub_chunks_max: scope
                .integer("offset_sub_chunks_max")
                .unwrap_or(outer.offset_sub_chunks_max),
        }
    }

    /// The session time zone.
    pub(crate) fn timezone_or_default(&self) -> String {
        self.timezone.clone().unwrap_or_else(|| TIMEZONE.to_owned())
    }
}

/// An IANA name by its looks; whether there is such a zone, Snowflake says.
fn timezone(scope: &Scope<'_>) -> Option<String> {
    let text = scope.optional("timezone")?;
    let name = text.value.trim();
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+'))
    };
    if name.split('/').all(is_part) && name.split('/').count() <= 3 {
        return Some(name.to_owned());
    }
    let message =
        format!("{} is no zone's name; use UTC or an IANA name such as Europe/Berlin", text.shown());
    scope.cx.error(&text.place, message);
    None
}

/// Seconds as a number or as text, or a number with a unit.
fn lookback(scope: &Scope<'_>) -> Option<Lookback> {
    let node = scope.node("watermark_lookback")?;
    let place = scope.at("watermark_lookback");
    let (written, from_variable) = match &node.value {
        Value::Number(number) => (number.clone(), false),
        Value::Text(_) => {
            let Text { value, from_variable, .. } = scope.text("watermark_lookback")?;
            (value, from_variable)
        }
        other => {
            let found = other.kind();
            scope.cx.error(&place, format!("must be seconds or text such as \"1h\", found {found}"));
            return None;
        }
    };
    let parsed = span(written.trim());
    if parsed.is_none() {
        let shown = if from_variable { "the variable's value".to_owned() } else { format!("`{written}`") };
        let message =
            format!("{shown} is no span of time; give whole seconds, or 90s 15m 1h 1d 1w, ten years at most");
        scope.cx.error(&place, message);
    }
    parsed.map(Lookback::Exactly)
}

/// Ten years: beyond it the reading is meant to be full.
const LOOKBACK_SECONDS_MAX: u64 = 3653 * 86_400;

fn span(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits)?.trim() {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let number: u64 = digits.trim().parse().ok()?;
    number.checked_mul(unit).filter(|seconds| *seconds <= LOOKBACK_SECONDS_MAX).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_seconds_or_a_number_with_a_unit() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("1h", 3600),
            ("1d", 86_400),
            ("2 w", 1_209_600),
        ] {
            assert_eq!(span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "1.5h", "-1", "1y", "1 h x", "99999999999999999999", "9999w"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
