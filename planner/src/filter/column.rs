//! What a loaded column may be compared with so that the comparison means the same on both sides.
//!
//! The target's value is the source's value as the encoder wrote it: a timestamp may have been floored, a text is
//! compared by bytes at the source and by a collation at the target, a bad value may have become NULL. Whatever is
//! not known to mean the same is refused.

use thaw_config::TableEntry;
use thaw_model::ident::pg_literal;
use thaw_model::plan::{NulInText, OnBadRow, PlannedColumn};
use thaw_model::target_type::TextKind;
use thaw_model::{SourceType, TargetType};
use thaw_worker::encode::{Loss, pair_is_loadable};
use time::{Date, PrimitiveDateTime, Time};

use super::literal::{self, Declared, Literal, Moment};
use crate::columns::Mapped;

/// A comparison of two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

impl Comparison {
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::NotEq => "<>",
            Self::Lt => "<",
            Self::LtEq => "<=",
            Self::Gt => ">",
            Self::GtEq => ">=",
        }
    }

    /// The same with its operands exchanged.
    pub(super) const fn flipped(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::NotEq => Self::NotEq,
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
        }
    }

    const fn is_equality(self) -> bool {
        matches!(self, Self::Eq | Self::NotEq)
    }
}

/// A column of the filter with its counterpart in the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column<'a> {
    pub(super) planned: &'a PlannedColumn,
    entry: &'a TableEntry,
    by_bytes: bool,
}

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Boolean,
    Text,
    Date,
    Timestamp(Stamp),
}

/// What is to be known about a column of timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The source's values are instants; else they are wall clocks.
    instant: bool,
    /// Every value carries an offset of its own, and is a date in it.
    own_offset: bool,
    /// The target's values are instants.
    target_instant: bool,
    /// The target keeps all digits of the source; else its values are floored.
    exact: bool,
    /// Digits of a second that the target keeps.
    precision: u8,
}

impl<'a> Column<'a> {
    pub(super) fn new(planned: &'a PlannedColumn, entry: &'a TableEntry, mapped: &Mapped) -> Self {
        let by_bytes = !mapped.loosely_equal.contains(&planned.target);
        Self { planned, entry, by_bytes }
    }

    pub(super) fn sql(self) -> String {
        self.planned.target.quoted()
    }

