//! Inflates a body piece by piece, by its first bytes rather than by its headers: proxies drop
//! `Content-Encoding`, and the server sends partition 0 plain.

use flate2::{Decompress, FlushDecompress, Status};

use crate::error::SnowflakeError;

/// What one call gives at most.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The largest window, which every gzip member fits.
const WINDOW_BITS: u8 = 15;

/// The state of one body.
pub(crate) struct Gunzip {
    mode: Mode,
    out: Vec<u8>,
}

enum Mode {
    /// One byte came, and it was the first of the magic.
    Unknown {
        first: bool,
    },
    Plain {
        owed: bool,
    },
    Gzip {
        inflate: Box<Decompress>,
        /// A member has ended and no other has begun.
        ended: bool,
    },
}

impl Gunzip {
    pub(crate) fn new() -> Self {
        Self { mode: Mode::Unknown { first: false }, out: Vec::with_capacity(PIECE_BYTES) }
    }

    /// Takes bytes off the front of `input` and returns the JSON they give: a piece of at most 64 KiB, maybe
    /// empty. To be called until `input` is empty and the piece is.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<&[u8], SnowflakeError> {
        self.recognise(input);
        match &mut self.mode {
            Mode::Unknown { .. } => Ok(&[]),
            Mode::Plain { owed } => {
                if std::mem::take(owed) {
                    return Ok(&MAGIC[..1]);
                }
                let (piece, rest) = input.split_at(input.len().min(PIECE_BYTES));
                *input = rest;
                self.out.clear();
                self.out.extend_from_slice(piece);
                Ok(&self.out)
            }
            Mode::Gzip { inflate, ended } => {
                self.out.clear();
                if *ended && !input.is_empty() {
                    // Another member: gzip files may be joined.
                    **inflate = Decompress::new_gzip(WINDOW_BITS);
                    *ended = false;
                }
                if *ended {
                    return Ok(&[]);
                }
                *ended = inflate_piece(inflate, input, &mut self.out)?;
                Ok(&self.out)
            }
        }
    }

    /// Checks that the body did not end inside a gzip member.
    pub(crate) fn finish(&self) -> Result<(), SnowflakeError> {
        match self.mode {
            Mode::Plain { .. } | Mode::Unknown { first: false } | Mode::Gzip { ended: true, .. } => Ok(()),
            Mode::Unknown { first: true } | Mode::Gzip { ended: false, .. } => Err(SnowflakeError::Gzip),
        }
    }

    fn recognise(&mut self, input: &mut &[u8]) {
        let Mode::Unknown { first } = self.mode else { return };
        let begin = match (first, *input) {
            (_, []) => return,
            (false, [0x1f]) => {
                *input = &[];
                self.mode = Mode::Unknown { first: true };
                return;
            }
            (false, [0x1f, 0x8b, ..]) => &[][..],
            (true, [0x8b, ..]) => &MAGIC[..1],
            (owed, _) => {
                self.mode = Mode::Plain { owed };
                return;
            }
        };
        let mut inflate = Box::new(Decompress::new_gzip(WINDOW_BITS));
        // One byte of a header gives no output and cannot fail.
        let started =
            begin.is_empty() || inflate.decompress_vec(begin, &mut self.out, FlushDecompress::None).is_ok();
        self.mode = Mode::Gzip { inflate, ended: !started };
    }
}

/// Inflates until the input or the room is used up; `true` when the member has ended.
fn inflate_piece(
    inflate: &mut Decompress,
    input: &mut &[u8],
    out: &mut Vec<u8>,
) -> Result<bool, SnowflakeError> {
    loop {
        let (before_in, before_out) = (inflate.total_in(), out.len());
        let status =
            inflate.decompress_vec(input, out, FlushDecompress::None).map_err(|_| SnowflakeError::Gzip)?;
        let taken = usize::try_from(inflate.total_in() - before_in).map_err(|_| SnowflakeError::Gzip)?;
        *input = input.get(taken..).unwrap_or_default();
        match status {
            Status::StreamEnd => return Ok(true),
            Status::Ok | Status::BufError => {
                let stuck = taken == 0 && out.len() == before_out;
                if stuck || out.len() == out.capacity() {
                    return Ok(false);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn inflate(bytes: &[u8], piece: usize) -> Result<Vec<u8>, SnowflakeError> {
        let mut gunzip = Gunzip::new();
        let mut all = Vec::new();
        for mut input in bytes.chunks(piece.max(1)) {
            loop {
                let out = gunzip.next(&mut input)?.to_vec();
                assert!(out.len() <= PIECE_BYTES);
                if out.is_empty() && input.is_empty() {
                    break;
                }
                all.extend(out);
            }
        }
        gunzip.finish().map(|()| all)
    }

    #[test]
    fn plain_and_gzip_bodies_come_out_whole_however_they_are_cut() {
        let text: Vec<u8> = (0..300_000_u32).map(|n| b'a' + u8::try_from(n % 7).unwrap()).collect();
        let mut joined = gzip(&text[..1000]);
        joined.extend(gzip(&text[1000..]));
        for piece in [1, 2, 3, 1000, usize::MAX] {
            assert!(inflate(&text, piece).unwrap() == text);
            assert!(inflate(&gzip(&text), piece).unwrap() == text);
            assert!(inflate(&joined, piece).unwrap() == text);
            assert_eq!(inflate(b"\x1fplain", piece).unwrap(), b"\x1fplain");
            assert_eq!(inflate(b"", piece).unwrap(), b"");
        }
    }

    #[test]
    fn a_cut_or_damaged_gzip_body_is_an_error() {
        let whole = gzip(b"{\"data\":[[\"1\"]]}");
        for length in 1..whole.len() {
            assert!(matches!(inflate(&whole[..length], 5), Err(SnowflakeError::Gzip)), "{length}");
        }
        let mut damaged = whole.clone();
        let crc = damaged.len() - 6;
        damaged[crc] ^= 1;
        assert!(matches!(inflate(&damaged, 5), Err(SnowflakeError::Gzip)));
        let mut trailing = whole;
        trailing.extend(b"garbage");
        assert!(matches!(inflate(&trailing, 5), Err(SnowflakeError::Gzip)));
    }
}
