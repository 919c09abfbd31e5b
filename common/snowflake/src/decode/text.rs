//! BOOLEAN. VARCHAR, CHAR and UUID need no decoding: their cells are their text; `''` is not NULL.

use super::{DecodeError, DecodeErrorKind};

/// Reads `true` and `false` in any case, and the drivers' `1` and `0`.
///
/// # Errors
/// Other text.
pub fn boolean(text: &str) -> Result<bool, DecodeError> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ if text.eq_ignore_ascii_case("true") => Ok(true),
        _ if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(DecodeErrorKind::NotABoolean.into()),
    }
}