    /// Whether NULL here is NULL there and nothing else is.
    pub(super) fn keeps_null(self) -> Result<(), &'static str> {
        self.keeps_values()?;
        match self.planned.source_type {
            SourceType::Variant | SourceType::Object | SourceType::Array => {
                Err("its NULL may be a null of JSON")
            }
            _ => Ok(()),
        }
    }

    fn keeps_values(self) -> Result<(), &'static str> {
        let PlannedColumn { source_type, target_type, lossy, .. } = self.planned;
        let loss = pair_is_loadable(*source_type, target_type).unwrap_or(Loss::SomeValues);
        let is_text = matches!(source_type, SourceType::Text { .. });
        if self.entry.bad_rows.on_bad_row == OnBadRow::Null && (loss == Loss::SomeValues || is_text) {
            return Err("its bad values become NULL (on_bad_row)");
        }
        if *lossy { Err("it is listed in lossy") } else { Ok(()) }
    }

    /// The kind, where values of this pair of types compare alike on both sides.
    pub(super) fn kind(self) -> Result<Kind, &'static str> {
        use SourceType as S;
        use TargetType as T;
        self.keeps_values()?;
        match (self.planned.source_type, &self.planned.target_type) {
            (S::Number { .. }, T::Int2 | T::Int4 | T::Int8 | T::Numeric { .. }) => Ok(Kind::Number),
            (S::Boolean, T::Bool) => Ok(Kind::Boolean),
            (S::Text { .. }, T::Text { kind: TextKind::Text | TextKind::Varchar, .. }) => self.text(),
            (S::Text { .. }, T::Text { kind: TextKind::Char, .. }) => {
                Err("the target's char(n) ignores trailing blanks")
            }
            (S::Text { .. }, T::Text { .. }) => Err("the target compares its texts in a way of its own"),
            (S::Date, T::Date) => Ok(Kind::Date),
            (
                S::TimestampNtz { scale } | S::TimestampLtz { scale } | S::TimestampTz { scale },
                T::Timestamp { precision } | T::Timestamptz { precision },
            ) => self.stamp(scale, *precision).map(Kind::Timestamp),
            (S::Float | S::DecFloat, _) | (_, T::Float4 | T::Float8) => {
                Err("floating point numbers compare differently on the two sides")
            }
            _ => Err("its type is another in the target, or has no comparison that both sides share"),
        }
    }

    fn text(self) -> Result<Kind, &'static str> {
        if self.entry.bad_rows.nul_in_text != NulInText::Fail {
            return Err("nul_in_text changes its values");
        }
        if self.by_bytes {
            Ok(Kind::Text)
        } else {
            Err("a collation takes different texts for equal, or orders them otherwise")
        }
    }

    /// The length behind which blanks of the source's values are cut.
    fn cuts_blanks(self) -> Option<usize> {
        let PlannedColumn { source_type, target_type, .. } = self.planned;
        match target_type {
            TargetType::Text { max_chars: Some(max), .. }
                if pair_is_loadable(*source_type, target_type) != Ok(Loss::None) =>
            {
                usize::try_from(*max).ok()
            }
            _ => None,
        }
    }

    fn stamp(self, scale: u8, precision: u8) -> Result<Stamp, &'static str> {
        let instant = !matches!(self.planned.source_type, SourceType::TimestampNtz { .. });
        let target_instant = matches!(self.planned.target_type, TargetType::Timestamptz { .. });
        if instant != target_instant && !self.is_utc() {
            return Err("it is converted between wall clock and instant in another zone than UTC");
        }
        let own_offset = matches!(self.planned.source_type, SourceType::TimestampTz { .. });
        Ok(Stamp { instant, own_offset, target_instant, exact: scale <= precision, precision })
    }

    fn is_utc(self) -> bool {
        self.entry.timezone == "UTC"
    }

    /// `column <comparison> literal`.
    pub(super) fn compare(self, comparison: Comparison, literal: &Literal) -> Result<String, &'static str> {
        let kind = self.kind()?;
        if *literal == Literal::Null {
            return Ok("null::boolean".to_owned());
        }
        match kind {
            Kind::Boolean if !comparison.is_equality() => {
                return Err("booleans are compared by = and <> alone");
            }
            Kind::Timestamp(stamp) if !stamp.exact && !floors_alike(comparison) => {
                return Err("the target keeps fewer digits of a second, so only >= and < mean the same");
            }
            _ => {}
        }
        let constant = self.constant(kind, literal)?;
        // Texts are ordered by bytes at the source.
        let order = if kind == Kind::Text && !comparison.is_equality() { " collate \"C\"" } else { "" };
        Ok(format!("{}{order} {} {constant}", self.sql(), comparison.sql()))
    }

    /// The literal as a constant of the target's type.
    pub(super) fn constant(self, kind: Kind, literal: &Literal) -> Result<String, &'static str> {
        match (kind, literal) {
            (_, Literal::Null) => Ok("null".to_owned()),
            (Kind::Number, Literal::Number(number)) => Ok(number.clone()),
            (Kind::Boolean, Literal::Boolean(value)) => Ok(value.to_string()),
            (Kind::Text, Literal::Text(text)) => {
                // A longer value that ends in blanks was cut to the column's length: shorter literals do not notice.
                if self.cuts_blanks().is_some_and(|max| text.chars().count() >= max) {
                    return Err(
                        "a literal as long as the target's column, which cuts blanks behind its length",
                    );
                }
                Ok(pg_literal(text))
            }
            (Kind::Date, literal) => Ok(literal::pg_date(day(literal)?)),
            (Kind::Timestamp(stamp), Literal::Text(text)) => {
                self.timestamp(stamp, literal::moment(text, None)?)
            }
            (Kind::Timestamp(stamp), Literal::Moment(moment)) => self.timestamp(stamp, *moment),
            _ => Err("it is compared with a literal of another type"),
        }
    }

    fn timestamp(self, stamp: Stamp, moment: Moment) -> Result<String, &'static str> {
        const ZONE: &str =
            "it is compared with a time whose meaning depends on the session's zone, which is not UTC";
        let names_instant = moment.offset.is_some();
        if !stamp.instant && names_instant && moment.declared.is_none() {
            return Err("an offset in a literal for a timestamp without zone");
        }
        if matches!(moment.declared, Some(Declared::Ntz | Declared::Mapped)) && names_instant {
            return Err("an offset in a literal whose type may have no zone");
        }
        let is_wall = matches!(moment.declared, None | Some(Declared::Date | Declared::Ntz));
        let zone_matters = if stamp.instant { !names_instant } else { !is_wall };
        if zone_matters && !self.is_utc() {
            return Err(ZONE);
        }
        let at = match moment.offset {
            // In UTC, where a wall clock without offset stands already.
            Some(offset) => {
                let utc = moment
                    .at
                    .assume_offset(offset)
                    .checked_to_offset(time::UtcOffset::UTC)
                    .ok_or("a time outside the calendar")?;
                PrimitiveDateTime::new(utc.date(), utc.time())
            }
            None => moment.at,
        };
        self.stamped(stamp, at)
    }

    /// A wall clock, or an instant in UTC, in the target's type.
    fn stamped(self, stamp: Stamp, at: PrimitiveDateTime) -> Result<String, &'static str> {
        let kept = if stamp.exact { 6 } else { u32::from(stamp.precision.min(6)) };
        if !at.nanosecond().is_multiple_of(10_u32.pow(9 - kept)) {
            return Err("a literal with more digits of a second than the target keeps");
        }
        Ok(if stamp.target_instant { literal::pg_timestamptz(at) } else { literal::pg_timestamp(at) })
    }

    /// `column::DATE <comparison> day`, as a range on the bare column.
    pub(super) fn compare_day(
        self,
        comparison: Comparison,
        literal: &Literal,
    ) -> Result<String, &'static str> {
        let stamp = match self.kind()? {
            Kind::Date => return self.compare(comparison, literal),
            Kind::Timestamp(stamp) => stamp,
            Kind::Number | Kind::Boolean | Kind::Text => {
                return Err("::DATE of what is no date or timestamp");
            }
        };
        if stamp.own_offset {
            return Err("::DATE of a TIMESTAMP_TZ is the date in each value's own zone");
        }
        if stamp.instant && !self.is_utc() {
            return Err("::DATE of an instant in another zone than UTC");
        }
        if *literal == Literal::Null {
            return Ok("null::boolean".to_owned());
        }
        let first = day(literal)?;
        let next = first.next_day().ok_or("a range that ends after year 9999")?;
        let midnight = |date: Date| self.stamped(stamp, PrimitiveDateTime::new(date, Time::MIDNIGHT));
        let (column, first, next) = (self.sql(), midnight(first)?, midnight(next)?);
        Ok(match comparison {
            Comparison::Eq => format!("({column} >= {first} and {column} < {next})"),
            Comparison::NotEq => format!("({column} < {first} or {column} >= {next})"),
            Comparison::Lt => format!("{column} < {first}"),
            Comparison::LtEq => format!("{column} < {next}"),
            Comparison::Gt => format!("{column} >= {next}"),
            Comparison::GtEq => format!("{column} >= {first}"),
        })
    }

    /// `column <comparison> other`.
    pub(super) fn compare_column(self, comparison: Comparison, other: Self) -> Result<String, &'static str> {
        let (left, right) = (self.kind()?, other.kind()?);
        let same = match (left, right) {
            (Kind::Timestamp(left), Kind::Timestamp(right)) => {
                left.exact
                    && right.exact
                    && left.instant == right.instant
                    && left.target_instant == right.target_instant
            }
            (Kind::Boolean, Kind::Boolean) => comparison.is_equality(),
            (Kind::Text, Kind::Text) => self.cuts_blanks().is_none() && other.cuts_blanks().is_none(),
            (left, right) => left == right,
        };
        if !same {
            return Err("it is compared with a column whose values compare differently");
        }
        let order = if left == Kind::Text { " collate \"C\"" } else { "" };
        Ok(format!("{}{order} {} {}", self.sql(), comparison.sql(), other.sql()))
    }
}

/// Whether a comparison of a floored value with a value of the coarser grid means the same as of the finer one.
const fn floors_alike(comparison: Comparison) -> bool {
    matches!(comparison, Comparison::GtEq | Comparison::Lt)
}

fn day(literal: &Literal) -> Result<Date, &'static str> {
    let moment = match literal {
        Literal::Text(text) => literal::moment(text, Some(Declared::Date))?,
        Literal::Moment(moment) if moment.declared == Some(Declared::Date) => *moment,
        _ => return Err("a date is compared with what is no date"),
    };
    Ok(moment.at.date())
}
