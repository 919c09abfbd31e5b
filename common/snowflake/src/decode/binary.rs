//! BINARY: hexadecimal text without a prefix, in either case.

use super::{DecodeError, DecodeErrorKind};

/// Reads pairs of hexadecimal digits.
///
/// # Errors
/// Other characters, an odd number of digits.
pub fn hex(text: &str) -> Result<Vec<u8>, DecodeError> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    hex_into(text, &mut bytes)?;
    Ok(bytes)
}

/// Like [`hex`], appending to `out`; on an error `out` may hold a part.
///
/// # Errors
/// Like [`hex`].
pub fn hex_into(text: &str, out: &mut Vec<u8>) -> Result<(), DecodeError> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err(DecodeErrorKind::NotHex.into());
    }
    for pair in digits.chunks_exact(2) {
        let [high, low] = [nibble(pair.first()), nibble(pair.last())];
        match (high, low) {
            (Some(high), Some(low)) => out.push(high << 4 | low),
            _ => return Err(DecodeErrorKind::NotHex.into()),
        }
    }
    Ok(())
}

fn nibble(digit: Option<&u8>) -> Option<u8> {
    match digit? {
        byte @ b'0'..=b'9' => Some(byte - b'0'),
        byte @ b'A'..=b'F' => Some(byte - b'A' + 10),
        byte @ b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}
