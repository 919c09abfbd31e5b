//! A filter in the target's words: the tree is rebuilt from a closed list of forms (columns, literals, comparisons,
//! AND, OR, NOT, IN, BETWEEN, IS NULL, `::DATE`), each of which means the same on both sides. Anything else is "not
//! translated", with the reason, and the caller does without.

use std::fmt;

use sqlparser::ast::{BinaryOperator, CastKind, Expr, Ident, TypedString, UnaryOperator};
use thaw_config::TableEntry;
use thaw_model::SfIdent;
use thaw_model::plan::PlannedColumn;

use super::column::{Column, Comparison, Kind};
use super::literal::{self, Declared, Literal};
use crate::columns::Mapped;

/// A condition over the target's columns: quoted names, every level in parentheses, so that it can stand anywhere
/// an operand of AND can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgFilter(String);

impl PgFilter {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PgFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a filter has no counterpart. Names columns and forms, never a literal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct NotTranslated {
    pub what: String,
}

fn not_translated(what: impl Into<String>) -> NotTranslated {
    NotTranslated { what: what.into() }
}

/// Rewrites `filter` into the target's column names: a loaded row of the target fulfils the result if and only if
/// its row of the source fulfils the filter.
///
/// # Errors
/// The first form or column that has no counterpart.
pub fn translate(filter: &str, entry: &TableEntry, mapped: &Mapped) -> Result<PgFilter, NotTranslated> {
    let tree = super::parse(filter).map_err(|error| not_translated(error.to_string()))?;
    Translator { entry, mapped }.condition(&tree).map(PgFilter)
}

struct Translator<'a> {
    entry: &'a TableEntry,
    mapped: &'a Mapped,
}

enum Operand<'a> {
    Column(Column<'a>),
    /// `column::DATE`.
    Day(Column<'a>),
    Literal(Literal),
}

impl<'a> Translator<'a> {
    /// What is true, false or unknown, in parentheses.
    fn condition(&self, tree: &Expr) -> Result<String, NotTranslated> {
        Ok(match tree {
            Expr::Nested(inner) => self.condition(inner)?,
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                format!("({} and {})", self.condition(left)?, self.condition(right)?)
            }
            Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
                format!("({} or {})", self.condition(left)?, self.condition(right)?)
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("(not {})", self.condition(expr)?),
            Expr::BinaryOp { left, op, right } => {
                let comparison = comparison(op)?;
                format!("({})", self.compare(&self.operand(left)?, comparison, &self.operand(right)?)?)
            }
            Expr::Between { expr, negated, low, high } => {
                let operand = self.operand(expr)?;
                let low = self.compare(&operand, Comparison::GtEq, &self.operand(low)?)?;
                let high = self.compare(&operand, Comparison::LtEq, &self.operand(high)?)?;
                negate(*negated, format!("({low} and {high})"))
            }
            Expr::InList { expr, list, negated } => negate(*negated, self.in_list(expr, list)?),
            Expr::IsNull(expr) => self.null_test(expr, "is null")?,
            Expr::IsNotNull(expr) => self.null_test(expr, "is not null")?,
            other => self.boolean(other)?,
        })
    }

    /// A boolean column or constant that stands for itself.
    fn boolean(&self, tree: &Expr) -> Result<String, NotTranslated> {
        match self.operand(tree)? {
            Operand::Column(column) => match column.kind() {
                Ok(Kind::Boolean) => Ok(column.sql()),
                Ok(_) => Err(of(column, "it is no boolean and stands for a condition")),
                Err(reason) => Err(of(column, reason)),
            },
            Operand::Literal(Literal::Boolean(value)) => Ok(value.to_string()),
            Operand::Literal(Literal::Null) => Ok("null::boolean".to_owned()),
            Operand::Literal(_) | Operand::Day(_) => {
                Err(not_translated("a value that is no condition stands for one"))
            }
        }
    }

    fn compare(
        &self,
        left: &Operand<'a>,
        comparison: Comparison,
        right: &Operand<'a>,
    ) -> Result<String, NotTranslated> {
        match (left, right) {
            (Operand::Column(column), Operand::Literal(literal)) => {
                column.compare(comparison, literal).map_err(|reason| of(*column, reason))
            }
            (Operand::Day(column), Operand::Literal(literal)) => {
                column.compare_day(comparison, literal).map_err(|reason| of(*column, reason))
            }
            (Operand::Literal(_), Operand::Column(_) | Operand::Day(_)) => {
                self.compare(right, comparison.flipped(), left)
            }
            (Operand::Column(column), Operand::Column(other)) => {
                column.compare_column(comparison, *other).map_err(|reason| of(*column, reason))
            }
            // `1 = 1`, as generated filters begin.
            (Operand::Literal(Literal::Number(left)), Operand::Literal(Literal::Number(right))) => {
                Ok(format!("{left} {} {right}", comparison.sql()))
            }
            (Operand::Day(column), _) | (_, Operand::Day(column)) => {
                Err(of(*column, "its date is compared with what is no literal"))
            }
            (Operand::Literal(_), Operand::Literal(_)) => {
                Err(not_translated("a comparison of two literals that are no numbers"))
            }
        }
    }

    fn in_list(&self, expr: &Expr, list: &[Expr]) -> Result<String, NotTranslated> {
        if list.is_empty() {
            return Err(not_translated("an empty IN list"));
        }
        let operand = self.operand(expr)?;
        let members = list.iter().map(|member| self.operand(member)).collect::<Result<Vec<_>, _>>()?;
        let Operand::Column(column) = operand else {
            let each: Result<Vec<String>, _> =
                members.iter().map(|member| self.compare(&operand, Comparison::Eq, member)).collect();
            return Ok(format!("({})", each?.join(" or ")));
        };
        let constants = members.iter().map(|member| match member {
            Operand::Literal(literal) => {
                // Whether equality means the same is the comparison's to say.
                column.compare(Comparison::Eq, literal)?;
                column.constant(column.kind()?, literal)
            }
            Operand::Column(_) | Operand::Day(_) => Err("IN holds more than literals"),
        });
        let constants = constants.collect::<Result<Vec<String>, _>>().map_err(|reason| of(column, reason))?;
        Ok(format!("({} in ({}))", column.sql(), constants.join(", ")))
    }

    fn null_test(&self, expr: &Expr, test: &str) -> Result<String, NotTranslated> {
        match self.operand(expr)? {
            Operand::Column(column) => {
                column.keeps_null().map_err(|reason| of(column, reason))?;
                Ok(format!("({} {test})", column.sql()))
            }
            Operand::Day(column) => Err(of(column, "IS NULL of its date")),
            Operand::Literal(_) => Err(not_translated("IS NULL of a literal")),
        }
    }

    fn operand(&self, tree: &Expr) -> Result<Operand<'a>, NotTranslated> {
        match tree {
            Expr::Nested(inner) => self.operand(inner),
            Expr::Identifier(name) => self.column(name).map(Operand::Column),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] if exact(table) == self.entry.source => self.column(name).map(Operand::Column),
                _ => Err(not_translated("a column of another table, or a part of one")),
            },
            Expr::Value(value) => literal::read(&value.value).map(Operand::Literal).map_err(not_translated),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match self.operand(expr)? {
                Operand::Literal(Literal::Number(number)) => {
                    Ok(Operand::Literal(Literal::Number(literal::negated(&number))))
                }
                _ => Err(not_translated("a minus before what is no number")),
            },
            Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false }) => {
                let literal = literal::read(&value.value).map_err(not_translated)?;
                cast(Operand::Literal(literal), literal::declared(data_type).map_err(not_translated)?)
            }
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, format: None } => {
                cast(self.operand(expr)?, literal::declared(data_type).map_err(not_translated)?)
            }
            other => Err(not_translated(format!("{}, which is not among the forms that are", form(other)))),
        }
    }

    /// Unquoted names fold to upper case, quoted ones are exact.
    fn column(&self, name: &Ident) -> Result<Column<'a>, NotTranslated> {
        let exact = exact(name);
        let planned: Option<&'a PlannedColumn> =
            self.mapped.columns.iter().find(|column| column.source == exact);
        planned
            .map(|planned| Column::new(planned, self.entry, self.mapped))
            .ok_or_else(|| not_translated(format!("column \"{exact}\" is not loaded")))
    }
}

