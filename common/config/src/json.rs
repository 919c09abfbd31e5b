//! JSON as people write it by hand: with `//` and `/* */` comments, trailing commas and a byte order mark.
//!
//! A parser of our own because every finding names the line it is about, and because an error must never print the
//! text it stumbled on, which may be a key or a password. It knows no key of the configuration.

use std::fmt;

/// A value and the line it begins on, from 1.
#[derive(Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u32,
    pub(crate) value: Value,
}

/// A JSON value; members keep their order and their doubles.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Flag(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// One `"key": value` of an object.
#[derive(Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) line: u32,
    pub(crate) node: Node,
}

/// Where the text stops being JSON, in lines and characters from 1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) message: &'static str,
}

/// Deeper than any configuration, shallow enough for the stack.
const DEPTH_MAX: u32 = 64;

impl Value {
    /// What it is, for messages that must not show it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Only the kind: a node may hold a secret.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {}", self.value.kind(), self.line)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.key, self.node)
    }
}

/// Reads one JSON value and nothing after it.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser { rest: text.chars().peekable(), line: 1, column: 1, depth: 0 };
    parser.skip_blank()?;
    let node = parser.value()?;
    parser.skip_blank()?;
    if parser.rest.peek().is_some() {
        return Err(parser.fault("text after the end of the configuration; is a brace closed too early?"));
    }
    Ok(node)
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: u32,
    column: u32,
    depth: u32,
}

