//! The incremental scanner of `{"data":[["cell",null,...],...],...}`: pushed bytes in, cells out.
//!
//! No I/O and no tree: a cell that lies in one piece without escapes is given to the sink as it is, others go
//! through one small buffer, so memory is one cell whatever the answer's size. Pieces may be cut anywhere, inside
//! a character or an escape too. Other members than `data` are skipped, before and after it.

use crate::error::{MalformedResponse, SnowflakeError};
use crate::partition::RowSink;

/// A buffer that grew beyond this for one cell is not kept for the next.
const LARGE: usize = 1024 * 1024;

/// The state of one scan. Ends with [`Scanner::finish`].
#[derive(Debug)]
pub struct Scanner {
    columns: usize,
    state: State,
    /// Of the row being read: how many cells were given.
    column: usize,
    rows: u64,
    seen_data: bool,
    /// The decoded part of a text or literal that is not complete, or has escapes.
    partial: Vec<u8>,
    /// The first half of a surrogate pair; the second must follow at once.
    high_surrogate: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far.
    Start,
    /// After `{`.
    KeyOrEnd,
    /// After `,` between members.
    Key,
    /// Inside a text.
    Text(TextOf, Escape),
    AfterKey {
        data: bool,
    },
    Value {
        data: bool,
    },
    Skip {
        depth: u32,
        place: Skip,
    },
    AfterValue,
    /// After the `[` of `data`.
    RowOrEnd,
    /// After `,` between rows.
    Row,
    /// After the `[` of a row.
    CellOrEnd,
    /// After `,` between cells.
    Cell,
    /// Inside a bare word or number.
    Literal(TextOf),
    AfterCell,
    AfterRow,
    /// After the last `}`.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextOf {
    Key,
    Cell,
    /// `null` in the place of the rows.
    Data,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Backslash,
    Unicode { digits: u8, value: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    /// Before the value or between its parts.
    Structure,
    Text,
    Backslash,
    /// A bare word or number that is the whole value.
    Word,
}

type Scan<T> = Result<T, MalformedResponse>;

impl Scanner {
    /// A scan of rows of `columns` cells.
    #[must_use]
    pub const fn new(columns: usize) -> Self {
        Self {
            columns,
            state: State::Start,
            column: 0,
            rows: 0,
            seen_data: false,
            partial: Vec::new(),
            high_surrogate: None,
        }
    }

    /// Rows given to the sink so far.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the next piece, of any size.
    ///
    /// # Errors
    /// The sink's own, and what is no answer of the expected form. The scan is over then.
    pub fn feed<S: RowSink>(&mut self, piece: &[u8], sink: &mut S) -> Result<(), S::Error> {
        let checked = Checked::of(piece);
        let mut rest = piece;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = match self.state {
                State::Cell | State::CellOrEnd => self.cells(rest, &checked, sink)?,
                State::AfterCell => self.after_cell(byte, tail, sink)?,
                State::Text(of, escape) => self.text(of, escape, rest, sink)?,
                State::Literal(of) => self.literal(of, rest, sink)?,
                State::Skip { depth, place } => self.skip(depth, place, byte, rest).map_err(malformed)?,
                State::Row | State::RowOrEnd | State::AfterRow => {
                    self.between_rows(byte, tail).map_err(malformed)?
                }
                State::Start
                | State::KeyOrEnd
                | State::Key
                | State::AfterKey { .. }
                | State::Value { .. }
                | State::AfterValue
                | State::End => self.member(byte, rest, tail).map_err(malformed)?,
            };
        }
        Ok(())
    }

    /// Bytes of a text whose end has not come. What a large one took is given back.
    pub(crate) fn held(&mut self) -> usize {
        if matches!(self.state, State::Text(..) | State::Literal(_)) {
            return self.partial.len();
        }
        if self.partial.capacity() > LARGE {
            self.partial = Vec::new();
        }
        0
    }

    /// Checks that the answer was complete, and says how many rows it had.
    ///
    /// # Errors
    /// A missing end, no `data`.
    pub fn finish(self) -> Scan<u64> {
        match self.state {
            State::End if self.seen_data => Ok(self.rows),
            State::End => Err(MalformedResponse::NoData),
            _ => Err(MalformedResponse::Truncated),
        }
    }