fn cast(operand: Operand<'_>, declared: Declared) -> Result<Operand<'_>, NotTranslated> {
    match (operand, declared) {
        (Operand::Column(column), Declared::Date) => Ok(Operand::Day(column)),
        (Operand::Literal(Literal::Text(text)), declared) => literal::moment(&text, Some(declared))
            .map(|moment| Operand::Literal(Literal::Moment(moment)))
            .map_err(not_translated),
        (Operand::Literal(Literal::Null), _) => Ok(Operand::Literal(Literal::Null)),
        _ => Err(not_translated("a cast other than ::DATE of a column or of a text")),
    }
}

/// The name as the catalogue spells it: unquoted names fold, quoted ones are exact.
fn exact(name: &Ident) -> SfIdent {
    SfIdent::folded(&name.to_string())
}

fn comparison(op: &BinaryOperator) -> Result<Comparison, NotTranslated> {
    Ok(match op {
        BinaryOperator::Eq => Comparison::Eq,
        BinaryOperator::NotEq => Comparison::NotEq,
        BinaryOperator::Lt => Comparison::Lt,
        BinaryOperator::LtEq => Comparison::LtEq,
        BinaryOperator::Gt => Comparison::Gt,
        BinaryOperator::GtEq => Comparison::GtEq,
        other => return Err(not_translated(format!("operator {other}"))),
    })
}

fn negate(negated: bool, condition: String) -> String {
    if negated { format!("(not {condition})") } else { condition }
}

fn of(column: Column<'_>, reason: &str) -> NotTranslated {
    not_translated(format!("column \"{}\": {reason}", column.planned.source))
}

/// The name of a form, for the reason.
fn form(tree: &Expr) -> String {
    match tree {
        Expr::Function(function) => format!("function {}", function.name),
        Expr::Like { .. } | Expr::ILike { .. } => "LIKE".to_owned(),
        Expr::InSubquery { .. } | Expr::Subquery(_) | Expr::Exists { .. } => "a subquery".to_owned(),
        Expr::Case { .. } => "CASE".to_owned(),
        Expr::Cast { .. } => "a cast".to_owned(),
        Expr::BinaryOp { op, .. } => format!("operator {op}"),
        _ => "a form".to_owned(),
    }
}
