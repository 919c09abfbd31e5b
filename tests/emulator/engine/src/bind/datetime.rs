//! DATEADD, DATEDIFF, DATE_TRUNC and the parts of dates and times.

use sqlparser::ast::{Expr, Value};

use crate::bind::function::Call;
use crate::bind::{Binder, Bound, Scope};
use crate::error::SqlError;
use crate::names::pg_text;
use crate::sql_type::SqlType;

/// The part's one name, from any of Snowflake's spellings.
pub(crate) fn part(text: &str) -> Result<String, SqlError> {
    let name = match text.trim_matches(['\'', '"']).to_ascii_lowercase().as_str() {
        "year" | "y" | "yy" | "yyy" | "yyyy" | "yr" | "years" | "yrs" => "year",
        "quarter" | "q" | "qtr" | "qtrs" | "quarters" => "quarter",
        "month" | "mm" | "mon" | "mons" | "months" => "month",
        "week" | "w" | "wk" | "weekofyear" | "woy" | "wy" | "weeks" => "week",
        "day" | "d" | "dd" | "days" | "dayofmonth" => "day",
        "dayofweek" | "weekday" | "dow" | "dw" => "dayofweek",
        "dayofyear" | "yearday" | "doy" | "dy" => "dayofyear",
        "hour" | "h" | "hh" | "hr" | "hours" | "hrs" => "hour",
        "minute" | "m" | "mi" | "min" | "minutes" | "mins" => "minute",
        "second" | "s" | "sec" | "seconds" | "secs" => "second",
        "millisecond" | "ms" | "msec" | "milliseconds" => "millisecond",
        "microsecond" | "us" | "usec" | "microseconds" => "microsecond",
        "nanosecond" | "ns" | "nsec" | "nanosec" | "nsecond" | "nanoseconds" | "nanosecs" | "nseconds" => {
            "nanosecond"
        }
        _ => return Err(SqlError::syntax(&format!("'{text}' is not a valid date/time component"))),
    };
    Ok(name.to_owned())
}

/// Seconds of the parts that have a fixed length.
fn seconds(part: &str) -> Option<&'static str> {
    Some(match part {
        "week" => "604800",
        "day" => "86400",
        "hour" => "3600",
        "minute" => "60",
        "second" => "1",
        "millisecond" => "0.001",
        "microsecond" => "0.000001",
        "nanosecond" => "0.000000001",
        _ => return None,
    })
}

