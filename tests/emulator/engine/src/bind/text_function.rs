//! Functions of texts and of numbers.

use crate::bind::function::{constant_number, one};
use crate::bind::{Binder, Bound};
use crate::error::SqlError;
use crate::sql_type::SqlType;

impl Binder<'_> {
    pub(crate) fn text_function(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        match name {
            "UPPER" | "LOWER" => {
                let value = self.text(one(name, parts)?)?;
                let sql = format!("{}({} collate \"und-x-icu\")", name.to_lowercase(), value.sql);
                Ok(Bound::of(sql, value.sql_type, &[&value]))
            }
            "LENGTH" | "LEN" => {
                let value = one(name, parts)?;
                let sql = if matches!(value.sql_type, SqlType::Binary { .. }) {
                    format!("length({})::numeric", value.sql)
                } else {
                    format!("sfe.text_length({})::numeric", self.text(value)?.sql)
                };
                Ok(Bound::of(sql, SqlType::number(18, 0), &[value]))
            }
            "TRIM" | "LTRIM" | "RTRIM" => self.trim(name, parts),
            "SUBSTR" | "SUBSTRING" => self.substring(name, parts),
            "LEFT" | "RIGHT" => self.side(name, parts),
            "POSITION" | "CHARINDEX" => match parts {
                [needle, hay] => {
                    let (needle, hay) = (self.text(needle)?, self.text(hay)?);
                    let sql = format!("strpos({}, {})::numeric", plain(&hay), plain(&needle));
                    Ok(Bound::of(sql, SqlType::number(18, 0), &[&needle, &hay]))
                }
                _ => Err(SqlError::argument_count(name)),
            },
            "CONCAT" if !parts.is_empty() => self.concat(parts),
            "STARTSWITH" | "ENDSWITH" | "CONTAINS" => match parts {
                [hay, needle] => {
                    let (hay, needle) = (self.text(hay)?, self.text(needle)?);
                    let (h, n) = (&hay.sql, &needle.sql);
                    let sql = match name {
                        "STARTSWITH" => format!("(left({h}, length({n})) = {n})"),
                        "ENDSWITH" => format!("(right({h}, length({n})) = {n})"),
                        _ => format!("(strpos({h}, {n}) > 0)"),
                    };
                    Ok(Bound::of(sql, SqlType::Boolean, &[&hay, &needle]))
                }
                _ => Err(SqlError::argument_count(name)),
            },
            "REPLACE" => match parts {
                [value, from, to] => {
                    let (value, from, to) = (self.text(value)?, self.text(from)?, self.text(to)?);
                    let sql = format!("replace({}, {}, {})", value.sql, from.sql, to.sql);
                    Ok(Bound::of(sql, SqlType::TEXT, &[&value, &from, &to]))
                }
                _ => Err(SqlError::argument_count(name)),
            },
            "HEX_ENCODE" => {
                let value = self.text(one(name, parts)?)?;
                let sql = format!("upper(encode(convert_to({}, 'UTF8'), 'hex'))", plain(&value));
                Ok(Bound::of(sql, SqlType::TEXT, &[&value]))
            }
            "MD5" => {
                let value = self.text(one(name, parts)?)?;
                Ok(Bound::of(format!("md5({})", plain(&value)), SqlType::Text { length: 32 }, &[&value]))
            }
            _ => Err(SqlError::unknown_function(name)),
        }
    }

    pub(crate) fn number_function(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        let Some(first) = parts.first() else {
            return Err(SqlError::argument_count(name));
        };
        if name == "MOD" || name == "DIV0" {
            return self.two_numbers(name, parts);
        }
        let value = self.numeric(first)?;
        match (name, value.sql_type) {
            ("ABS", sql_type) => {
                one(name, parts)?;
                Ok(Bound::of(format!("abs({})", value.sql), sql_type, &[&value]))
            }
            ("SIGN", _) => {
                one(name, parts)?;
                Ok(Bound::of(format!("sign({})::numeric", value.sql), SqlType::number(1, 0), &[&value]))
            }
            (_, SqlType::Number { precision, scale }) => {
                rounded(name, &value, (precision, scale), parts.get(1))
            }
            (_, sql_type) => {
                one(name, parts)?;
                let function = match name {
                    "CEIL" => "ceil",
                    "FLOOR" => "floor",
                    "TRUNC" | "TRUNCATE" => "trunc",
                    _ => return Err(SqlError::unsupported(format!("{name} on FLOAT"))),
                };
                Ok(Bound::of(format!("{function}({})", value.sql), sql_type, &[&value]))
            }
        }
    }

    fn two_numbers(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        let [left, right] = parts else {
            return Err(SqlError::argument_count(name));
        };
        let (left, right) = (self.numeric(left)?, self.numeric(right)?);
        match (left.sql_type, right.sql_type) {
            (SqlType::Number { precision: p, scale: s }, SqlType::Number { precision: q, scale: t }) => {
                if name == "MOD" {
                    let scale = s.max(t);
                    let sql_type = SqlType::number((p - s).min(q - t).max(1) + scale, scale);
                    return Ok(Bound::of(
                        format!("({} % {})", left.sql, right.sql),
                        sql_type,
                        &[&left, &right],
                    ));
                }
                let scale = s.max((s + 6).min(12));
                let sql = format!(
                    "(case when {r} = 0 then 0::numeric else round({l}::numeric(76,37) / nullif({r}, 0), {scale}) end)",
                    l = left.sql,
                    r = right.sql
                );
                Ok(Bound::of(sql, SqlType::number(p - s + t + scale, scale), &[&left, &right]))
            }
            _ => Err(SqlError::unsupported(format!("{name} on FLOAT"))),
        }
    }

    /// A text, or a value shown as one.
    pub(crate) fn text(&self, value: &Bound) -> Result<Bound, SqlError> {
        if value.sql_type.is_text() { Ok(value.clone()) } else { self.coerce(value, SqlType::TEXT) }
    }

    fn trim(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        let function = match name {
            "TRIM" => "btrim",
            "LTRIM" => "ltrim",
            _ => "rtrim",
        };
        let (value, characters) = match parts {
            [value] => (self.text(value)?, None),
            [value, characters] => (self.text(value)?, Some(self.text(characters)?)),
            _ => return Err(SqlError::argument_count(name)),
        };
        let set = characters.as_ref().map_or("' '", |characters| characters.sql.as_str());
        let sql = format!("{function}({}, {set})", value.sql);
        let mut parts = vec![&value];
        parts.extend(&characters);
        Ok(Bound::of(sql, value.sql_type, &parts))
    }

    /// SUBSTR counts from 1; a negative start counts from the end, 0 is 1.
    fn substring(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        let (value, start, length) = match parts {
            [value, start] => (value, start, None),
            [value, start, length] => (value, start, Some(length)),
            _ => return Err(SqlError::argument_count(name)),
        };
        let (value, start) = (self.text(value)?, self.numeric(start)?);
        let (v, s) = (plain(&value), format!("round({})::int", start.sql));
        let from = format!("case when {s} > 0 then {s} when {s} = 0 then 1 else length({v}) + {s} + 1 end");
        // A start before the text gives an empty text.
        let mut refs = vec![&value, &start];
        let limit = match length {
            None => String::new(),
            Some(length) => {
                refs.push(length);
                format!(", greatest(round({})::int, 0)", self.numeric(length)?.sql)
            }
        };
        let sql = format!("(case when ({from}) < 1 then '' else substr({v}, {from}{limit}) end)");
        Ok(Bound::of(sql, value.sql_type, &refs))
    }

    fn side(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        let [value, length] = parts else {
            return Err(SqlError::argument_count(name));
        };
        let (value, length) = (self.text(value)?, self.numeric(length)?);
        let sql =
            format!("{}({}, greatest(round({})::int, 0))", name.to_lowercase(), plain(&value), length.sql);
        Ok(Bound::of(sql, value.sql_type, &[&value, &length]))
    }
}

