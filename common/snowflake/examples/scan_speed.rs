//! Measures the scanner and the decoders on rows of 16 columns:
//! `cargo run --release -p thaw-snowflake --example scan_speed`.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use thaw_model::SourceType;
use thaw_snowflake::scanner::Scanner;
use thaw_snowflake::{Decoder, RowSink, SnowflakeError};

const ROWS: u32 = 200_000;
const PIECE_BYTES: usize = 64 * 1024;

struct Decode {
    decoders: Option<Vec<Decoder>>,
}

impl RowSink for Decode {
    type Error = SnowflakeError;

    fn cell(&mut self, column: usize, value: Option<&str>) -> Result<(), SnowflakeError> {
        match self.decoders.as_ref().and_then(|decoders| decoders.get(column)) {
            Some(decoder) => drop(black_box(decoder.decode(value))),
            None => drop(black_box(value)),
        }
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), SnowflakeError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SnowflakeError> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number = |scale| SourceType::Number { precision: 38, scale };
    let (text, date, ntz) =
        (SourceType::Text { length: None }, SourceType::Date, SourceType::TimestampNtz { scale: 9 });
    // The shape of TPC-H's lineitem.
    let types = [
        number(0),
        number(0),
        number(0),
        number(0),
        number(2),
        number(2),
        number(2),
        number(2),
        text,
        text,
        date,
        date,
        date,
        text,
        text,
        ntz,
    ];
    let mut body = String::from("{\"data\":[");
    for row in 0..ROWS {
        let comma = if row == 0 { "" } else { "," };
        body.push_str(&format!(
            "{comma}[\"{row}\",\"155190\",\"7706\",\"1\",\"17.00\",\"21168.23\",\"0.04\",\"0.02\",\"N\",\"O\",\"9568\",\"9538\",\"9576\",\"TRUCK\",\"egular courts above the\",\"1611871777.123456789\"]"
        ));
    }
    body.push_str("]}");
    let mut out = std::io::stdout().lock();
    for (name, decoders) in [("scan", None), ("scan and decode", Some(types.map(Decoder::new).to_vec()))] {
        let mut sink = Decode { decoders };
        let started = Instant::now();
        let mut scanner = Scanner::new(types.len());
        for piece in body.as_bytes().chunks(PIECE_BYTES) {
            scanner.feed(piece, &mut sink)?;
        }
        let rows = scanner.finish()?;
        let seconds = started.elapsed().as_secs_f64();
        let megabytes = f64::from(u32::try_from(body.len())?) / 1e6;
        let rate = f64::from(u32::try_from(rows)?) / seconds / 1e6;
        writeln!(out, "{name}: {rate:.2} M rows/s, {:.0} MB/s", megabytes / seconds)?;
    }
    Ok(())
}
