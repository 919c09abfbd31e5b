//! Which pairs of a source and a target type can be loaded, and what such a pair may cost. The planner asks before
//! any row moves; the encoder refuses what is not listed here.

use thaw_model::target_type::TextKind;
use thaw_model::{SourceType, TargetType};

/// What values of a pair can lose or run into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Every value arrives as it is.
    None,
    /// Nanoseconds are floored to the column's precision, and a zone's offset is dropped (the instant stays).
    Precision,
    /// Some values do not fit (range, length, decimals, syntax): each of them is a bad row.
    SomeValues,
}

/// A pair without an encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_type} cannot be loaded into {target_type}: {reason}")]
pub struct Unloadable {
    pub source_type: SourceType,
    pub target_type: TargetType,
    pub reason: &'static str,
}

/// Whether there is an encoding for the pair, and what it may cost.
///
/// # Errors
/// [`Unloadable`], with the reason for the report.
pub fn pair_is_loadable(source: SourceType, target: &TargetType) -> Result<Loss, Unloadable> {
    loss(source, target).map_err(|reason| Unloadable {
        source_type: source,
        target_type: target.clone(),
        reason,
    })
}

/// The pair mixes wall clocks and instants: it is converted in the plan's time zone.
#[must_use]
pub fn pair_needs_zone(source: SourceType, target: &TargetType) -> bool {
    use SourceType as S;
    use TargetType as T;
    match source {
        S::TimestampNtz { .. } | S::Date | S::Text { .. } => matches!(target, T::Timestamptz { .. }),
        S::TimestampLtz { .. } | S::TimestampTz { .. } => matches!(target, T::Timestamp { .. } | T::Date),
        _ => false,
    }
}

fn loss(source: SourceType, target: &TargetType) -> Result<Loss, &'static str> {
    use SourceType as S;
    if let TargetType::Text { kind, max_chars } = target {
        return into_text(source, *kind, *max_chars);
    }
    match source {
        S::Number { precision, scale } => from_number(precision, scale, target),
        S::Float | S::DecFloat => from_float(source, target),
        S::Boolean => match target {
            TargetType::Bool | TargetType::Int2 | TargetType::Int4 | TargetType::Int8 => Ok(Loss::None),
            _ => Err("a boolean goes to boolean, an integer or text"),
        },
        S::Text { .. } => from_text(target),
        S::Binary => match target {
            TargetType::Bytea => Ok(Loss::None),
            _ => Err("binary data goes to bytea, or to text as hexadecimal digits"),
        },
        S::Date => match target {
            TargetType::Date | TargetType::Timestamp { .. } | TargetType::Timestamptz { .. } => {
                Ok(Loss::SomeValues)
            }
            _ => Err("a date goes to date, timestamp or text"),
        },
        S::Time { scale } => match target {
            TargetType::Time { precision } if scale <= *precision => Ok(Loss::None),
            TargetType::Time { .. } => Ok(Loss::Precision),
            _ => Err("a time goes to time or text"),
        },
        S::TimestampNtz { .. } | S::TimestampLtz { .. } | S::TimestampTz { .. } => {
            from_timestamp(source, target)
        }
        S::Variant | S::Object | S::Array | S::Geography | S::Geometry | S::Vector => match target {
            TargetType::Json => Ok(Loss::None),
            TargetType::Jsonb => Ok(Loss::SomeValues),
            TargetType::Array { .. } if matches!(source, S::Variant | S::Array | S::Vector) => {
                Ok(Loss::SomeValues)
            }
            TargetType::Array { .. } => Err("only an array goes to an array"),
            _ => Err("semi-structured data goes to json, jsonb or text, and arrays to arrays"),
        },
        S::Uuid => match target {
            TargetType::Uuid => Ok(Loss::None),
            _ => Err("a uuid goes to uuid or text"),
        },
    }
}

fn into_text(source: SourceType, kind: TextKind, max_chars: Option<u32>) -> Result<Loss, &'static str> {
    let is_text = matches!(source, SourceType::Text { .. });
    match kind {
        TextKind::Xml if is_text => Ok(Loss::SomeValues),
        TextKind::Xml => Err("only text goes to xml"),
        TextKind::Text | TextKind::Varchar | TextKind::Char | TextKind::Citext => match (source, max_chars) {
            (_, Some(max)) if widest_text(source).is_some_and(|widest| widest <= max) => Ok(Loss::None),
            (_, Some(_)) => Ok(Loss::SomeValues),
            (_, None) => Ok(Loss::None),
        },
    }
}

