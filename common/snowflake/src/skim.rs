//! Skims an answer: keeps everything but the rows, as they pass, so that the metadata of a result of any size is read in
//! little memory.

use crate::error::SnowflakeError;
use crate::gunzip::Gunzip;
use crate::response::Envelope;
use crate::transport::BodyReader;

/// What may be left of an answer without its rows: an entry of `partitionInfo` takes about 80 bytes.
const METADATA_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Reads a body to its end and gives its members but for `data`.
///
/// # Errors
/// What ends the body early, and what is no answer.
pub(crate) async fn skim(mut body: BodyReader) -> Result<Envelope, SnowflakeError> {
    let (mut gunzip, mut skim) = (Gunzip::new(), Skim::default());
    while let Some(piece) = body.next().await? {
        let mut input = &piece[..];
        loop {
            let json = gunzip.next(&mut input)?;
            if json.is_empty() && input.is_empty() {
                break;
            }
            skim.feed(json);
            if skim.kept.len() > METADATA_BYTES_MAX {
                return Err(SnowflakeError::TooLarge(METADATA_BYTES_MAX));
            }
        }
    }
    gunzip.finish()?;
    Ok(Envelope::read(&skim.kept)?)
}

/// Follows brackets and texts; whether the rest is JSON is judged by who reads what was kept.
#[derive(Debug, Default)]
struct Skim {
    /// The answer with `null` in the place of the rows.
    kept: Vec<u8>,
    depth: u32,
    place: Place,
    /// Of the answer's own members: where the name being read begins in `kept`.
    name: Option<usize>,
    /// Inside the value of `data`.
    dropping: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Structure,
    Text,
    Backslash,
}

impl Skim {
    fn feed(&mut self, piece: &[u8]) {
        for &byte in piece {
            match (self.place, byte) {
                (Place::Text, b'\\') => self.place = Place::Backslash,
                (Place::Text, b'"') => self.place = Place::Structure,
                (Place::Text, _) => {}
                (Place::Backslash, _) => self.place = Place::Text,
                (Place::Structure, b'"') => self.place = Place::Text,
                (Place::Structure, b'{' | b'[') => {
                    self.depth += 1;
                    self.begin_member();
                }
                (Place::Structure, b'}' | b']') => {
                    self.depth = self.depth.saturating_sub(1);
                    self.dropping &= self.depth > 0;
                }
                (Place::Structure, b',') => self.begin_member(),
                (Place::Structure, b':') if self.depth == 1 => {
                    if self.name_is_data() {
                        self.kept.extend_from_slice(b":null");
                        self.dropping = true;
                    }
                    self.name = None;
                }
                (Place::Structure, _) => {}
            }
            if !self.dropping {
                self.kept.push(byte);
            }
        }
    }

    /// Between two members of the answer itself.
    fn begin_member(&mut self) {
        if self.depth == 1 {
            self.dropping = false;
            self.name = Some(self.kept.len() + 1);
        }
    }

    fn name_is_data(&self) -> bool {
        let name = self.name.and_then(|start| self.kept.get(start..)).unwrap_or_default();
        name.trim_ascii() == b"\"data\""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> String {
        let mut skim = Skim::default();
        pieces.into_iter().for_each(|piece| skim.feed(piece.as_ref()));
        String::from_utf8(skim.kept).unwrap()
    }

    #[test]
    fn the_rows_are_dropped_wherever_they_stand_and_however_the_answer_is_cut() {
        let meta = r#"{"data":"kept","a":[{"data":1}]}"#;
        let rows = r#" [["}\"]",null],["\\","{"] ] "#;
        let middle = format!(r#"{{ "m":{meta},"data" :{rows}, "code":"090001" }}"#);
        let wanted = format!(r#"{{ "m":{meta},"data" :null, "code":"090001" }}"#);
        assert_eq!(kept([&middle]), wanted);
        assert_eq!(kept(middle.as_bytes().chunks(1)), wanted);
        assert_eq!(kept([format!(r#"{{"data":{rows}}}"#)]), r#"{"data":null}"#);
        assert_eq!(
            kept([r#"{"data":null,"data2":[1],"x":{"y":[]}}"#]),
            r#"{"data":null,"data2":[1],"x":{"y":[]}}"#
        );
    }

    #[test]
    fn what_is_cut_off_is_no_answer() {
        assert!(Envelope::read(kept([r#"{"code":"1","data":[["#]).as_bytes()).is_err());
        assert!(Envelope::read(kept([r#"{"code":"1","data":[[]]"#]).as_bytes()).is_err());
    }

    #[test]
    fn twenty_thousand_partitions_are_read_at_once() {
        let entry = r#"{"rowCount":13,"uncompressedSize":16777216,"compressedSize":4194304}"#;
        let list = vec![entry; 20_000].join(",");
        let answer = format!(
            r#"{{"resultSetMetaData":{{"numRows":260000,"rowType":[],"partitionInfo":[{list}]}},"data":[],
                "code":"090001","statementHandle":"01"}}"#
        );
        let started = std::time::Instant::now();
        let envelope = Envelope::read(kept(answer.as_bytes().chunks(65_536)).as_bytes()).unwrap();
        assert_eq!(envelope.into_kept().unwrap().partitions.len(), 20_000);
        // A debug build on a busy machine takes about 0.1 s.
        assert!(started.elapsed().as_secs_f64() < 2.0, "{:?}", started.elapsed());
    }
}
