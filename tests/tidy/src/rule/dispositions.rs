//! A match that decides what an error means for its chunk names every case: a new one must not fall into an old
//! answer unseen.

use crate::source::Source;
use crate::tree::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_rust() && file.is_product()) {
        let source = Source::without_tests(&file.text);
        for body in bodies(&source.code, "fn disposition(") {
            for own in bodies_in(&source.code, body, "match self") {
                if let Some(offset) = wildcard(&source.code, own) {
                    let line = source.line_at(offset);
                    findings.push(file.finding(line, "a disposition is decided without a wildcard arm"));
                }
            }
        }
    }
    findings
}

/// The span between the braces.
type Span = (usize, usize);

fn bodies(code: &str, head: &str) -> Vec<Span> {
    bodies_in(code, (0, code.len()), head)
}

/// The bodies that follow `head` inside `span`.
fn bodies_in(code: &str, span: Span, head: &str) -> Vec<Span> {
    let mut found = Vec::new();
    let mut from = span.0;
    while let Some(offset) = code.get(from..span.1).and_then(|rest| rest.find(head)) {
        let start = from + offset;
        let Some(open) = code.get(start..span.1).and_then(|rest| rest.find('{')) else { break };
        found.push((start + open + 1, closing(code, start + open)));
        from = start + head.len();
    }
    found
}

/// The offset of the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return offset;
        }
    }
    code.len()
}

/// Where an arm `_ =>` of this very match stands.
fn wildcard(code: &str, span: Span) -> Option<usize> {
    let mut depth = 0usize;
    let body = code.get(span.0..span.1)?;
    for (offset, character) in body.char_indices() {
        match character {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            '_' if depth == 0 => {
                let alone = body.get(..offset)?.trim_end().ends_with([',', '}', '{', '|']) || offset == 0;
                let first = body.get(..offset)?.trim().is_empty();
                let arm = body.get(offset + 1..)?.trim_start().starts_with("=>");
                if arm && (alone || first) {
                    return Some(span.0 + offset);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    fn found(arms: &str) -> usize {
        let text = format!("impl E {{ fn disposition(&self) -> D {{ match self {{ {arms} }} }} }}");
        messages(check, &[("worker/src/error.rs", &text)]).len()
    }

    #[test]
    fn a_wildcard_among_dispositions_is_found() {
        assert_eq!(found("Self::A => D::Retry, Self::B(_) => D::Fatal,"), 0);
        assert_eq!(found("Self::A => D::Retry, _ => D::Fatal,"), 1);
        assert_eq!(found("Self::A => { x() } _ => D::Fatal,"), 1);
    }

    #[test]
    fn a_match_on_a_vendors_code_has_to_have_one() {
        assert_eq!(
            found("Self::Code(code) => match code.as_str() { \"40001\" => D::Retry, _ => D::Fatal },"),
            0
        );
    }
}
