//! The closed list of session parameters a request may carry, and what the emulator does with each.
//!
//! Source: docs.snowflake.com/en/developer-guide/sql-api/reference, `statements_parameters`. Names are
//! case-insensitive; integers may be given as strings.

use serde_json::{Map, Value};

/// Longest query tag Snowflake keeps.
const QUERY_TAG_CHARS_MAX: usize = 2000;
/// Allowed values of `client_result_chunk_size`, megabytes.
const CHUNK_MEGABYTES: std::ops::RangeInclusive<u64> = 16..=160;
const CHUNK_MEGABYTES_DEFAULT: u64 = 160;

/// The parameters in force for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameters {
    pub(crate) timezone: Option<String>,
    pub(crate) query_tag: Option<String>,
    /// 0: no limit.
    pub(crate) rows_per_resultset: u64,
    /// Uncompressed size of a partition, megabytes.
    pub(crate) chunk_megabytes: u64,
}

impl Parameters {
    /// Reads the request's `parameters` object.
    ///
    /// # Errors
    /// A sentence for the 400 that names the parameter.
    pub(crate) fn read(given: &Map<String, Value>) -> Result<Self, String> {
        let mut parameters = Self {
            timezone: None,
            query_tag: None,
            rows_per_resultset: 0,
            chunk_megabytes: CHUNK_MEGABYTES_DEFAULT,
        };
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                "timezone" => parameters.timezone = Some(text(&name, value)?),
                "query_tag" => parameters.query_tag = Some(query_tag(text(&name, value)?)?),
                "rows_per_resultset" => parameters.rows_per_resultset = integer(&name, value)?,
                "client_result_chunk_size" => {
                    parameters.chunk_megabytes = chunk_size(integer(&name, value)?)?;
                }
                "multi_statement_count" => match integer(&name, value)? {
                    0 | 1 => {}
                    _ => {
                        return Err(
                            "multi_statement_count: the emulator executes one statement a request".to_owned()
                        );
                    }
                },
                "use_cached_result" => {
                    // Accepted: the emulator never reuses a result, which is within the contract.
                }
                "binary_output_format" if is_default(value, "HEX") => {}
                "date_output_format"
                | "time_output_format"
                | "timestamp_output_format"
                | "timestamp_ltz_output_format"
                | "timestamp_ntz_output_format"
                | "timestamp_tz_output_format"
                    if is_default(value, "AUTO") => {}
                "binary_output_format"
                | "date_output_format"
                | "time_output_format"
                | "timestamp_output_format"
                | "timestamp_ltz_output_format"
                | "timestamp_ntz_output_format"
                | "timestamp_tz_output_format" => {
                    return Err(format!("{name}: the emulator only gives the unformatted values"));
                }
                _ => return Err(format!("{name} is not a parameter of the SQL API")),
            }
        }
        Ok(parameters)
    }
}

fn is_default(value: &Value, default: &str) -> bool {
    value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(default))
}

fn text(name: &str, value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("{name} must be a string"))
}

fn integer(name: &str, value: &Value) -> Result<u64, String> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| format!("{name} must be an integer that is not negative"))
}

fn chunk_size(megabytes: u64) -> Result<u64, String> {
    if CHUNK_MEGABYTES.contains(&megabytes) {
        return Ok(megabytes);
    }
    Err(format!(
        "client_result_chunk_size must be from {} to {}",
        CHUNK_MEGABYTES.start(),
        CHUNK_MEGABYTES.end()
    ))
}

fn query_tag(tag: String) -> Result<String, String> {
    if tag.chars().count() <= QUERY_TAG_CHARS_MAX {
        return Ok(tag);
    }
    Err(format!("query_tag is longer than {QUERY_TAG_CHARS_MAX} characters"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<Parameters, String> {
        Parameters::read(value.as_object().unwrap())
    }

    #[test]
    fn names_are_case_insensitive_and_numbers_may_be_strings() {
        let read = read(
            &json!({"TIMEZONE": "UTC", "Rows_Per_Resultset": "7", "client_result_chunk_size": 16,
            "query_tag": "t", "multi_statement_count": "1", "use_cached_result": "true", "date_output_format": "AUTO"}),
        );
        let expected = Parameters {
            timezone: Some("UTC".to_owned()),
            query_tag: Some("t".to_owned()),
            rows_per_resultset: 7,
            chunk_megabytes: 16,
        };
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn what_is_not_on_the_list_or_not_implemented_is_refused_by_name() {
        for (name, value) in [
            ("json_indent", json!(0)),
            ("statement_timeout_in_seconds", json!(5)),
            ("date_output_format", json!("YYYY")),
            ("multi_statement_count", json!("2")),
            ("client_result_chunk_size", json!(8)),
            ("rows_per_resultset", json!(-1)),
            ("query_tag", json!("x".repeat(2001))),
        ] {
            let why = read(&json!({ name: value })).unwrap_err();
            assert!(why.contains(name), "{why}");
        }
    }
}
