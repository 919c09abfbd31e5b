//! Expressions: one arm for each node that is known, an error for every other.

use std::sync::PoisonError;

use sqlparser::ast::{
    CaseWhen, CastKind, CeilFloorKind, DateTimeField, Expr, Ident, TrimWhereField, UnaryOperator, Value,
};

use crate::bind::cast::OnBadText;
use crate::bind::operator::Like;
use crate::bind::{Binder, Bound, Scope, datetime};
use crate::error::SqlError;
use crate::names;
use crate::sql_type::SqlType;

impl Binder<'_> {
    /// Binds any expression.
    pub(crate) fn expr(&self, expr: &Expr, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        match expr {
            Expr::Identifier(name) => self.identifier(&[], name, scope),
            Expr::CompoundIdentifier(parts) => match parts.split_last() {
                Some((last, qualifier)) => {
                    let qualifier: Vec<String> = qualifier.iter().map(names::fold).collect();
                    self.identifier(&qualifier, last, scope)
                }
                None => Err(SqlError::syntax("a name is missing")),
            },
            Expr::Nested(inner) => {
                let inner = self.expr(inner, scope)?;
                Ok(Bound { sql: format!("({})", inner.sql), ..inner })
            }
            Expr::Value(value) => self.literal(&value.value),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, scope),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } if is_number_constant(expr) => {
                let constant = self.expr(expr, scope)?;
                Ok(Bound { sql: format!("(-{})", constant.sql), ..constant })
            }
            Expr::UnaryOp { op, expr } => self.unary(*op, &self.expr(expr, scope)?),
            Expr::Cast { kind, expr, data_type, format: None } => {
                let on_bad = match kind {
                    CastKind::TryCast => OnBadText::Null,
                    CastKind::Cast | CastKind::DoubleColon => OnBadText::Fail,
                    CastKind::SafeCast => return Err(SqlError::unsupported("SAFE_CAST")),
                };
                let value = self.expr(expr, scope)?;
                if on_bad == OnBadText::Null && !value.sql_type.is_text() && value.sql_type != SqlType::Null {
                    return Err(SqlError::invalid_types("TRY_CAST", &value.sql_type.to_string()));
                }
                self.cast(&value, SqlType::from_ast(data_type)?, on_bad)
            }
            Expr::TypedString(typed) if !typed.uses_odbc_syntax => {
                let value = self.literal(&typed.value.value)?;
                self.cast(&value, SqlType::from_ast(&typed.data_type)?, OnBadText::Fail)
            }
            Expr::Function(function) => self.function(function, scope),
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), scope)
            }
            _ => self.predicate(expr, scope),
        }
    }

    fn predicate(&self, expr: &Expr, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        match expr {
            Expr::IsNull(value) | Expr::IsNotNull(value) => {
                let not = if matches!(expr, Expr::IsNotNull(_)) { "not " } else { "" };
                let value = self.expr(value, scope)?;
                // `(x) is null` would also be true of an array of NULLs; casts of bare NULL need a type.
                let sql =
                    if value.sql_type == SqlType::Null { "null::text".to_owned() } else { value.sql.clone() };
                Ok(Bound::of(format!("({sql} is {not}null)"), SqlType::Boolean, &[&value]).nullable(false))
            }
            Expr::IsTrue(value) => self.is_truth(value, "true", scope),
            Expr::IsNotTrue(value) => self.is_truth(value, "not true", scope),
            Expr::IsFalse(value) => self.is_truth(value, "false", scope),
            Expr::IsNotFalse(value) => self.is_truth(value, "not false", scope),
            Expr::IsDistinctFrom(left, right) => {
                self.compare("is distinct from", &self.expr(left, scope)?, &self.expr(right, scope)?)
            }
            Expr::IsNotDistinctFrom(left, right) => {
                self.compare("is not distinct from", &self.expr(left, scope)?, &self.expr(right, scope)?)
            }
            Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated, scope),
            Expr::InSubquery { expr, subquery, negated } => self.in_subquery(expr, subquery, *negated, scope),
            Expr::Between { expr, negated, low, high } => {
                let value = self.expr(expr, scope)?;
                let low = self.compare(">=", &value, &self.expr(low, scope)?)?;
                let high = self.compare("<=", &value, &self.expr(high, scope)?)?;
                let not = if *negated { "not " } else { "" };
                Ok(Bound::of(
                    format!("({not}({} and {}))", low.sql, high.sql),
                    SqlType::Boolean,
                    &[&low, &high],
                ))
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char } => self.like(
                &Like { operator: "like", negated: *negated, expr, pattern, escape: escape_char.as_deref() },
                scope,
            ),
            Expr::ILike { negated, any: false, expr, pattern, escape_char } => self.like(
                &Like { operator: "ilike", negated: *negated, expr, pattern, escape: escape_char.as_deref() },
                scope,
            ),
            Expr::Exists { subquery, negated } => {
                let query = self.query(subquery, Some(scope))?;
                let not = if *negated { "not " } else { "" };
                Ok(Bound::new(format!("({not}exists ({}))", query.sql), SqlType::Boolean, false))
            }
            Expr::Subquery(subquery) => {
                let query = self.query(subquery, Some(scope))?;
                match query.columns.as_slice() {
                    [column] => Ok(Bound::new(format!("({})", query.sql), column.sql_type, true)),
                    _ => Err(SqlError::syntax("a scalar sub-select gives one column")),
                }
            }
            _ => self.call_syntax(expr, scope),
        }
    }

    /// Functions that SQL writes with words inside the parentheses.
    fn call_syntax(&self, expr: &Expr, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        match expr {
            Expr::Ceil { expr, field } => self.round_syntax("CEIL", expr, field, scope),
            Expr::Floor { expr, field } => self.round_syntax("FLOOR", expr, field, scope),
            Expr::Extract { field, expr, .. } => {
                let part = datetime::part(&field.to_string())?;
                self.date_part(&part, &self.expr(expr, scope)?)
            }
            Expr::Position { expr, r#in } => {
                let parts = [self.expr(expr, scope)?, self.expr(r#in, scope)?];
                self.text_function("POSITION", &parts)
            }
            Expr::Substring { expr, substring_from: Some(from), substring_for, .. } => {
                let mut parts = vec![self.expr(expr, scope)?, self.expr(from, scope)?];
                if let Some(length) = substring_for {
                    parts.push(self.expr(length, scope)?);
                }
                self.text_function("SUBSTR", &parts)
            }
            Expr::Trim { trim_where, trim_what: None, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "TRIM",
                    Some(TrimWhereField::Leading) => "LTRIM",
                    Some(TrimWhereField::Trailing) => "RTRIM",
                };
                let mut parts = vec![self.expr(expr, scope)?];
                for characters in trim_characters.iter().flatten() {
                    parts.push(self.expr(characters, scope)?);
                }
                self.text_function(name, &parts)
            }
            Expr::JsonAccess { value, path } => self.json_access(&self.expr(value, scope)?, path),
            other => Err(SqlError::unsupported(format!("expression {other}"))),
        }
    }

    fn identifier(&self, qualifier: &[String], name: &Ident, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        let folded = names::fold(name);
        let mut current = Some(scope);
        while let Some(level) = current {
            if let Some(bound) = level.column(qualifier, &folded)? {
                return Ok(bound);
            }
            if qualifier.is_empty()
                && let Some(bound) = self.select_alias(&folded, level)?
            {
                return Ok(bound);
            }
            current = level.parent;
        }
        let mut shown = qualifier.to_vec();
        shown.push(folded);
        Err(SqlError::invalid_identifier(&shown.join(".")))
    }

    /// An alias of the SELECT list where no column has the name.
    fn select_alias(&self, name: &str, scope: &Scope<'_>) -> Result<Option<Bound>, SqlError> {
        let Some((_, meant)) = scope.aliases.iter().find(|(alias, _)| alias == name) else {
            return Ok(None);
        };
        if scope.open_aliases.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|open| open == name) {
            return Ok(None);
        }
        scope.open_aliases.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        let bound = self.expr(meant, scope);
        scope.open_aliases.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Some(Bound { is_constant_text: false, ..bound? }))
    }

    fn is_truth(&self, value: &Expr, word: &str, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        let value = self.condition(&self.expr(value, scope)?)?;
        Ok(Bound::of(format!("({} is {word})", value.sql), SqlType::Boolean, &[&value]).nullable(false))
    }

    fn in_list(
        &self,
        expr: &Expr,
        list: &[Expr],
        negated: bool,
        scope: &Scope<'_>,
    ) -> Result<Bound, SqlError> {
        let value = self.expr(expr, scope)?;
        let mut shared = value.sql_type;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            let item = self.expr(item, scope)?;
            shared = super::cast::common_type("IN", shared, item.sql_type)?;
            items.push(item);
        }
        if shared.is_semi_structured() {
            return Err(SqlError::unsupported("IN on semi-structured values; cast them"));
        }
        let value = self.comparable(&value, shared)?;
        let mut texts = Vec::with_capacity(items.len());
        for item in &items {
            texts.push(self.comparable(item, shared)?.sql);
        }
        let not = if negated { "not " } else { "" };
        let mut parts: Vec<&Bound> = items.iter().collect();
        parts.push(&value);
        Ok(Bound::of(format!("({} {not}in ({}))", value.sql, texts.join(", ")), SqlType::Boolean, &parts))
    }

    fn in_subquery(
        &self,
        expr: &Expr,
        subquery: &sqlparser::ast::Query,
        negated: bool,
        scope: &Scope<'_>,
    ) -> Result<Bound, SqlError> {
        let value = self.expr(expr, scope)?;
        let query = self.query(subquery, Some(scope))?;
        let [column] = query.columns.as_slice() else {
            return Err(SqlError::syntax("IN takes a sub-select of one column"));
        };
        let shared = super::cast::common_type("IN", value.sql_type, column.sql_type)?;
        if shared.is_semi_structured() {
            return Err(SqlError::unsupported("IN on semi-structured values; cast them"));
        }
        let value = self.comparable(&value, shared)?;
        let alias = self.alias();
        let inner =
            self.comparable(&Bound::new(format!("{alias}.o1"), column.sql_type, column.nullable), shared)?;
        let not = if negated { "not " } else { "" };
        let sql = format!("({} {not}in (select {} from ({}) {alias}))", value.sql, inner.sql, query.sql);
        Ok(Bound::of(sql, SqlType::Boolean, &[&value, &inner]))
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        scope: &Scope<'_>,
    ) -> Result<Bound, SqlError> {
        let operand = operand.map(|operand| self.expr(operand, scope)).transpose()?;
        let mut tests = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for when in conditions {
            let test = self.expr(&when.condition, scope)?;
            tests.push(match &operand {
                Some(operand) => self.compare("=", operand, &test)?,
                None => self.condition(&test)?,
            });
            results.push(self.expr(&when.result, scope)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.expr(otherwise, scope)?,
            None => Bound::new("null", SqlType::Null, true),
        });
        self.choose(&tests, &results)
    }

    /// CASE from its bound parts: one more result than tests.
    pub(crate) fn choose(&self, tests: &[Bound], results: &[Bound]) -> Result<Bound, SqlError> {
        let (results, sql_type) = self.unify("CASE", results)?;
        let mut sql = "case".to_owned();
        for (test, result) in tests.iter().zip(&results) {
            sql.push_str(&format!(" when {} then {}", test.sql, result.sql));
        }
        if let Some(last) = results.last() {
            sql.push_str(&format!(" else {} end", last.sql));
        }
        let parts: Vec<&Bound> = tests.iter().chain(&results).collect();
        let nullable = results.iter().any(|result| result.nullable);
        Ok(Bound::of(format!("({sql})"), sql_type, &parts).nullable(nullable))
    }

    fn round_syntax(
        &self,
        name: &str,
        expr: &Expr,
        field: &CeilFloorKind,
        scope: &Scope<'_>,
    ) -> Result<Bound, SqlError> {
        let mut parts = vec![self.expr(expr, scope)?];
        match field {
            CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => {}
            CeilFloorKind::Scale(scale) => parts.push(self.literal(&scale.value)?),
            CeilFloorKind::DateTimeField(field) => {
                return Err(SqlError::unsupported(format!("{name} TO {field}")));
            }
        }
        self.number_function(name, &parts)
    }
}

fn is_number_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(value.value, Value::Number(..)))
}
