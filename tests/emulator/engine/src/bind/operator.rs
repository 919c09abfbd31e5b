//! Comparison, arithmetic, concatenation, LIKE.
//!
//! Result scales: docs.snowflake.com/en/sql-reference/operators-arithmetic.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};

use crate::bind::cast::common_type;
use crate::bind::{Binder, Bound, Scope};
use crate::error::SqlError;
use crate::sql_type::SqlType;

/// One LIKE or ILIKE with its parts.
#[derive(Debug)]
pub(crate) struct Like<'e> {
    pub(crate) operator: &'static str,
    pub(crate) negated: bool,
    pub(crate) expr: &'e Expr,
    pub(crate) pattern: &'e Expr,
    pub(crate) escape: Option<&'e Expr>,
}

impl Binder<'_> {
    pub(crate) fn binary(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        scope: &Scope<'_>,
    ) -> Result<Bound, SqlError> {
        let (left, right) = (self.expr(left, scope)?, self.expr(right, scope)?);
        match op {
            BinaryOperator::And | BinaryOperator::Or => {
                let (left, right) = (self.condition(&left)?, self.condition(&right)?);
                let word = if *op == BinaryOperator::And { "and" } else { "or" };
                let sql = format!("({} {word} {})", left.sql, right.sql);
                Ok(Bound::of(sql, SqlType::Boolean, &[&left, &right]))
            }
            BinaryOperator::Eq => self.compare("=", &left, &right),
            BinaryOperator::NotEq => self.compare("<>", &left, &right),
            BinaryOperator::Lt => self.compare("<", &left, &right),
            BinaryOperator::LtEq => self.compare("<=", &left, &right),
            BinaryOperator::Gt => self.compare(">", &left, &right),
            BinaryOperator::GtEq => self.compare(">=", &left, &right),
            BinaryOperator::StringConcat => self.concat(&[left, right]),
            BinaryOperator::Plus | BinaryOperator::Minus => self.add(op, &left, &right),
            BinaryOperator::Multiply | BinaryOperator::Divide | BinaryOperator::Modulo => {
                self.arithmetic(op, &left, &right)
            }
            other => Err(SqlError::unsupported(format!("operator {other}"))),
        }
    }

    /// A comparison on the type both sides share; `op` is PostgreSQL's spelling.
    pub(crate) fn compare(&self, op: &str, left: &Bound, right: &Bound) -> Result<Bound, SqlError> {
        let shared = common_type(op, left.sql_type, right.sql_type)?;
        if shared.is_semi_structured() {
            return Err(SqlError::unsupported("comparison of semi-structured values; cast them"));
        }
        let (left, right) = (self.comparable(left, shared)?, self.comparable(right, shared)?);
        let sql = format!("({} {op} {})", left.sql, right.sql);
        let mut bound = Bound::of(sql, SqlType::Boolean, &[&left, &right]);
        if op.starts_with("is ") {
            bound.nullable = false;
        }
        Ok(bound)
    }

    /// The value as something PostgreSQL orders as Snowflake does.
    pub(crate) fn comparable(&self, bound: &Bound, shared: SqlType) -> Result<Bound, SqlError> {
        let value = match (bound.sql_type, shared) {
            (a, b) if a == b => bound.clone(),
            (SqlType::Number { .. }, SqlType::Number { .. })
            | (SqlType::Text { .. }, SqlType::Text { .. }) => bound.clone(),
            // Not rounded to the other side's scale: '1.5' must not equal 2.
            (SqlType::Text { .. }, SqlType::Number { .. }) => {
                Bound::of(format!("sfe.text_number({}, false)", bound.sql), shared, &[bound])
            }
            (SqlType::Null, SqlType::Null) => Bound::new("null::text", SqlType::Null, true),
            _ => self.coerce(bound, shared)?,
        };
        Ok(self.sort_key(value))
    }

    /// What ORDER BY, MIN and comparisons look at.
    pub(crate) fn sort_key(&self, value: Bound) -> Bound {
        match value.sql_type {
            SqlType::Text { .. } => Bound { sql: format!("({} collate \"C\")", value.sql), ..value },
            SqlType::TimestampTz { .. } => Bound { sql: format!("({})[1]", value.sql), ..value },
            _ => value,
        }
    }

    /// A value where a condition must stand.
    pub(crate) fn condition(&self, bound: &Bound) -> Result<Bound, SqlError> {
        match bound.sql_type {
            SqlType::Boolean => Ok(bound.clone()),
            SqlType::Null | SqlType::Text { .. } | SqlType::Number { .. } => {
                self.coerce(bound, SqlType::Boolean)
            }
            other => Err(SqlError::invalid_types("AND/OR/NOT/WHERE", &other.to_string())),
        }
    }

    pub(crate) fn concat(&self, parts: &[Bound]) -> Result<Bound, SqlError> {
        let mut texts = Vec::with_capacity(parts.len());
        let mut length = 0_u64;
        for part in parts {
            let text = if part.sql_type.is_text() { part.clone() } else { self.coerce(part, SqlType::TEXT)? };
            if let SqlType::Text { length: more } = text.sql_type {
                length = (length + more).min(crate::sql_type::VARCHAR_MAX);
            }
            texts.push(text);
        }
        let sql: Vec<&str> = texts.iter().map(|text| text.sql.as_str()).collect();
        let refs: Vec<&Bound> = texts.iter().collect();
        Ok(Bound::of(format!("({})", sql.join(" || ")), SqlType::Text { length: length.max(1) }, &refs))
    }

    pub(crate) fn like(&self, like: &Like<'_>, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        let (value, pattern) = (self.expr(like.expr, scope)?, self.expr(like.pattern, scope)?);
        let value = if value.sql_type.is_text() { value } else { self.coerce(&value, SqlType::TEXT)? };
        if !pattern.sql_type.is_text() && pattern.sql_type != SqlType::Null {
            return Err(SqlError::invalid_types(like.operator, &pattern.sql_type.to_string()));
        }
        // No escape character unless one is named: a backslash is a backslash.
        let escape = match like.escape {
            None => "''".to_owned(),
            Some(escape) => self.expr(escape, scope)?.sql,
        };
        let not = if like.negated { "not " } else { "" };
        // Case folding needs a collation that knows letters; "C" knows ASCII only.
        let collation = if like.operator == "ilike" { "und-x-icu" } else { "C" };
        let sql = format!(
            "(({} collate \"{collation}\") {not}{} {} escape {escape})",
            value.sql, like.operator, pattern.sql
        );
        Ok(Bound::of(sql, SqlType::Boolean, &[&value, &pattern]))
    }

    pub(crate) fn unary(&self, op: UnaryOperator, operand: &Bound) -> Result<Bound, SqlError> {
        match op {
            UnaryOperator::Not => {
                let operand = self.condition(operand)?;
                Ok(Bound::of(format!("(not {})", operand.sql), SqlType::Boolean, &[&operand]))
            }
            UnaryOperator::Minus | UnaryOperator::Plus => {
                let operand = self.numeric(operand)?;
                let sign = if op == UnaryOperator::Minus { "-" } else { "" };
                Ok(Bound::of(format!("({sign}{})", operand.sql), operand.sql_type, &[&operand]))
            }
            other => Err(SqlError::unsupported(format!("operator {other}"))),
        }
    }

    /// A number, or a text read as one.
    pub(crate) fn numeric(&self, bound: &Bound) -> Result<Bound, SqlError> {
        match bound.sql_type {
            SqlType::Number { .. } | SqlType::Float => Ok(bound.clone()),
            SqlType::Null => self.coerce(bound, SqlType::number(38, 0)),
            SqlType::Text { .. } => self.coerce(bound, SqlType::number(38, 5)),
            other => Err(SqlError::invalid_types("arithmetic", &other.to_string())),
        }
    }

    fn add(&self, op: &BinaryOperator, left: &Bound, right: &Bound) -> Result<Bound, SqlError> {
        let is_minus = *op == BinaryOperator::Minus;
        match (left.sql_type, right.sql_type) {
            // date + days, days + date, date - date
            (SqlType::Date, SqlType::Number { .. }) => {
                let sql = format!("({} {op} round({})::int4)", left.sql, right.sql);
                Ok(Bound::of(sql, SqlType::Date, &[left, right]))
            }
            (SqlType::Number { .. }, SqlType::Date) if !is_minus => {
                let sql = format!("({} + round({})::int4)", right.sql, left.sql);
                Ok(Bound::of(sql, SqlType::Date, &[left, right]))
            }
            (SqlType::Date, SqlType::Date) if is_minus => {
                let sql = format!("({} - {})::numeric", left.sql, right.sql);
                Ok(Bound::of(sql, SqlType::number(9, 0), &[left, right]))
            }
            _ => self.arithmetic(op, left, right),
        }
    }

    fn arithmetic(&self, op: &BinaryOperator, left: &Bound, right: &Bound) -> Result<Bound, SqlError> {
        let (left, right) = (self.numeric(left)?, self.numeric(right)?);
        if let (SqlType::Number { precision: p, scale: s }, SqlType::Number { precision: q, scale: t }) =
            (left.sql_type, right.sql_type)
        {
            let (sql_type, sql) = exact(op, (&left.sql, p, s), (&right.sql, q, t));
            return Ok(Bound::of(sql, sql_type, &[&left, &right]));
        }
        let (left, right) = (self.coerce(&left, SqlType::Float)?, self.coerce(&right, SqlType::Float)?);
        if *op == BinaryOperator::Modulo {
            return Err(SqlError::unsupported("operator % on FLOAT"));
        }
        Ok(Bound::of(format!("({} {op} {})", left.sql, right.sql), SqlType::Float, &[&left, &right]))
    }
}

/// The text and the type of an operation on two NUMBERs, each (text, precision, scale).
fn exact(op: &BinaryOperator, left: (&str, u32, u32), right: (&str, u32, u32)) -> (SqlType, String) {
    let ((a, p, s), (b, q, t)) = (left, right);
    let (whole_left, whole_right) = (p - s, q - t);
    match op {
        BinaryOperator::Multiply => {
            let scale = (s + t).min(s.max(t).max(12));
            let product = format!("({a} * {b})");
            let sql = if scale < s + t { format!("round({product}, {scale})") } else { product };
            (SqlType::number(whole_left + whole_right + scale, scale), sql)
        }
        BinaryOperator::Divide => {
            let scale = s.max((s + 6).min(12));
            let sql = format!("round({a}::numeric(76,37) / {b}, {scale})");
            (SqlType::number(whole_left + t + scale, scale), sql)
        }
        BinaryOperator::Modulo => {
            let scale = s.max(t);
            (SqlType::number(whole_left.min(whole_right).max(1) + scale, scale), format!("({a} % {b})"))
        }
        _ => {
            let scale = s.max(t);
            (SqlType::number(whole_left.max(whole_right) + scale + 1, scale), format!("({a} {op} {b})"))
        }
    }
}