impl Parser<'_> {
    fn fault(&self, message: &'static str) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, message }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest.peek() == Some(&wanted);
        if found {
            self.next();
        }
        found
    }

    /// White space and comments.
    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        while let Some(&next) = self.rest.peek() {
            match next {
                ' ' | '\t' | '\r' | '\n' => {
                    self.next();
                }
                '/' => self.skip_comment()?,
                _ => break,
            }
        }
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), SyntaxError> {
        let open = self.fault("a comment begins with // or /*");
        self.next();
        if self.eat('/') {
            while self.rest.peek().is_some_and(|next| *next != '\n') {
                self.next();
            }
            return Ok(());
        }
        if !self.eat('*') {
            return Err(open);
        }
        while let Some(next) = self.next() {
            if next == '*' && self.eat('/') {
                return Ok(());
            }
        }
        Err(SyntaxError { message: "this comment is never closed; end it with */", ..open })
    }

    fn value(&mut self) -> Result<Node, SyntaxError> {
        let line = self.line;
        let value = match self.rest.peek() {
            Some('{') => self.nested(Self::object)?,
            Some('[') => self.nested(Self::list)?,
            Some('"') => Value::Text(self.string()?),
            Some('-' | '0'..='9') => Value::Number(self.number()?),
            Some('a'..='z' | 'A'..='Z') => self.word()?,
            Some('\'') => return Err(self.fault("text needs double quotes, not single ones")),
            Some(_) => {
                return Err(self
                    .fault("expected a value: text in double quotes, a number, true, false, null, [ or {"));
            }
            None => return Err(self.fault("the file ends where a value should be")),
        };
        Ok(Node { line, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, SyntaxError>) -> Result<Value, SyntaxError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault("nested too deeply"));
        }
        self.next();
        self.skip_blank()?;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, SyntaxError> {
        let mut members = Vec::new();
        while !self.eat('}') {
            let line = self.line;
            if self.rest.peek() != Some(&'"') {
                let at_end = self.rest.peek().is_none();
                return Err(self.fault(if at_end {
                    "the file ends inside an object; a } is missing"
                } else {
                    "expected a key in double quotes or }"
                }));
            }
            let key = self.string()?;
            self.skip_blank()?;
            if !self.eat(':') {
                return Err(self.fault("expected : after the key"));
            }
            self.skip_blank()?;
            let node = self.value()?;
            members.push(Member { key, line, node });
            self.separator('}', "expected , or } after the value; is a comma or a brace missing?")?;
        }
        Ok(Value::Object(members))
    }

    fn list(&mut self) -> Result<Value, SyntaxError> {
        let mut nodes = Vec::new();
        while !self.eat(']') {
            nodes.push(self.value()?);
            self.separator(']', "expected , or ] after the value; is a comma or a bracket missing?")?;
        }
        Ok(Value::List(nodes))
    }

    /// A comma, or the end in sight. A comma before the end is let pass.
    fn separator(&mut self, end: char, message: &'static str) -> Result<(), SyntaxError> {
        self.skip_blank()?;
        if self.eat(',') {
            return self.skip_blank();
        }
        match self.rest.peek() {
            Some(next) if *next == end => Ok(()),
            _ => Err(self.fault(message)),
        }
    }

    fn word(&mut self) -> Result<Value, SyntaxError> {
        let at = self.fault("a word that is not true, false or null; text needs double quotes");
        let mut word = String::new();
        while let Some(next) = self.rest.peek().copied().filter(char::is_ascii_alphanumeric) {
            word.push(next);
            self.next();
        }
        match word.as_str() {
            "null" => Ok(Value::Null),
            "true" => Ok(Value::Flag(true)),
            "false" => Ok(Value::Flag(false)),
            "True" | "False" | "None" => {
                Err(SyntaxError { message: "JSON spells true, false and null in lower case", ..at })
            }
            _ => Err(at),
        }
    }

    fn number(&mut self) -> Result<String, SyntaxError> {
        let at = self.fault("not a number that JSON knows");
        let mut text = String::new();
        while let Some(next) = self.rest.peek().copied() {
            if !matches!(next, '0'..='9' | '-' | '+' | '.' | 'e' | 'E' | '_') {
                break;
            }
            text.push(next);
            self.next();
        }
        if serde_json::from_str::<serde_json::Number>(&text).is_err() {
            return Err(at);
        }
        Ok(text)
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let open = self.fault("this text is never closed; a double quote is missing on its line");
        self.next();
        let mut text = String::new();
        loop {
            let at = self.fault("a control character inside text; write a line break as \\n");
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some('\n') | None => return Err(open),
                Some(next) if u32::from(next) < 0x20 && next != '\t' && next != '\r' => return Err(at),
                Some(next) => text.push(next),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let at = self.fault("an unknown escape; a backslash itself is written \\\\");
        Ok(match self.next() {
            Some(same @ ('"' | '\\' | '/')) => same,
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => return self.unicode(at),
            _ => return Err(at),
        })
    }

    /// `\u` and four digits, or a surrogate pair of two such.
    fn unicode(&mut self, at: SyntaxError) -> Result<char, SyntaxError> {
        let at = SyntaxError { message: "\\u needs four hexadecimal digits of a character", ..at };
        let Some(first) = self.four_digits() else { return Err(at) };
        if let Some(single) = char::from_u32(first) {
            return Ok(single);
        }
        let second = if self.eat('\\') && self.eat('u') { self.four_digits() } else { None };
        let pair = [Some(first), second].into_iter().flatten().filter_map(|unit| u16::try_from(unit).ok());
        char::decode_utf16(pair).next().and_then(Result::ok).ok_or(at)
    }

    fn four_digits(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |sum, _| self.next()?.to_digit(16).map(|digit| sum * 16 + digit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> (u32, u32, &'static str) {
        let error = parse(text).expect_err("is broken");
        (error.line, error.column, error.message)
    }

    fn object(text: &str) -> Vec<Member> {
        match parse(text).expect("parses").value {
            Value::Object(members) => members,
            other => panic!("not an object: {other:?}"),
        }
    }

    #[test]
    fn comments_may_stand_anywhere_but_inside_text() {
        let members = object(
            "// first\n{ /* a */ \"url\": \"https://x/*y*/\", // after a value\n \"b\" /* c\n */ : [1, 2, ], // d\n}\n//",
        );
        assert_eq!(members[0].node.value, Value::Text("https://x/*y*/".into()));
        assert_eq!(members[1].line, 3);
        let Value::List(list) = &members[1].node.value else { panic!("no list") };
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].line, 4);
    }

    #[test]
    fn a_fault_is_placed_in_the_original_file_comments_included() {
        assert_eq!(fault("{\n // x\n \"a\": 1 // y\n \"b\": 2 }").0, 4);
        assert_eq!(fault("{\"a\": tru}").1, 7);
        assert_eq!(
            fault("{\"a\": \"x\n\"}"),
            (1, 7, "this text is never closed; a double quote is missing on its line")
        );
        assert_eq!(fault("/* x\n\n"), (1, 1, "this comment is never closed; end it with */"));
        assert_eq!(fault("").2, "the file ends where a value should be");
        assert_eq!(fault("{\"a\": 1").0, 1);
        assert!(fault("{} {}").2.starts_with("text after the end"));
        assert!(fault("{\"a\": True}").2.contains("lower case"));
        assert!(fault("{\"a\": 01}").2.contains("number"));
        assert!(fault("{'a': 1}").2.contains("double quotes"));
    }

    #[test]
    fn escapes_and_surrogate_pairs_are_read() {
        let members = object(r#"{"a": "\"\\\/\n\u00e9\ud83d\ude00"}"#);
        assert_eq!(members[0].node.value, Value::Text("\"\\/\né😀".into()));
        assert!(parse(r#""\ud83d""#).is_err());
        assert!(parse(r#""\ud83dx""#).is_err());
        assert!(parse(r#""\x""#).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_skipped_and_depth_is_bounded() {
        assert!(parse("\u{feff}{}").is_ok());
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn debug_output_shows_no_value() {
        let node = parse(r#"{"password": "canary"}"#).expect("parses");
        assert!(!format!("{node:?}").contains("canary"));
    }
}
