//! `.env` files as python-dotenv reads them, because that is what the old script's users wrote: `KEY=value`, `export`,
//! quotes, comments, `${NAME}`, and an unquoted PEM over several lines.
//!
//! Not a library: those also expand a bare `$` (passwords hold them) and print the line they cannot read.
//! Errors here give a line's number, never its text.

use std::collections::BTreeMap;

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EnvFileError {
    pub(crate) line: u32,
    pub(crate) message: String,
}

/// Reads the pairs of a file; of a doubled name the last one counts. `lookup` is the process's environment, which
/// `${NAME}` inside values sees first.
pub(crate) fn parse(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, EnvFileError> {
    let mut pairs = BTreeMap::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines { rest: text.lines(), number: 0 };
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = lines.number;
        let fault = |message: &str| EnvFileError { line: number, message: message.to_owned() };
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, value)) = line.split_once('=') else {
            return Err(fault("expected NAME=value"));
        };
        let name = name.trim();
        if !is_name(name) {
            return Err(fault("the text before = is no variable name"));
        }
        let value =
            read_value(value.trim_start(), &mut lines).ok_or_else(|| fault("a quote is never closed"))?;
        let known = |wanted: &str| lookup(wanted).or_else(|| pairs.get(wanted).cloned());
        let value = expand(&value, &known).map_err(|missing| {
            fault(&format!("variable {missing} is not set; define it above or write it out"))
        })?;
        pairs.insert(name.to_owned(), value);
    }
    Ok(pairs)
}

/// Letters, digits and underscores, not beginning with a digit.
pub(crate) fn is_name(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Lines<'a> {
    rest: std::str::Lines<'a>,
    number: u32,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.number += 1;
        self.rest.next()
    }
}

fn read_value(start: &str, lines: &mut Lines<'_>) -> Option<String> {
    match start.chars().next() {
        Some(quote @ ('"' | '\'')) => read_quoted(quote, start.strip_prefix(quote)?, lines),
        _ if start.starts_with("-----BEGIN ") => read_pem(start, lines),
        _ => Some(without_comment(start).trim_end().to_owned()),
    }
}

/// ` # ...` ends an unquoted value; a `#` inside a word does not.
fn without_comment(value: &str) -> &str {
    if value.starts_with('#') {
        return "";
    }
    let end = value
        .match_indices('#')
        .find(|(at, _)| value.get(..*at).is_some_and(|before| before.ends_with(char::is_whitespace)));
    end.and_then(|(at, _)| value.get(..at)).unwrap_or(value)
}

/// An unquoted PEM: everything up to its END line.
fn read_pem(start: &str, lines: &mut Lines<'_>) -> Option<String> {
    let mut pem = start.to_owned();
    while !pem.contains("-----END ") {
        pem.push('\n');
        pem.push_str(lines.next()?.trim_end());
    }
    Some(pem)
}

fn read_quoted(quote: char, start: &str, lines: &mut Lines<'_>) -> Option<String> {
    let mut value = String::new();
    let mut line = start;
    loop {
        let mut chars = line.chars();
        while let Some(next) = chars.next() {
            match next {
                _ if next == quote => return Some(value),
                '\\' => push_escaped(&mut value, quote, chars.next()),
                _ => value.push(next),
            }
        }
        value.push('\n');
        line = lines.next()?;
    }
}

fn push_escaped(value: &mut String, quote: char, next: Option<char>) {
    match next {
        Some('n') if quote == '"' => value.push('\n'),
        Some('r') if quote == '"' => value.push('\r'),
        Some('t') if quote == '"' => value.push('\t'),
        Some(same) if same == quote || same == '\\' => value.push(same),
        Some(other) => value.extend(['\\', other]),
        None => value.push('\\'),
    }
}

/// Replaces every `${NAME}`; `Err` is the name that is not set. A `$` that opens nothing stays.
fn expand(value: &str, known: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut result = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        result.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) if is_name(name) => {
                result.push_str(&known(name).ok_or_else(|| name.to_owned())?);
                rest = tail;
            }
            _ => {
                result.push_str("${");
                rest = after;
            }
        }
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> BTreeMap<String, String> {
        parse(text, &|name| (name == "HOME").then(|| "/home/x".to_owned())).expect("parses")
    }

    #[test]
    fn values_are_read_as_python_dotenv_reads_them() {
        let pairs = read(concat!(
            "# a comment\n\nPLAIN=pa$$w0rd#1 with space  # note\nexport QUOTED=\"a # b\\n\\\"c\\\"\"\n",
            "SINGLE='it\\'s \\n $raw' # x\nEMPTY=\nREF=${HOME}/${PLAIN}\nSPACED = v\n",
        ));
        assert_eq!(pairs["PLAIN"], "pa$$w0rd#1 with space");
        assert_eq!(pairs["QUOTED"], "a # b\n\"c\"");
        assert_eq!(pairs["SINGLE"], "it's \\n $raw");
        assert_eq!(pairs["EMPTY"], "");
        assert_eq!(pairs["REF"], "/home/x/pa$$w0rd#1 with space");
        assert_eq!(pairs["SPACED"], "v");
    }

    #[test]
    fn a_pem_needs_no_quotes_and_quoted_text_may_span_lines() {
        let pairs =
            read("KEY=-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nB=\"x\ny\"\nC=1\n");
        assert_eq!(pairs["KEY"], "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----");
        assert_eq!(pairs["B"], "x\ny");
        assert_eq!(pairs["C"], "1");
    }

    #[test]
    fn a_fault_names_its_line_and_shows_nothing_of_it() {
        let none = |_: &str| None;
        for (text, line) in
            [("A=1\ncanary", 2), ("\nB=\"canary", 2), ("C=${NOPE}canary", 1), ("1X=canary", 1)]
        {
            let error = parse(text, &none).expect_err("is broken");
            assert_eq!(error.line, line);
            assert!(!error.message.contains("canary"), "{}", error.message);
        }
    }
}
