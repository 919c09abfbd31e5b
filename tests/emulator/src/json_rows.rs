//! Rows as the text of JSON arrays, written straight into a byte buffer.
//!
//! This is the hot path of the server: no allocation a row, no `serde_json::Value`. The engine writes a row compactly
//! (`["1",null]`); what is left here is what stands between rows, and respelling. Knows nothing of types.

use crate::adversity::Spelling;

/// What SQL NULL becomes: `null`, or with `nullable=false` the string `"null"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NullForm {
    /// JSON null.
    Null,
    /// The string `"null"`, which nobody can tell from the text `null`.
    Text,
}

/// Writes rows into a buffer that its owner takes away in blocks.
#[derive(Debug)]
pub(crate) struct RowBuffer {
    bytes: Vec<u8>,
    compact: Vec<u8>,
    spelling: Spelling,
    null: NullForm,
    first_row: bool,
}

impl RowBuffer {
    /// An empty buffer at the start of a partition.
    pub(crate) fn new(spelling: Spelling, null: NullForm) -> Self {
        Self { bytes: Vec::new(), compact: Vec::new(), spelling, null, first_row: true }
    }

    /// Adds a row; `write` appends its compact JSON array.
    pub(crate) fn row(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.first_row {
            self.first_row = false;
        } else {
            self.bytes.push(b',');
            if self.spelling.newline_between_rows {
                self.bytes.push(b'\n');
            }
        }
        if !self.spelling.space_between_cells
            && !self.spelling.escape_above_ascii
            && self.null == NullForm::Null
        {
            write(&mut self.bytes);
            return;
        }
        self.compact.clear();
        write(&mut self.compact);
        respell(&self.compact, self.spelling, self.null, &mut self.bytes);
    }

    /// Bytes written and not taken.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes what was written, leaving `replacement` (its contents are dropped, its capacity used).
    pub(crate) fn take(&mut self, mut replacement: Vec<u8>) -> Vec<u8> {
        replacement.clear();
        std::mem::replace(&mut self.bytes, replacement)
    }

    /// The next row is the first of its partition: no comma before it.
    pub(crate) fn begin_partition(&mut self) {
        self.first_row = true;
    }
}

/// Copies a compact row in another spelling. Outside strings there are only brackets, commas and `null`.
fn respell(compact: &[u8], spelling: Spelling, null: NullForm, out: &mut Vec<u8>) {
    let mut inside = false;
    let mut rest = compact;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'"' => {
                inside = !inside;
                out.push(byte);
            }
            b'\\' if inside => {
                out.push(byte);
                if let Some((&escaped, tail)) = rest.split_first() {
                    out.push(escaped);
                    rest = tail;
                }
            }
            0x80.. if spelling.escape_above_ascii => {
                let end = tail
                    .iter()
                    .position(u8::is_ascii)
                    .map_or(compact.len(), |ascii| compact.len() - tail.len() + ascii);
                let start = compact.len() - tail.len() - 1;
                let wide = compact.get(start..end).unwrap_or_default();
                String::from_utf8_lossy(wide)
                    .chars()
                    .for_each(|character| push_unicode_escape(out, character));
                rest = compact.get(end..).unwrap_or_default();
            }
            b',' if !inside && spelling.space_between_cells => out.extend_from_slice(b", "),
            b'n' if !inside && null == NullForm::Text => {
                out.extend_from_slice(b"\"null\"");
                rest = rest.get(3..).unwrap_or_default();
            }
            other => out.push(other),
        }
    }
}

fn push_unicode_escape(out: &mut Vec<u8>, character: char) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for unit in character.encode_utf16(&mut [0; 2]) {
        out.extend_from_slice(b"\\u");
        for shift in [12, 8, 4, 0] {
            out.push(HEX[usize::from((*unit >> shift) & 0xf)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(spelling: Spelling, null: NullForm, rows: &Value) -> String {
        let mut buffer = RowBuffer::new(spelling, null);
        for row in rows.as_array().unwrap() {
            buffer.row(|out| out.extend_from_slice(row.to_string().as_bytes()));
        }
        format!("[{}]", String::from_utf8(buffer.take(Vec::new())).unwrap())
    }

    #[test]
    fn every_spelling_parses_to_the_same_rows() {
        let rows = json!([["12.5", "a \"b\"\\\n\u{1}é😀", null], ["", "null,", "x]"], ["é", "\\", "ü😀"]]);
        for bits in 0..8u8 {
            let spelling = Spelling {
                newline_between_rows: bits & 1 != 0,
                space_between_cells: bits & 2 != 0,
                escape_above_ascii: bits & 4 != 0,
            };
            let text = written(spelling, NullForm::Null, &rows);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), rows, "{text}");
            assert!(!spelling.escape_above_ascii || text.is_ascii(), "{text}");
        }
    }

    #[test]
    fn nullable_false_makes_null_and_the_text_null_the_same() {
        let text = written(Spelling::default(), NullForm::Text, &json!([[null, "null", "n\"ull"]]));
        assert_eq!(text, r#"[["null","null","n\"ull"]]"#);
    }
}