/// The characters of the longest text of a type; `None` where there is no such limit worth knowing.
fn widest_text(source: SourceType) -> Option<u32> {
    match source {
        SourceType::Text { length } => length,
        // A sign, and with decimals a point and the zero before it.
        SourceType::Number { precision, scale: 0 } => Some(u32::from(precision) + 1),
        SourceType::Number { precision, .. } => Some(u32::from(precision) + 3),
        SourceType::Boolean => Some(5),
        SourceType::Time { scale } => Some(9 + u32::from(scale)),
        SourceType::Uuid => Some(36),
        _ => None,
    }
}

fn from_number(precision: u8, scale: u8, target: &TargetType) -> Result<Loss, &'static str> {
    let whole_digits = i32::from(precision) - i32::from(scale);
    Ok(match target {
        // 9999, 999 999 999 and 18 nines are the largest all-nines that fit.
        TargetType::Int2 if scale == 0 && precision <= 4 => Loss::None,
        TargetType::Int4 if scale == 0 && precision <= 9 => Loss::None,
        TargetType::Int8 if scale == 0 && precision <= 18 => Loss::None,
        TargetType::Numeric { modifier: None } => Loss::None,
        TargetType::Numeric { modifier: Some(m) }
            if i32::from(m.scale) >= i32::from(scale)
                && i32::from(m.precision) - i32::from(m.scale) >= whole_digits =>
        {
            Loss::None
        }
        TargetType::Float8 if precision <= 15 => Loss::None,
        TargetType::Float4 if precision <= 6 => Loss::None,
        TargetType::Int2
        | TargetType::Int4
        | TargetType::Int8
        | TargetType::Numeric { .. }
        | TargetType::Float4
        | TargetType::Float8
        | TargetType::Bool => Loss::SomeValues,
        _ => return Err("a number goes to an integer, numeric, floating point, boolean (0 and 1) or text"),
    })
}

fn from_float(source: SourceType, target: &TargetType) -> Result<Loss, &'static str> {
    match target {
        TargetType::Float8 | TargetType::Numeric { modifier: None } if source == SourceType::Float => {
            Ok(Loss::None)
        }
        TargetType::Float8
        | TargetType::Float4
        | TargetType::Numeric { .. }
        | TargetType::Int2
        | TargetType::Int4
        | TargetType::Int8 => Ok(Loss::SomeValues),
        _ => Err("a floating point number goes to floating point, numeric, an integer or text"),
    }
}

/// Every target has a text form that can be read strictly, except bytea: its bytes would be a guess.
fn from_text(target: &TargetType) -> Result<Loss, &'static str> {
    match target {
        TargetType::Bytea => Err("text does not say how its bytes are written"),
        TargetType::Array { .. } => Err("text does not say how its elements are written"),
        _ => Ok(Loss::SomeValues),
    }
}

fn from_timestamp(source: SourceType, target: &TargetType) -> Result<Loss, &'static str> {
    let scale = match source {
        SourceType::TimestampNtz { scale }
        | SourceType::TimestampLtz { scale }
        | SourceType::TimestampTz { scale } => scale,
        _ => 0,
    };
    match target {
        TargetType::Timestamp { precision } | TargetType::Timestamptz { precision } => {
            // An offset is dropped even where every digit stays.
            let exact = scale <= *precision && !matches!(source, SourceType::TimestampTz { .. });
            Ok(if exact { Loss::None } else { Loss::Precision })
        }
        TargetType::Date => Ok(Loss::SomeValues),
        _ => Err("a timestamp goes to timestamp, timestamptz, date or text"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planner_is_told_what_a_pair_may_cost() {
        let number = SourceType::Number { precision: 38, scale: 0 };
        assert_eq!(pair_is_loadable(number, &TargetType::Int8), Ok(Loss::SomeValues));
        assert_eq!(
            pair_is_loadable(SourceType::Number { precision: 18, scale: 0 }, &TargetType::Int8),
            Ok(Loss::None)
        );
        assert_eq!(pair_is_loadable(number, &TargetType::Numeric { modifier: None }), Ok(Loss::None));
        let refused = pair_is_loadable(number, &TargetType::Date).expect_err("no such encoding");
        assert_eq!(
            refused.to_string(),
            "NUMBER(38,0) cannot be loaded into date: \
             a number goes to an integer, numeric, floating point, boolean (0 and 1) or text"
        );
    }

    #[test]
    fn wall_clocks_and_instants_need_a_zone_between_them() {
        let ntz = SourceType::TimestampNtz { scale: 9 };
        let tz = SourceType::TimestampTz { scale: 9 };
        assert!(pair_needs_zone(ntz, &TargetType::Timestamptz { precision: 6 }));
        assert!(pair_needs_zone(tz, &TargetType::Timestamp { precision: 6 }));
        assert!(!pair_needs_zone(ntz, &TargetType::Timestamp { precision: 6 }));
        assert!(!pair_needs_zone(tz, &TargetType::Timestamptz { precision: 6 }));
    }
}
