//! Conversions between Snowflake's types, as `::`, CAST, TRY_CAST and comparisons need them.
//!
//! Source: docs.snowflake.com/en/sql-reference/data-type-conversion. Wall clocks and instants meet in the
//! session's zone.

use crate::bind::{Binder, Bound};
use crate::error::SqlError;
use crate::sql_type::SqlType;

/// What happens to a text that is no value of the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnBadText {
    Fail,
    Null,
}

impl Binder<'_> {
    /// `expr::target`.
    pub(crate) fn cast(&self, from: &Bound, target: SqlType, on_bad: OnBadText) -> Result<Bound, SqlError> {
        if from.sql_type == target {
            return Ok(from.clone());
        }
        let sql = match target {
            SqlType::Null => return Ok(from.clone()),
            _ if from.sql_type == SqlType::Null => format!("null::{}", bare_storage(target)),
            SqlType::Number { precision, scale } => to_number(from, precision, scale, on_bad)?,
            SqlType::Float => to_float(from, on_bad)?,
            SqlType::Boolean => to_boolean(from, on_bad)?,
            SqlType::Text { length } => self.to_text(from, length, on_bad)?,
            SqlType::Binary { .. } => to_binary(from, on_bad)?,
            SqlType::Date => self.to_date(from, on_bad)?,
            SqlType::Time { scale } => floor_to(&self.to_time(from, on_bad)?, scale),
            SqlType::TimestampNtz { scale } => floor_to(&self.to_ntz(from, on_bad)?, scale),
            SqlType::TimestampLtz { scale } => floor_to(&self.to_ltz(from, on_bad)?, scale),
            SqlType::TimestampTz { scale } => self.to_tz(from, scale, on_bad)?,
            SqlType::Variant | SqlType::Object | SqlType::Array => to_semi_structured(from, target)?,
        };
        let mut bound = Bound::of(sql, target, &[from]);
        bound.nullable = from.nullable || on_bad == OnBadText::Null || from.sql_type.is_semi_structured();
        Ok(bound)
    }

    /// Casts where Snowflake would do it unasked: in comparisons, CASE, set operations, INSERT.
    pub(crate) fn coerce(&self, from: &Bound, target: SqlType) -> Result<Bound, SqlError> {
        self.cast(from, target, OnBadText::Fail)
    }

    /// Casts all to the one type they share.
    pub(crate) fn unify(&self, what: &str, items: &[Bound]) -> Result<(Vec<Bound>, SqlType), SqlError> {
        let mut shared = SqlType::Null;
        for item in items {
            shared = common_type(what, shared, item.sql_type)?;
        }
        let target = if shared == SqlType::Null { SqlType::TEXT } else { shared };
        let all: Result<Vec<Bound>, SqlError> = items
            .iter()
            .map(|item| match (item.sql_type, target) {
                // Same family: the value stays as it is, only the description widens.
                (SqlType::Number { .. }, SqlType::Number { .. })
                | (SqlType::Text { .. }, SqlType::Text { .. }) => {
                    Ok(Bound { sql_type: target, is_stored: false, ..item.clone() })
                }
                _ => self.coerce(item, target),
            })
            .collect();
        Ok((all?, target))
    }

    fn to_text(&self, from: &Bound, length: u64, on_bad: OnBadText) -> Result<String, SqlError> {
        let sql = &from.sql;
        let text = match from.sql_type {
            SqlType::Text { length: old } if old <= length => return Ok(sql.clone()),
            SqlType::Text { .. } => sql.clone(),
            SqlType::Number { scale, .. } => format!("({sql})::numeric(38,{scale})::text"),
            SqlType::Float => format!("sfe.float_text({sql})"),
            SqlType::Boolean => format!("({sql})::text"),
            SqlType::Binary { .. } => format!("upper(encode({sql}, 'hex'))"),
            SqlType::Date => format!("sfe.date_text({sql})"),
            SqlType::Time { .. }
            | SqlType::TimestampNtz { .. }
            | SqlType::TimestampLtz { .. }
            | SqlType::TimestampTz { .. } => self.default_format(from)?,
            SqlType::Variant => format!("sfe.variant_text({sql})"),
            SqlType::Object | SqlType::Array => sql.clone(),
            SqlType::Null => "null::text".to_owned(),
        };
        let is_short = length >= crate::sql_type::VARCHAR_MAX && !from.sql_type.is_semi_structured();
        if is_short {
            return Ok(text);
        }
        Ok(format!("sfe.fit_text({text}, {length}, {})", on_bad == OnBadText::Null))
    }

    fn to_date(&self, from: &Bound, on_bad: OnBadText) -> Result<String, SqlError> {
        Ok(match from.sql_type {
            SqlType::Text { .. } => format!("sfe.text_date({}, {})", from.sql, on_bad == OnBadText::Null),
            // Without the fraction first: the quotient would round the last nanosecond into the next day.
            _ => format!("floor(floor({}) / 86400)::int4", self.wall_clock(from, "DATE")?),
        })
    }

    fn to_time(&self, from: &Bound, on_bad: OnBadText) -> Result<String, SqlError> {
        Ok(match from.sql_type {
            SqlType::Text { .. } => format!("sfe.text_time({}, {})", from.sql, on_bad == OnBadText::Null),
            SqlType::Time { .. } => from.sql.clone(),
            _ => {
                let local = self.wall_clock(from, "TIME")?;
                format!("(({local}) - floor(floor({local}) / 86400) * 86400)")
            }
        })
    }

    fn to_ntz(&self, from: &Bound, on_bad: OnBadText) -> Result<String, SqlError> {
        Ok(match from.sql_type {
            SqlType::Text { .. } => format!("sfe.text_ntz({}, {})", from.sql, on_bad == OnBadText::Null),
            SqlType::Number { .. } => epoch(&from.sql),
            _ => self.wall_clock(from, "TIMESTAMP_NTZ")?,
        })
    }

    fn to_ltz(&self, from: &Bound, on_bad: OnBadText) -> Result<String, SqlError> {
        let (sql, zone) = (&from.sql, self.session.zone());
        Ok(match from.sql_type {
            SqlType::Text { .. } => format!("sfe.text_ltz({sql}, {}, {zone})", on_bad == OnBadText::Null),
            SqlType::Number { .. } => epoch(sql),
            SqlType::TimestampLtz { .. } => sql.clone(),
            SqlType::TimestampTz { .. } => format!("({sql})[1]"),
            _ => format!("sfe.local_to_utc({}, {zone})", self.wall_clock(from, "TIMESTAMP_LTZ")?),
        })
    }

    fn to_tz(&self, from: &Bound, scale: u32, on_bad: OnBadText) -> Result<String, SqlError> {
        let (sql, zone) = (&from.sql, self.session.zone());
        let pair = match from.sql_type {
            SqlType::Text { .. } => format!("sfe.text_tz({sql}, {}, {zone})", on_bad == OnBadText::Null),
            SqlType::TimestampTz { .. } => sql.clone(),
            _ => format!("sfe.ltz_tz({}, {zone})", self.to_ltz(from, on_bad)?),
        };
        if scale == 9 {
            return Ok(pair);
        }
        Ok(format!(
            "case when ({pair}) is not null then array[{}, ({pair})[2]] end",
            floor_to(&format!("({pair})[1]"), scale)
        ))
    }

    /// Seconds of the wall clock a value shows.
    pub(crate) fn wall_clock(&self, from: &Bound, what: &str) -> Result<String, SqlError> {
        let sql = &from.sql;
        Ok(match from.sql_type {
            SqlType::Date => format!("(({sql}) * 86400::numeric)"),
            SqlType::TimestampNtz { .. } => format!("({sql})"),
            SqlType::TimestampLtz { .. } if matches!(self.session.timezone, "UTC" | "Etc/UTC") => {
                format!("({sql})")
            }
            SqlType::TimestampLtz { .. } => {
                format!("(({sql}) + sfe.zone_offset({sql}, {}))", self.session.zone())
            }
            SqlType::TimestampTz { .. } => format!("(({sql})[1] + ({sql})[2] * 60)"),
            other => return Err(SqlError::invalid_types(&format!("CAST AS {what}"), &other.to_string())),
        })
    }
}