impl Binder<'_> {
    /// Functions whose first argument is a part's name, and YEAR(x) and its kind.
    pub(crate) fn date_function(
        &self,
        call: &Call<'_>,
        scope: &Scope<'_>,
    ) -> Result<Option<Bound>, SqlError> {
        let name = call.name.as_str();
        match (name, call.arguments.as_slice()) {
            ("DATEADD" | "TIMEADD" | "TIMESTAMPADD", [unit, amount, value]) => {
                let amount = self.numeric(&self.expr(amount, scope)?)?;
                self.date_add(&part_argument(unit)?, &amount, &self.expr(value, scope)?).map(Some)
            }
            ("DATEDIFF" | "TIMEDIFF" | "TIMESTAMPDIFF", [unit, from, to]) => {
                let (from, to) = (self.expr(from, scope)?, self.expr(to, scope)?);
                self.date_difference(&part_argument(unit)?, &from, &to).map(Some)
            }
            ("DATE_TRUNC", [unit, value]) => {
                self.date_truncate(&part_argument(unit)?, &self.expr(value, scope)?).map(Some)
            }
            ("DATE_PART", [unit, value]) => {
                self.date_part(&part_argument(unit)?, &self.expr(value, scope)?).map(Some)
            }
            (
                "YEAR" | "QUARTER" | "MONTH" | "DAY" | "DAYOFMONTH" | "DAYOFWEEK" | "DAYOFYEAR" | "HOUR"
                | "MINUTE" | "SECOND",
                [value],
            ) => self.date_part(&part(name)?, &self.expr(value, scope)?).map(Some),
            ("ADD_MONTHS", [value, amount]) => {
                let amount = self.numeric(&self.expr(amount, scope)?)?;
                self.date_add("month", &amount, &self.expr(value, scope)?).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn date_add(&self, part: &str, amount: &Bound, value: &Bound) -> Result<Bound, SqlError> {
        let value = self.moment(value)?;
        let months = match part {
            "year" => Some(12),
            "quarter" => Some(3),
            "month" => Some(1),
            _ => None,
        };
        let n = format!("round({})", amount.sql);
        let refs = [amount, &value];
        if let Some(months) = months {
            let n = format!("({n} * {months})::int");
            return match value.sql_type {
                SqlType::Date => {
                    Ok(Bound::of(format!("sfe.add_months({}, {n})", value.sql), SqlType::Date, &refs))
                }
                SqlType::TimestampNtz { .. } => {
                    let v = &value.sql;
                    let day = format!("floor(floor({v}) / 86400)::int");
                    let sql = format!("({v} + (sfe.add_months({day}, {n}) - {day}) * 86400::numeric)");
                    Ok(Bound::of(sql, value.sql_type, &refs))
                }
                other => Err(SqlError::unsupported(format!("DATEADD of {part}s to {other}"))),
            };
        }
        let unit = seconds(part).ok_or_else(|| SqlError::unsupported(format!("DATEADD of {part}")))?;
        match value.sql_type {
            SqlType::Date if matches!(part, "week" | "day") => {
                let days = if part == "week" { 7 } else { 1 };
                let sql = format!("({} + ({n} * {days})::int)", value.sql);
                Ok(Bound::of(sql, SqlType::Date, &refs))
            }
            SqlType::Date => {
                let sql = format!("({} * 86400::numeric + {n} * {unit})", value.sql);
                Ok(Bound::of(sql, SqlType::TimestampNtz { scale: 9 }, &refs))
            }
            SqlType::TimestampNtz { .. } => {
                let sql = format!("({} + {n} * {unit})", value.sql);
                Ok(Bound::of(sql, SqlType::TimestampNtz { scale: 9 }, &refs))
            }
            // Days of a zone with summer time are not all as long: only where the zone is UTC or the unit is short.
            SqlType::TimestampLtz { .. }
                if self.session.timezone == "UTC" || !matches!(part, "week" | "day") =>
            {
                let sql = format!("({} + {n} * {unit})", value.sql);
                Ok(Bound::of(sql, SqlType::TimestampLtz { scale: 9 }, &refs))
            }
            SqlType::TimestampTz { .. } => {
                let sql = format!("array[({v})[1] + {n} * {unit}, ({v})[2]]", v = value.sql);
                Ok(Bound::of(sql, SqlType::TimestampTz { scale: 9 }, &refs))
            }
            other => Err(SqlError::unsupported(format!("DATEADD of {part}s to {other}"))),
        }
    }

    fn date_difference(&self, part: &str, from: &Bound, to: &Bound) -> Result<Bound, SqlError> {
        let (from, to) = (self.moment(from)?, self.moment(to)?);
        let unit = pg_text(part);
        let (a, b) = (self.clock_or_time(&from)?, self.clock_or_time(&to)?);
        let sql = format!("(sfe.ordinal({unit}, {b}) - sfe.ordinal({unit}, {a}))");
        Ok(Bound::of(sql, SqlType::number(18, 0), &[&from, &to]))
    }

    fn date_truncate(&self, part: &str, value: &Bound) -> Result<Bound, SqlError> {
        let value = self.moment(value)?;
        let is_calendar = matches!(part, "year" | "quarter" | "month" | "week" | "day");
        let v = &value.sql;
        let calendar = |seconds: &str| {
            format!(
                "(sfe.truncate_days({}, floor(floor({seconds}) / 86400)::int) * 86400::numeric)",
                pg_text(part)
            )
        };
        let sql = match value.sql_type {
            SqlType::Date if is_calendar => format!("sfe.truncate_days({}, {v})", pg_text(part)),
            SqlType::TimestampNtz { .. } if is_calendar => calendar(v),
            SqlType::TimestampLtz { .. } if is_calendar => {
                let local = calendar(&self.wall_clock(&value, "DATE_TRUNC")?);
                format!("sfe.local_to_utc({local}, {})", self.session.zone())
            }
            SqlType::TimestampNtz { .. } | SqlType::TimestampLtz { .. } => {
                let unit =
                    seconds(part).ok_or_else(|| SqlError::unsupported(format!("DATE_TRUNC to {part}")))?;
                format!("({v} - mod(mod({v}, {unit}) + {unit}, {unit}))")
            }
            other => return Err(SqlError::unsupported(format!("DATE_TRUNC of {other} to {part}"))),
        };
        Ok(Bound::of(sql, value.sql_type, &[&value]))
    }

    pub(crate) fn date_part(&self, part: &str, value: &Bound) -> Result<Bound, SqlError> {
        let value = self.moment(value)?;
        if matches!(part, "week" | "millisecond" | "microsecond") {
            return Err(SqlError::unsupported(format!("DATE_PART of {part}")));
        }
        let sql = format!("sfe.date_part({}, {})", pg_text(part), self.clock_or_time(&value)?);
        Ok(Bound::of(sql, SqlType::number(9, 0), &[&value]))
    }

    /// A date or time; texts are read as timestamps.
    fn moment(&self, value: &Bound) -> Result<Bound, SqlError> {
        match value.sql_type {
            SqlType::Text { .. } | SqlType::Null => self.coerce(value, SqlType::TimestampNtz { scale: 9 }),
            _ => Ok(value.clone()),
        }
    }

    fn clock_or_time(&self, value: &Bound) -> Result<String, SqlError> {
        match value.sql_type {
            SqlType::Time { .. } => Ok(format!("({})", value.sql)),
            _ => self.wall_clock(value, "date function"),
        }
    }
}

/// A part as an argument: a bare word or a text constant.
fn part_argument(expr: &Expr) -> Result<String, SqlError> {
    match expr {
        Expr::Identifier(name) => part(&name.value),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => part(text),
            other => part(&other.to_string()),
        },
        other => Err(SqlError::unsupported(format!("date part {other}"))),
    }
}
