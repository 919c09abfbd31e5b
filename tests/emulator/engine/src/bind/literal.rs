//! Constants and bound values.

use sqlparser::ast::Value;

use crate::bind::{Binder, Bound};
use crate::encode::escape_nul;
use crate::error::SqlError;
use crate::names::pg_text;
use crate::request::Binding;
use crate::sql_type::SqlType;

impl Binder<'_> {
    pub(crate) fn literal(&self, value: &Value) -> Result<Bound, SqlError> {
        match value {
            Value::Number(text, false) => number(text),
            Value::SingleQuotedString(text) => Ok(text_constant(text)),
            Value::DollarQuotedString(quoted) if quoted.tag.is_none() => Ok(text_constant(&quoted.value)),
            Value::Boolean(value) => Ok(Bound::new(value.to_string(), SqlType::Boolean, false)),
            Value::Null => Ok(Bound::new("null", SqlType::Null, true)),
            Value::HexStringLiteral(hex) => {
                if !hex.len().is_multiple_of(2) || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(SqlError::syntax("a hexadecimal constant is malformed"));
                }
                let length = u64::try_from(hex.len() / 2).unwrap_or(u64::MAX).max(1);
                Ok(Bound::new(format!("'\\x{hex}'::bytea"), SqlType::Binary { length }, false))
            }
            Value::Placeholder(name) => self.placeholder(name),
            other => Err(SqlError::unsupported(format!("constant {other}"))),
        }
    }

    /// `?n` (numbered by the parser's visitor) or `:n`.
    fn placeholder(&self, name: &str) -> Result<Bound, SqlError> {
        let number: Option<u32> = name.trim_start_matches(['?', ':']).parse().ok();
        let binding = number.and_then(|number| self.session.request.bindings.get(&number));
        let Some(binding) = binding else {
            let message = format!("SQL compilation error:\nBind variable {name} not set.");
            return Err(SqlError::new("002049", "42601", message));
        };
        bound_value(binding)
    }
}

/// A string constant of SQL, escapes undone.
pub(crate) fn text_constant(text: &str) -> Bound {
    let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX).max(1);
    let mut bound = Bound::new(pg_text(&escape_nul(text)), SqlType::Text { length }, false);
    bound.is_constant_text = true;
    bound
}

/// A numeric constant: exact with the digits it shows, FLOAT with an exponent.
fn number(text: &str) -> Result<Bound, SqlError> {
    if text.contains(['e', 'E']) {
        return Ok(Bound::new(format!("float8 '{text}'"), SqlType::Float, false));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = whole.trim_start_matches('0');
    let digits = whole.len() + fraction.len();
    match (u32::try_from(digits), u32::try_from(fraction.len())) {
        (Ok(digits @ 0..=38), Ok(scale)) => {
            Ok(Bound::new(format!("numeric '{text}'"), SqlType::number(digits.max(1), scale), false))
        }
        _ => Err(SqlError::new(
            "001007",
            "22003",
            format!("SQL compilation error:\nNumber out of range: {text}"),
        )),
    }
}

fn bound_value(binding: &Binding) -> Result<Bound, SqlError> {
    let wrong = |text: &str| {
        let message = format!("Bind type {} does not take the value '{text}'", binding.kind);
        SqlError::new("100037", "22018", message)
    };
    let kind = binding.kind.to_ascii_uppercase();
    let Some(text) = binding.value.as_deref() else {
        return Ok(Bound::new("null", SqlType::Null, true));
    };
    let integer = || text.trim().parse::<i128>().map_err(|_| wrong(text));
    let seconds = |nanoseconds: i128| format!("(numeric '{nanoseconds}' / 1000000000)::numeric(38,9)");
    let constant = |sql: String, sql_type| Ok(Bound::new(sql, sql_type, false));
    match kind.as_str() {
        "TEXT" => Ok(text_constant(text)),
        "FIXED" if text.parse::<f64>().is_ok() && !text.contains(['e', 'E', 'n', 'N']) => {
            let positive = number(text.trim_start_matches('-'))?;
            let sign = if text.starts_with('-') { "-" } else { "" };
            constant(format!("({sign}{})", positive.sql), positive.sql_type)
        }
        "REAL" => {
            let value: f64 = text.parse().map_err(|_| wrong(text))?;
            constant(format!("float8 '{value}'"), SqlType::Float)
        }
        "BOOLEAN" => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => constant("true".to_owned(), SqlType::Boolean),
            "false" | "0" => constant("false".to_owned(), SqlType::Boolean),
            _ => Err(wrong(text)),
        },
        "DATE" => constant(format!("({})::int4", integer()?.div_euclid(86_400_000)), SqlType::Date),
        "TIME" => constant(seconds(integer()?), SqlType::Time { scale: 9 }),
        "TIMESTAMP_NTZ" => constant(seconds(integer()?), SqlType::TimestampNtz { scale: 9 }),
        "TIMESTAMP_LTZ" => constant(seconds(integer()?), SqlType::TimestampLtz { scale: 9 }),
        "TIMESTAMP_TZ" => {
            let (nanoseconds, offset) = text.split_once(' ').ok_or_else(|| wrong(text))?;
            let nanoseconds: i128 = nanoseconds.parse().map_err(|_| wrong(text))?;
            let offset: i32 = offset.parse().map_err(|_| wrong(text))?;
            let sql = format!("array[{},{}]::numeric[]", seconds(nanoseconds), offset - 1440);
            constant(sql, SqlType::TimestampTz { scale: 9 })
        }
        _ => Err(wrong(text)),
    }
}
