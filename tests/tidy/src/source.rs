//! Rust text split into what is code, what is comment, and what is a string: enough of a lexer for rules that
//! must not stumble over a word in a comment or a literal.

/// One source file, prepared for the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The text with comments and the contents of strings blanked; lines and columns as in the file.
    pub code: String,
    pub strings: Vec<Literal>,
}

/// A string literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// From 1, where it begins.
    pub line: usize,
    /// Offset of its first character in [`Source::code`].
    pub start: usize,
    /// Between the quotes, escapes as written.
    pub text: String,
}

impl Source {
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut lexer =
            Lexer { bytes: text.as_bytes(), at: 0, line: 1, code: Vec::new(), strings: Vec::new() };
        lexer.run();
        Self { code: String::from_utf8_lossy(&lexer.code).into_owned(), strings: lexer.strings }
    }

    /// The same without its unit tests: everything from `#[cfg(test)]` on a `mod`, which by custom ends a file.
    #[must_use]
    pub fn without_tests(text: &str) -> Self {
        let mut source = Self::parse(text);
        if let Some(start) = test_module(&source.code) {
            source.code.truncate(start);
            source.strings.retain(|literal| literal.start < start);
        }
        source
    }

    /// Lines of code with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The number of the line at an offset of the code, from 1.
    #[must_use]
    pub fn line_at(&self, offset: usize) -> usize {
        self.code.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

fn test_module(code: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(found) = code.get(from..)?.find("#[cfg(test)]") {
        let start = from + found;
        let after = code.get(start + "#[cfg(test)]".len()..)?.trim_start();
        if after.starts_with("mod ") && !after.lines().next().is_some_and(|line| line.ends_with(';')) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}

struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    code: Vec<u8>,
    strings: Vec<Literal>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'/' if self.peek(1) == Some(b'/') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.block_comment(),
                b'"' => self.string(),
                b'r' | b'b' | b'c' if self.raw_hashes().is_some() && !self.inside_word() => self.raw_string(),
                b'\'' => self.quote(),
                _ => self.keep(),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn keep(&mut self) {
        if let Some(byte) = self.peek(0) {
            self.code.push(byte);
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
    }

    fn blank(&mut self) {
        if let Some(byte) = self.peek(0) {
            self.code.push(if byte == b'\n' { b'\n' } else { b' ' });
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
    }

    fn inside_word(&self) -> bool {
        self.at > 0
            && self.bytes.get(self.at - 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.blank();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0usize;
        while self.peek(0).is_some() {
            let two = (self.peek(0), self.peek(1));
            if two == (Some(b'/'), Some(b'*')) {
                depth += 1;
                self.blank();
            } else if two == (Some(b'*'), Some(b'/')) {
                depth -= 1;
                self.blank();
            }
            self.blank();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        let (line, start) = (self.line, self.code.len());
        self.keep();
        let from = self.at;
        while let Some(byte) = self.peek(0) {
            if byte == b'"' {
                break;
            }
            if byte == b'\\' {
                self.blank();
            }
            self.blank();
        }
        self.note(line, start, from);
        self.keep();
    }

    /// How many `#` follow a raw string's prefix here, if one begins here.
    fn raw_hashes(&self) -> Option<usize> {
        let prefix = match (self.peek(0), self.peek(1)) {
            (Some(b'r'), _) => 1,
            (Some(b'b' | b'c'), Some(b'r')) => 2,
            _ => return None,
        };
        let mut hashes = 0;
        while self.peek(prefix + hashes) == Some(b'#') {
            hashes += 1;
        }
        (self.peek(prefix + hashes) == Some(b'"')).then_some(hashes)
    }

    fn raw_string(&mut self) {
        let hashes = self.raw_hashes().unwrap_or(0);
        let (line, start) = (self.line, self.code.len());
        while self.peek(0).is_some_and(|byte| byte != b'"') {
            self.keep();
        }
        self.keep();
        let from = self.at;
        while self.peek(0).is_some() {
            let closes =
                self.peek(0) == Some(b'"') && (1..=hashes).all(|ahead| self.peek(ahead) == Some(b'#'));
            if closes {
                break;
            }
            self.blank();
        }
        self.note(line, start, from);
        for _ in 0..=hashes {
            self.keep();
        }
    }

    /// A character literal, or a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == Some(b'\\') {
            self.keep();
            self.blank();
            self.blank();
            while self.peek(0).is_some_and(|byte| byte != b'\'' && byte != b'\n') {
                self.blank();
            }
            self.keep();
            return;
        }
        let width = char_width(self.peek(1));
        let literal = self.peek(1 + width) == Some(b'\'');
        self.keep();
        if literal {
            for _ in 0..width {
                self.blank();
            }
            self.keep();
        }
    }

    fn note(&mut self, line: usize, start: usize, from: usize) {
        let text = self.bytes.get(from..self.at).unwrap_or_default();
        self.strings.push(Literal { line, start, text: String::from_utf8_lossy(text).into_owned() });
    }
}

/// Bytes of the UTF-8 character that begins with `first`.
fn char_width(first: Option<u8>) -> usize {
    match first {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xff) => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        let source = Source::parse(
            "a(\"exit \\\" 1\"); // exit\n/* exit /* 2 */ */ r#\"ex\"it\"# 'x' '\\'' '\"' b'\"' <'a> z",
        );
        assert!(!source.code.contains("exit"), "{}", source.code);
        assert!(source.code.contains("<'a> z"), "{}", source.code);
        let strings: Vec<&str> = source.strings.iter().map(|literal| literal.text.as_str()).collect();
        assert_eq!(strings, ["exit \\\" 1", "ex\"it"]);
        assert_eq!(source.strings[1].line, 2);
    }

    #[test]
    fn unit_tests_can_be_left_out() {
        let text = "fn a() {}\n#[cfg(test)]\nmod fixtures;\nconst S: &str = \"s\";\n#[cfg(test)]\nmod tests { \"t\" }\n";
        let source = Source::without_tests(text);
        assert!(source.code.contains("fixtures") && !source.code.contains("mod tests"));
        assert_eq!(source.strings.len(), 1);
    }

    #[test]
    fn lines_and_offsets_agree_with_the_file() {
        let source = Source::parse("a\n\"é\nü\"\nb // c\nd");
        let d = source.code.find('d').unwrap();
        assert_eq!(source.line_at(d), 5);
        assert_eq!(source.lines().last(), Some((5, "d")));
    }
}