/// A text that functions may cut by position: U+0000 takes two places in storage, so such a text is refused
/// there (the function raises) rather than cut wrongly.
fn plain(value: &Bound) -> String {
    format!("sfe.without_nul({})", value.sql)
}

/// CEIL, FLOOR, ROUND and TRUNC of a NUMBER(precision, scale), with a number of digits or without.
fn rounded(name: &str, value: &Bound, kind: (u32, u32), digits: Option<&Bound>) -> Result<Bound, SqlError> {
    let (precision, scale) = kind;
    let digits = match digits {
        None => 0,
        Some(digits) => constant_number(digits).ok_or_else(|| {
            SqlError::unsupported(format!("{name} to a computed or negative number of digits"))
        })?,
    }
    .min(scale);
    let factor = format!("1e{digits}::numeric");
    let v = &value.sql;
    let sql = match name {
        "CEIL" | "FLOOR" => {
            format!("({}({v} * {factor}) / {factor})::numeric(38,{digits})", name.to_lowercase())
        }
        "ROUND" => format!("round({v}, {digits})"),
        "TRUNC" | "TRUNCATE" => format!("trunc({v}, {digits})"),
        _ => return Err(SqlError::unknown_function(name)),
    };
    let carry = u32::from(scale > digits && !name.starts_with("TRUNC"));
    Ok(Bound::of(sql, SqlType::number(precision - scale + digits + carry, digits), &[value]))
}