/// The type two values are compared in, or that a CASE of both has.
pub(crate) fn common_type(what: &str, left: SqlType, right: SqlType) -> Result<SqlType, SqlError> {
    use SqlType as T;
    Ok(match (left, right) {
        (a, b) if a == b => a,
        (T::Null, other) | (other, T::Null) => other,
        (T::Number { precision: p, scale: s }, T::Number { precision: q, scale: t }) => {
            let scale = s.max(t);
            T::number((p - s).max(q - t) + scale, scale)
        }
        (T::Number { .. }, T::Float) | (T::Float, T::Number { .. }) => T::Float,
        (T::Text { length: a }, T::Text { length: b }) => T::Text { length: a.max(b) },
        (T::Binary { length: a }, T::Binary { length: b }) => T::Binary { length: a.max(b) },
        (T::Text { .. }, other) | (other, T::Text { .. }) if !other.is_semi_structured() => {
            without_limits(other)
        }
        (T::Time { scale: a }, T::Time { scale: b }) => T::Time { scale: a.max(b) },
        (T::TimestampNtz { scale: a }, T::TimestampNtz { scale: b }) => T::TimestampNtz { scale: a.max(b) },
        (T::TimestampLtz { scale: a }, T::TimestampLtz { scale: b }) => T::TimestampLtz { scale: a.max(b) },
        (T::TimestampTz { scale: a }, T::TimestampTz { scale: b }) => T::TimestampTz { scale: a.max(b) },
        (T::Date, other) | (other, T::Date) if other.is_timestamp() => without_limits(other),
        (a, b) if a.is_timestamp() && b.is_timestamp() => {
            let is_tz = |t| matches!(t, T::TimestampTz { .. });
            if is_tz(a) || is_tz(b) { T::TimestampTz { scale: 9 } } else { T::TimestampLtz { scale: 9 } }
        }
        (a, b) => return Err(SqlError::invalid_types(what, &format!("{a}, {b}"))),
    })
}

