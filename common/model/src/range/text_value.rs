//! A text of the source inside a range.

use serde::{Deserialize, Serialize};

/// Any text. It is stored as a JSON string, or, where it holds U+0000, which jsonb cannot, as `{"hex": "..."}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct TextValue(String);

impl TextValue {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for TextValue {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for TextValue {
    fn from(text: String) -> Self {
        Self(text)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Plain(String),
    Hex { hex: String },
}

impl From<TextValue> for Stored {
    fn from(value: TextValue) -> Self {
        if !value.0.contains('\0') {
            return Self::Plain(value.0);
        }
        let hex = value.0.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
        Self::Hex { hex: hex.filter_map(|digit| char::from_digit(digit.into(), 16)).collect() }
    }
}

impl TryFrom<Stored> for TextValue {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let hex = match stored {
            Stored::Plain(text) => return Ok(Self(text)),
            Stored::Hex { hex } => hex,
        };
        let digits: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
        let bytes = digits.filter(|digits| digits.len() % 2 == 0).map(|digits| {
            digits.chunks(2).filter_map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect::<Vec<u8>>()
        });
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.map(Self).ok_or("a value in hex is no text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_nul_is_stored_in_a_form_that_jsonb_takes() {
        for (text, stored) in [("a\"b", r#""a\"b""#), ("a\0é", r#"{"hex":"6100c3a9"}"#), ("", r#""""#)] {
            let value = TextValue::from(text);
            let json = serde_json::to_string(&value).expect("serializes");
            assert_eq!(json, stored);
            assert_eq!(serde_json::from_str::<TextValue>(&json).expect("reads"), value);
        }
        for damaged in [r#"{"hex":"6"}"#, r#"{"hex":"zz"}"#, r#"{"hex":"ff"}"#] {
            assert!(serde_json::from_str::<TextValue>(damaged).is_err(), "{damaged}");
        }
    }
}
