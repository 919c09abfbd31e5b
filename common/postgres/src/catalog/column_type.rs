//! From a type's name and modifier to what the encoder writes. Modifiers are packed as the types' `typmodout`
//! functions unpack them (PostgreSQL source: numeric.c, varchar.c, date.c, timestamp.c).

use thaw_model::TargetType;
use thaw_model::target_type::{NumericModifier, TextKind};

/// The header that varchar, char and numeric modifiers carry (`VARHDRSZ`).
const HEADER: i32 = 4;

/// `None` where there is no encoding for the type.
///
/// An array is named `_` and its element's name; the modifier is the element's.
pub(super) fn target_type(
    (schema, name): (&str, &str),
    kind: &str,
    typmod: i32,
    labels: &[String],
) -> Option<TargetType> {
    match kind {
        "e" => return Some(TargetType::Enum { labels: labels.to_vec() }),
        "b" => {}
        _ => return None,
    }
    // An extension's type can live in any schema.
    if name == "citext" {
        return Some(text(TextKind::Citext, None));
    }
    if schema != "pg_catalog" {
        return None;
    }
    if let Some(element) = name.strip_prefix('_') {
        let element = plain_type(element, typmod).filter(is_element)?;
        return Some(TargetType::Array { element: Box::new(element) });
    }
    plain_type(name, typmod)
}

/// Built in, comparable, and without a place for a value's own syntax.
fn is_element(element: &TargetType) -> bool {
    !element.is_compared_as_text() && *element != TargetType::Bytea
}

fn plain_type(name: &str, typmod: i32) -> Option<TargetType> {
    Some(match name {
        "bool" => TargetType::Bool,
        "int2" => TargetType::Int2,
        "int4" => TargetType::Int4,
        "int8" => TargetType::Int8,
        "float4" => TargetType::Float4,
        "float8" => TargetType::Float8,
        "numeric" => TargetType::Numeric { modifier: numeric_modifier(typmod) },
        "text" => text(TextKind::Text, None),
        "varchar" => text(TextKind::Varchar, length(typmod)),
        "bpchar" => text(TextKind::Char, length(typmod)),
        "xml" => text(TextKind::Xml, None),
        "bytea" => TargetType::Bytea,
        "date" => TargetType::Date,
        "time" => TargetType::Time { precision: digits(typmod) },
        "timestamp" => TargetType::Timestamp { precision: digits(typmod) },
        "timestamptz" => TargetType::Timestamptz { precision: digits(typmod) },
        "json" => TargetType::Json,
        "jsonb" => TargetType::Jsonb,
        "uuid" => TargetType::Uuid,
        _ => return None,
    })
}

fn text(kind: TextKind, max_chars: Option<u32>) -> TargetType {
    TargetType::Text { kind, max_chars }
}

fn length(typmod: i32) -> Option<u32> {
    u32::try_from(typmod - HEADER).ok().filter(|_| typmod >= HEADER)
}

/// The precision is in the upper 16 bits, the scale, signed, in the lower 11.
fn numeric_modifier(typmod: i32) -> Option<NumericModifier> {
    if typmod < HEADER {
        return None;
    }
    let packed = typmod - HEADER;
    let precision = u16::try_from((packed >> 16) & 0xffff).ok()?;
    let scale = i16::try_from(((packed & 0x7ff) ^ 1024) - 1024).ok()?;
    Some(NumericModifier { precision, scale })
}

/// Microseconds where no precision is declared.
fn digits(typmod: i32) -> u8 {
    u8::try_from(typmod).unwrap_or(6).min(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modifiers_unpack_as_the_server_packs_them() {
        // numeric(10,2), numeric(3,-2) (PostgreSQL 15), numeric
        let built_in = |name, typmod| target_type(("pg_catalog", name), "b", typmod, &[]);
        let numeric = |typmod| built_in("numeric", typmod);
        let modified = |precision, scale| {
            Some(TargetType::Numeric { modifier: Some(NumericModifier { precision, scale }) })
        };
        assert_eq!(numeric(((10 << 16) | 2) + 4), modified(10, 2));
        assert_eq!(numeric(((3 << 16) | (-2 & 0x7ff)) + 4), modified(3, -2));
        assert_eq!(numeric(-1), Some(TargetType::Numeric { modifier: None }));
        assert_eq!(
            built_in("varchar", 24),
            Some(TargetType::Text { kind: TextKind::Varchar, max_chars: Some(20) })
        );
        assert_eq!(built_in("timestamptz", -1), Some(TargetType::Timestamptz { precision: 6 }));
        assert_eq!(built_in("time", 0), Some(TargetType::Time { precision: 0 }));
        let element = Box::new(TargetType::Text { kind: TextKind::Varchar, max_chars: Some(20) });
        assert_eq!(built_in("_varchar", 24), Some(TargetType::Array { element }));
    }

    #[test]
    fn types_without_an_encoding_are_named_not_guessed() {
        for (schema, name, kind) in [
            ("pg_catalog", "interval", "b"),
            ("pg_catalog", "_json", "b"),
            ("pg_catalog", "_interval", "b"),
            ("public", "_mood", "b"),
            ("public", "text", "b"),
            ("public", "pair", "c"),
        ] {
            assert_eq!(target_type((schema, name), kind, -1, &[]), None, "{name}");
        }
    }
}
