//! What a person watching is told.

use std::io::{self, Write};

/// One sentence, at once.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    // Nobody watches a closed pipe; the exit code still tells.
    writeln!(out, "{text}").and_then(|()| out.flush()).ok();
}

/// `382,715`
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(360_000), "360,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