/// A text that meets a value takes its family, not its digits: '1.5' compared with NUMBER(38,0) stays 1.5.
fn without_limits(sql_type: SqlType) -> SqlType {
    match sql_type {
        SqlType::Number { scale, .. } => SqlType::number(38, scale.max(18)),
        SqlType::Time { .. } => SqlType::Time { scale: 9 },
        SqlType::TimestampNtz { .. } => SqlType::TimestampNtz { scale: 9 },
        SqlType::TimestampLtz { .. } => SqlType::TimestampLtz { scale: 9 },
        SqlType::TimestampTz { .. } => SqlType::TimestampTz { scale: 9 },
        other => other,
    }
}

/// The storage type without a modifier: for casts of NULL.
pub(crate) fn bare_storage(sql_type: SqlType) -> &'static str {
    match sql_type {
        SqlType::Number { .. }
        | SqlType::Time { .. }
        | SqlType::TimestampNtz { .. }
        | SqlType::TimestampLtz { .. } => "numeric",
        SqlType::TimestampTz { .. } => "numeric[]",
        SqlType::Float => "float8",
        SqlType::Boolean => "boolean",
        SqlType::Binary { .. } => "bytea",
        SqlType::Date => "int4",
        _ => "text",
    }
}

fn to_number(from: &Bound, precision: u32, scale: u32, on_bad: OnBadText) -> Result<String, SqlError> {
    let is_try = on_bad == OnBadText::Null;
    let number = match from.sql_type {
        SqlType::Number { precision: p, scale: s } if s <= scale && p + scale <= precision + s => {
            return Ok(format!("round({}, {scale})", from.sql));
        }
        SqlType::Number { .. } => from.sql.clone(),
        SqlType::Text { .. } => format!("sfe.text_number({}, {is_try})", from.sql),
        SqlType::Variant => format!("sfe.text_number(sfe.variant_text({}), {is_try})", from.sql),
        SqlType::Float => format!("({})::numeric", from.sql),
        SqlType::Boolean => format!("({})::int::numeric", from.sql),
        other => return Err(SqlError::invalid_types("CAST AS NUMBER", &other.to_string())),
    };
    Ok(format!("sfe.fit_number({number}, {precision}, {scale}, {is_try})"))
}

fn to_float(from: &Bound, on_bad: OnBadText) -> Result<String, SqlError> {
    let is_try = on_bad == OnBadText::Null;
    Ok(match from.sql_type {
        SqlType::Number { .. } => format!("({})::float8", from.sql),
        SqlType::Text { .. } => format!("sfe.text_float({}, {is_try})", from.sql),
        SqlType::Variant => format!("sfe.text_float(sfe.variant_text({}), {is_try})", from.sql),
        SqlType::Boolean => format!("({})::int::float8", from.sql),
        other => return Err(SqlError::invalid_types("CAST AS FLOAT", &other.to_string())),
    })
}

fn to_boolean(from: &Bound, on_bad: OnBadText) -> Result<String, SqlError> {
    let is_try = on_bad == OnBadText::Null;
    Ok(match from.sql_type {
        SqlType::Text { .. } => format!("sfe.text_boolean({}, {is_try})", from.sql),
        SqlType::Variant => format!("sfe.text_boolean(sfe.variant_text({}), {is_try})", from.sql),
        SqlType::Number { .. } | SqlType::Float => format!("(({}) <> 0)", from.sql),
        other => return Err(SqlError::invalid_types("CAST AS BOOLEAN", &other.to_string())),
    })
}

fn to_binary(from: &Bound, on_bad: OnBadText) -> Result<String, SqlError> {
    match from.sql_type {
        SqlType::Binary { .. } => Ok(from.sql.clone()),
        SqlType::Text { .. } => Ok(format!("sfe.text_binary({}, {})", from.sql, on_bad == OnBadText::Null)),
        other => Err(SqlError::invalid_types("CAST AS BINARY", &other.to_string())),
    }
}

fn to_semi_structured(from: &Bound, target: SqlType) -> Result<String, SqlError> {
    match (from.sql_type, target) {
        (SqlType::Object | SqlType::Array, SqlType::Variant) => Ok(from.sql.clone()),
        (SqlType::Text { .. }, SqlType::Variant) => Ok(format!("to_json({})::text", from.sql)),
        (SqlType::Number { scale, .. }, SqlType::Variant) => {
            Ok(format!("({})::numeric(38,{scale})::text", from.sql))
        }
        (SqlType::Boolean, SqlType::Variant) => Ok(format!("({})::text", from.sql)),
        (other, target) => Err(SqlError::unsupported(format!("conversion of {other} to {target}"))),
    }
}

/// A number as TO_TIMESTAMP reads it: seconds.
fn epoch(sql: &str) -> String {
    format!("({sql})::numeric(38,9)")
}

fn floor_to(sql: &str, scale: u32) -> String {
    if scale == 9 {
        sql.to_owned()
    } else {
        format!("(floor(({sql}) * 1e{scale}::numeric) / 1e{scale}::numeric)")
    }
}
