//! VARIANT, OBJECT, ARRAY and what is printed like them.

use std::borrow::Cow;

use super::DecodeError;

/// Minifies the server's JSON-like text into JSON.
///
/// # Errors
/// Text that is no JSON; NaN and infinities.
pub fn minify(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    Ok(Cow::Borrowed(text))
}
