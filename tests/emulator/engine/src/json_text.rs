//! The text of VARIANT, OBJECT and ARRAY: kept compact, shown with JSON_INDENT = 2 as Snowflake does.
//!
//! The text is JSON-like: an ARRAY may hold the bare word `undefined`, and numbers may be NaN or Infinity, so it
//! is scanned, not parsed.

/// Appends `text` with line breaks and two spaces a level; empty brackets stay closed.
pub(crate) fn pretty(text: &[u8], out: &mut Vec<u8>) {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut fresh = false;
    for &byte in text {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        let closing = matches!(byte, b'}' | b']');
        if closing {
            depth = depth.saturating_sub(1);
        }
        if fresh != closing && (fresh || closing) {
            line(depth, out);
        }
        fresh = false;
        out.push(byte);
        match byte {
            b'{' | b'[' => {
                depth += 1;
                fresh = true;
            }
            b',' => line(depth, out),
            b':' => out.push(b' '),
            b'"' => in_string = true,
            _ => {}
        }
    }
}

/// `text` without white space outside strings: what TO_JSON gives.
pub(crate) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    for letter in text.chars() {
        if in_string {
            in_string = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
        } else if letter.is_ascii_whitespace() {
            continue;
        } else {
            in_string = letter == '"';
        }
        out.push(letter);
    }
    out
}

fn line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    for _ in 0..depth {
        out.extend_from_slice(b"  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = Vec::new();
        pretty(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nested_values_are_indented_by_two() {
        assert_eq!(
            shown(r#"{"a":[1,undefined],"b \" {":{}}"#),
            "{\n  \"a\": [\n    1,\n    undefined\n  ],\n  \"b \\\" {\": {}\n}"
        );
        assert_eq!(shown("[]"), "[]");
        assert_eq!(shown("\"x, y\""), "\"x, y\"");
    }

    #[test]
    fn compact_undoes_pretty() {
        let text = r#"{"a":[1,undefined,"x y"],"b":{}}"#;
        assert_eq!(compact(&shown(text)), text);
    }
}