    /// At the place of a cell: takes cells as long as one follows the other with nothing but a comma between.
    fn cells<'a, S: RowSink>(
        &mut self,
        mut rest: &'a [u8],
        checked: &Checked<'a>,
        sink: &mut S,
    ) -> Result<&'a [u8], S::Error> {
        while let Some((&byte, tail)) = rest.split_first() {
            rest = self.cell((byte, rest, tail), checked, sink)?;
            match rest {
                [b',', after @ ..] if matches!(self.state, State::AfterCell) => {
                    self.state = State::Cell;
                    rest = after;
                }
                _ => return Ok(rest),
            }
        }
        Ok(rest)
    }

    /// At the place of a cell.
    fn cell<'a, S: RowSink>(
        &mut self,
        (byte, rest, tail): (u8, &'a [u8], &'a [u8]),
        checked: &Checked<'a>,
        sink: &mut S,
    ) -> Result<&'a [u8], S::Error> {
        match byte {
            b'"' => {
                let length = plain_length(tail);
                if let Some((cell, [b'"', after @ ..])) = tail.split_at_checked(length) {
                    let text = match checked.text_of(tail, length) {
                        Some(text) => text,
                        None => str::from_utf8(cell).map_err(|_| malformed(MalformedResponse::BadText))?,
                    };
                    self.give(Some(text), sink)?;
                    return Ok(after);
                }
                self.partial.clear();
                self.state = State::Text(TextOf::Cell, Escape::None);
                Ok(tail)
            }
            b'n' if rest.starts_with(b"null") => {
                self.give(None, sink)?;
                Ok(rest.get(4..).unwrap_or_default())
            }
            b']' if self.state == State::CellOrEnd => self.row_end(tail, sink),
            b'[' | b'{' => Err(malformed(MalformedResponse::NestedCell)),
            _ if is_space(byte) => Ok(tail),
            _ if is_word(byte) => {
                self.partial.clear();
                self.state = State::Literal(TextOf::Cell);
                Ok(rest)
            }
            _ => Err(malformed(MalformedResponse::NotJson)),
        }
    }

    fn give<S: RowSink>(&mut self, cell: Option<&str>, sink: &mut S) -> Result<(), S::Error> {
        if self.column == self.columns {
            return Err(malformed(MalformedResponse::CellCount));
        }
        sink.cell(self.column, cell)?;
        self.column += 1;
        self.state = State::AfterCell;
        Ok(())
    }

    fn after_cell<'a, S: RowSink>(
        &mut self,
        byte: u8,
        tail: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], S::Error> {
        match byte {
            b',' => {
                self.state = State::Cell;
                Ok(tail)
            }
            b']' => self.row_end(tail, sink),
            _ if is_space(byte) => Ok(tail),
            _ => Err(malformed(MalformedResponse::NotJson)),
        }
    }

    fn row_end<'a, S: RowSink>(&mut self, tail: &'a [u8], sink: &mut S) -> Result<&'a [u8], S::Error> {
        if self.column != self.columns {
            return Err(malformed(MalformedResponse::CellCount));
        }
        sink.end_row()?;
        self.column = 0;
        self.rows += 1;
        self.state = State::AfterRow;
        Ok(tail)
    }

    fn between_rows<'a>(&mut self, byte: u8, tail: &'a [u8]) -> Scan<&'a [u8]> {
        self.state = match (self.state, byte) {
            (State::Row | State::RowOrEnd, b'[') => State::CellOrEnd,
            (State::RowOrEnd | State::AfterRow, b']') => State::AfterValue,
            (State::AfterRow, b',') => State::Row,
            (same, _) if is_space(byte) => same,
            _ => return Err(MalformedResponse::NotJson),
        };
        Ok(tail)
    }

    /// Everything outside of rows, texts and skipped values.
    fn member<'a>(&mut self, byte: u8, rest: &'a [u8], tail: &'a [u8]) -> Scan<&'a [u8]> {
        if is_space(byte) {
            return Ok(tail);
        }
        self.state = match (self.state, byte) {
            (State::Start, b'{') => State::KeyOrEnd,
            (State::KeyOrEnd | State::Key, b'"') => {
                self.partial.clear();
                State::Text(TextOf::Key, Escape::None)
            }
            (State::KeyOrEnd | State::AfterValue, b'}') => State::End,
            (State::AfterKey { data }, b':') => State::Value { data },
            (State::Value { data: true }, b'[') => State::RowOrEnd,
            (State::Value { data: true }, b'n') => {
                self.partial.clear();
                self.state = State::Literal(TextOf::Data);
                return Ok(rest);
            }
            (State::Value { data: false }, _) => {
                self.state = State::Skip { depth: 0, place: Skip::Structure };
                return Ok(rest);
            }
            (State::AfterValue, b',') => State::Key,
            (State::End, _) => return Err(MalformedResponse::TrailingBytes),
            _ => return Err(MalformedResponse::NotJson),
        };
        Ok(tail)
    }

    /// Inside a text: takes the longest plain stretch, else one byte of an escape.
    fn text<'a, S: RowSink>(
        &mut self,
        of: TextOf,
        escape: Escape,
        rest: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], S::Error> {
        if escape == Escape::None {
            let (plain, after) = rest.split_at(plain_length(rest));
            if self.high_surrogate.is_some() && !(plain.is_empty() && after.first() == Some(&b'\\')) {
                return Err(malformed(MalformedResponse::BadText));
            }
            self.partial.extend_from_slice(plain);
            return match after.split_first() {
                None => Ok(after),
                Some((b'\\', tail)) => {
                    self.state = State::Text(of, Escape::Backslash);
                    Ok(tail)
                }
                Some((b'"', tail)) => self.text_end(of, sink).map(|()| tail),
                // A control character, which JSON forbids inside texts.
                Some(_) => Err(malformed(MalformedResponse::BadText)),
            };
        }
        let Some((&byte, tail)) = rest.split_first() else { return Ok(rest) };
        let next = self.escaped(escape, byte).map_err(malformed)?;
        self.state = State::Text(of, next);
        Ok(tail)
    }

    /// One byte after a backslash.
    fn escaped(&mut self, escape: Escape, byte: u8) -> Scan<Escape> {
        match escape {
            Escape::None | Escape::Backslash => {
                if self.high_surrogate.is_some() && byte != b'u' {
                    return Err(MalformedResponse::BadText);
                }
                self.partial.push(match byte {
                    b'"' | b'\\' | b'/' => byte,
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'u' => return Ok(Escape::Unicode { digits: 0, value: 0 }),
                    _ => return Err(MalformedResponse::BadText),
                });
                Ok(Escape::None)
            }
            Escape::Unicode { digits, value } => {
                let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
                let value = value << 4 | digit.ok_or(MalformedResponse::BadText)?;
                if digits < 3 {
                    return Ok(Escape::Unicode { digits: digits + 1, value });
                }
                self.code_unit(value)?;
                Ok(Escape::None)
            }
        }
    }

    /// A complete `\uXXXX`.
    fn code_unit(&mut self, unit: u16) -> Scan<()> {
        let units = match (self.high_surrogate.take(), unit) {
            (None, 0xd800..=0xdbff) => {
                self.high_surrogate = Some(unit);
                return Ok(());
            }
            (None, _) => [unit, 0],
            (Some(high), _) => [high, unit],
        };
        let used = if units[1] == 0 { 1 } else { 2 };
        let mut decoded = char::decode_utf16(units.into_iter().take(used));
        match (decoded.next(), decoded.next()) {
            (Some(Ok(character)), None) => {
                self.partial.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                Ok(())
            }
            _ => Err(MalformedResponse::BadText),
        }
    }

    fn text_end<S: RowSink>(&mut self, of: TextOf, sink: &mut S) -> Result<(), S::Error> {
        if of == TextOf::Key {
            let data = self.partial == b"data";
            if data && std::mem::replace(&mut self.seen_data, true) {
                return Err(malformed(MalformedResponse::TwoData));
            }
            self.state = State::AfterKey { data };
            return Ok(());
        }
        let partial = std::mem::take(&mut self.partial);
        let text = str::from_utf8(&partial).map_err(|_| malformed(MalformedResponse::BadText))?;
        self.give(Some(text), sink)?;
        self.partial = partial;
        Ok(())
    }

    /// Inside a bare word or number, which ends before the first byte that cannot belong to one.
    fn literal<'a, S: RowSink>(
        &mut self,
        of: TextOf,
        rest: &'a [u8],
        sink: &mut S,
    ) -> Result<&'a [u8], S::Error> {
        let length = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        self.partial.extend_from_slice(word);
        if after.is_empty() {
            return Ok(after);
        }
        let partial = std::mem::take(&mut self.partial);
        match (of, partial.as_slice()) {
            (TextOf::Data, b"null") => self.state = State::AfterValue,
            (TextOf::Cell, b"null") => self.give(None, sink)?,
            // The documents say text or null; a bare number or boolean means the same as its text.
            (TextOf::Cell, scalar) if is_scalar(scalar) => {
                self.give(Some(str::from_utf8(scalar).unwrap_or_default()), sink)?;
            }
            _ => return Err(malformed(MalformedResponse::NotJson)),
        }
        self.partial = partial;
        Ok(after)
    }

    /// One step through a value that nobody wants. Its brackets and texts are followed, its grammar is not.
    fn skip<'a>(&mut self, depth: u32, place: Skip, byte: u8, rest: &'a [u8]) -> Scan<&'a [u8]> {
        let tail = rest.get(1..).unwrap_or_default();
        let (depth, place) = match (place, byte) {
            (Skip::Structure, b'"') => (depth, Skip::Text),
            (Skip::Structure, b'{' | b'[') => {
                (depth.checked_add(1).ok_or(MalformedResponse::NotJson)?, Skip::Structure)
            }
            (Skip::Structure, b'}' | b']') => {
                (depth.checked_sub(1).ok_or(MalformedResponse::NotJson)?, Skip::Structure)
            }
            (Skip::Structure, _) if depth > 0 => (depth, Skip::Structure),
            (Skip::Structure, _) if is_word(byte) => (depth, Skip::Word),
            (Skip::Structure, _) => return Err(MalformedResponse::NotJson),
            (Skip::Text, b'\\') => (depth, Skip::Backslash),
            (Skip::Text, b'"') => (depth, Skip::Structure),
            (Skip::Text | Skip::Backslash, _) => (depth, Skip::Text),
            (Skip::Word, _) if is_word(byte) => (depth, Skip::Word),
            (Skip::Word, _) => {
                self.state = State::AfterValue;
                return Ok(rest);
            }
        };
        let ended = depth == 0 && place == Skip::Structure;
        self.state = if ended { State::AfterValue } else { State::Skip { depth, place } };
        Ok(tail)
    }
}

fn malformed<E: From<SnowflakeError>>(error: MalformedResponse) -> E {
    SnowflakeError::Malformed(error).into()
}

/// What of a piece is known to be UTF-8. Looking at it once as a whole costs a fraction of looking at each cell.
struct Checked<'a> {
    text: &'a str,
    /// Where in the piece the text begins: behind the end of a character that the last piece began.
    begin: usize,
    piece_length: usize,
}

impl<'a> Checked<'a> {
    fn of(piece: &'a [u8]) -> Self {
        let begin = piece.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        let rest = piece.get(begin..).unwrap_or_default();
        let text = str::from_utf8(rest).unwrap_or_else(|error| {
            // What is behind it is the beginning of a character, or an error for the cell that holds it.
            let valid = rest.get(..error.valid_up_to()).unwrap_or_default();
            str::from_utf8(valid).unwrap_or_default()
        });
        Self { text, begin, piece_length: piece.len() }
    }

    /// The first `length` bytes of `tail`, an end of the piece; `None`: they have to be looked at.
    #[inline]
    fn text_of(&self, tail: &[u8], length: usize) -> Option<&'a str> {
        let start = (self.piece_length - tail.len()).checked_sub(self.begin)?;
        self.text.get(start..start + length)
    }
}

/// How many bytes from the start are neither a quote, a backslash nor a control character.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let ends = ends_plain(u64::from_le_bytes(*word));
        if ends != 0 {
            // One bit for each byte, its highest.
            return index * 8 + usize::from(ends.trailing_zeros().to_le_bytes()[0] / 8);
        }
    }
    let plain = rest.iter().position(|byte| ENDS_PLAIN[usize::from(*byte)]);
    bytes.len() - rest.len() + plain.unwrap_or(rest.len())
}

/// The highest bit of each byte that ends a plain stretch; exact up to the first of them, which is all that is asked.
#[inline]
const fn ends_plain(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const QUOTES: u64 = ONES * b'"' as u64;
    const BACKSLASHES: u64 = ONES * b'\\' as u64;
    let (quotes, backslashes) = (word ^ QUOTES, word ^ BACKSLASHES);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = quotes.wrapping_sub(ONES) & !quotes;
    let backslash = backslashes.wrapping_sub(ONES) & !backslashes;
    (control | quote | backslash) & (ONES * 0x80)
}

static ENDS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

fn is_scalar(word: &[u8]) -> bool {
    matches!(word, b"true" | b"false") || is_json_number(word)
}

/// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
pub(crate) fn is_json_number(word: &[u8]) -> bool {
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut rest = word.strip_prefix(b"-").unwrap_or(word);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.first() == Some(&b'0')) {
        return false;
    }
    rest = rest.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let length = digits(fraction);
        if length == 0 {
            return false;
        }
        rest = fraction.get(length..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent =
            exponent.strip_prefix(b"+").or_else(|| exponent.strip_prefix(b"-")).unwrap_or(exponent);
        let length = digits(exponent);
        return length > 0 && length == exponent.len();
    }
    rest.is_empty()
}
