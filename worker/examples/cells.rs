//! Decoding and encoding by type, and the scanner: what a cell costs before PostgreSQL sees it.
//!
//! `cargo run --release --package thaw-worker --example cells` prints times; `-- --check` compares each with what was
//! recorded in `cells.baseline.json`, and `-- --record` writes that file (`make bench-check`, `make bench-record`: the
//! ratios are of their build). What is recorded is no time but a ratio to a fixed loop that runs in turns with it: it holds
//! on a slower machine, and on one that does something else as well. An example, because a bench would build the worker.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use thaw_model::plan::{
    BadRowPolicy, LoadMode, LoadPlan, OnDuplicate, PlannedColumn, SourcePlan, StartPlan, TargetPlan,
};
use thaw_model::target_type::{NumericModifier, TextKind};
use thaw_model::{PgIdent, SfIdent, SourceType, TablePlan, TargetType};
use thaw_snowflake::scanner::Scanner;
use thaw_snowflake::{Decoder, RowSink, SnowflakeError};
use thaw_worker::encode::{EncodeError, Piece, RowEncoder};

/// Columns of a row, all alike: what a row costs is spread over them.
const COLUMNS: usize = 16;
/// Rows encoded at a time.
const ROWS: usize = 256;
/// A ratio beyond so many times the recorded one fails the check.
const ALLOWED: f64 = 2.0;
/// How often either side is measured; the least counts, which nothing can make too small.
const TURNS: usize = 25;

/// One type on its way: a name, its source and target, and its cells.
struct Case {
    name: &'static str,
    source: SourceType,
    target: TargetType,
    cells: [&'static str; 4],
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const TEXT: TargetType = TargetType::Text { kind: TextKind::Text, max_chars: None };
const DOCUMENT: &str = r#"{"code":"00af","items":[1,2.5,true,null],"name":"größe \"x\""}"#;
const LONG: &str =
    "regular deposits are furiously according to the bold, final packages; größe, 日付, and then some";

fn cases() -> Vec<Case> {
    let case = |name, source, target, cells| Case { name, source, target, cells };
    let number = |precision, scale| SourceType::Number { precision, scale };
    let numeric =
        |precision, scale| TargetType::Numeric { modifier: Some(NumericModifier { precision, scale }) };
    let moments = ["1704067200.123456789", "1712345678.000000000", "-0.876543300", "1755555555.987654321"];
    let zoned =
        ["1704067200.123456789 1560", "1712345678.0 1440", "-0.876543300 0", "1755555555.987654321 1080"];
    vec![
        case("int8", number(38, 0), TargetType::Int8, ["1", "6000000", "-77", "123456789012"]),
        case("int4", number(9, 0), TargetType::Int4, ["1", "999999999", "-77", "4711"]),
        case("numeric", number(12, 2), numeric(12, 2), ["17.00", "38012.95", "-0.04", "9999999999.99"]),
        case(
            "numeric_38",
            number(38, 10),
            TargetType::Numeric { modifier: None },
            ["1234567890123456789012345678.0123456789", "0.0000000001", "-5.5", "17"],
        ),
        case(
            "float8",
            SourceType::Float,
            TargetType::Float8,
            ["1.5", "-2.25e100", "3.141592653589793", "NaN"],
        ),
        case("bool", SourceType::Boolean, TargetType::Bool, ["true", "false", "true", "true"]),
        case("text_short", SourceType::Text { length: None }, TEXT, ["R", "TRUCK", "DELIVER IN PERSON", ""]),
        case("text_long", SourceType::Text { length: None }, TEXT, [LONG, LONG, LONG, LONG]),
        case(
            "varchar",
            SourceType::Text { length: Some(200) },
            TargetType::Text { kind: TextKind::Varchar, max_chars: Some(120) },
            [LONG, "größe", LONG, "x"],
        ),
        case("bytea", SourceType::Binary, TargetType::Bytea, ["00FF10A7", "DEADBEEF00112233", "", "7F"]),
        case("date", SourceType::Date, TargetType::Date, ["9131", "0", "-719162", "20000"]),
        case(
            "time",
            SourceType::Time { scale: 9 },
            TargetType::Time { precision: 6 },
            ["3600.123456789", "0.0", "86399.999999999", "43200.5"],
        ),
        case(
            "timestamp",
            SourceType::TimestampNtz { scale: 9 },
            TargetType::Timestamp { precision: 6 },
            moments,
        ),
        case(
            "timestamptz",
            SourceType::TimestampTz { scale: 9 },
            TargetType::Timestamptz { precision: 6 },
            zoned,
        ),
        case("jsonb", SourceType::Variant, TargetType::Jsonb, [DOCUMENT, "[1, 2, 3]", "\"text\"", DOCUMENT]),
        case(
            "uuid",
            SourceType::Text { length: None },
            TargetType::Uuid,
            ["67e55044-10b1-426f-9247-bb680e5fe0c8"; 4],
        ),
    ]
}

fn plan(case: &Case) -> TablePlan {
    let columns = (0..COLUMNS)
        .map(|index| PlannedColumn {
            source: SfIdent::exact(format!("C{index}")),
            source_type: case.source,
            target: PgIdent::exact(format!("c{index}")),
            target_type: case.target.clone(),
            nullable: true,
            lossy: false,
        })
        .collect();
    let (database, schema, table) = (SfIdent::exact("D"), SfIdent::exact("S"), SfIdent::exact("T"));
    TablePlan {
        source: SourcePlan {
            database,
            schema,
            table,
            timezone: "UTC".into(),
            snapshot: None,
            filter: None,
            watermark: None,
        },
        target: TargetPlan { database: "d".into(), schema: PgIdent::exact("s"), table: PgIdent::exact("t") },
        columns,
        chunking: None,
        one_scan: None,
        load: LoadPlan {
            mode: LoadMode::Copy,
            copy_first: false,
            on_duplicate: OnDuplicate::Fatal,
            arbiter: None,
            watermark: None,
            overriding_system_value: false,
        },
        start: StartPlan::default(),
        bad_rows: BadRowPolicy::default(),
        decisions: Vec::new(),
        left_out: Vec::new(),
    }
}

/// Decodes and encodes rows of one type, and throws the pieces away.
struct Encoding {
    runtime: tokio::runtime::Runtime,
    encoder: RowEncoder,
    cells: Vec<Option<&'static str>>,
}

impl Encoding {
    fn new(case: &Case) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (encoder, mut rows) = RowEncoder::new(&plan(case), false)?;
        runtime.spawn(async move {
            while let Some(Piece::Rows(bytes)) = rows.next().await {
                black_box::<Bytes>(bytes);
            }
        });
        // Every eighth cell is NULL.
        let cells = (0..COLUMNS).map(|index| (index % 8 != 7).then(|| case.cells[index % 4])).collect();
        Ok(Self { runtime, encoder, cells })
    }

    fn rows(&mut self) -> Result<(), EncodeError> {
        for _ in 0..ROWS {
            for (column, cell) in self.cells.iter().enumerate() {
                self.encoder.cell(column, black_box(*cell))?;
            }
            self.encoder.end_row()?;
        }
        self.runtime.block_on(self.encoder.flush())
    }
}

fn decode(case: &Case) {
    let decoder = Decoder::new(case.source);
    for _ in 0..ROWS * COLUMNS / 4 {
        for cell in case.cells {
            drop(black_box(decoder.decode(black_box(Some(cell)))));
        }
    }
}

/// Counts cells; the scanner alone is measured.
struct Nowhere;

impl RowSink for Nowhere {
    type Error = SnowflakeError;

    fn cell(&mut self, _column: usize, value: Option<&str>) -> Result<(), SnowflakeError> {
        black_box(value);
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), SnowflakeError> {
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SnowflakeError> {
        Ok(())
    }
}

/// A partition of rows like lineitem's, with an escape here and there.
fn partition() -> Vec<u8> {
    let row = r#"["1","155190","7706","1","17.00","21168.23","0.04","0.02","N","O","9568","9538","9577","DELIVER IN PERSON","TRUCK","egular \"courts\" above the"]"#;
    format!(r#"{{"data":[{}]}}"#, vec![row; ROWS].join(",")).into_bytes()
}

fn scan(partition: &[u8]) {
    let mut scanner = Scanner::new(COLUMNS);
    drop(black_box(scanner.feed(black_box(partition), &mut Nowhere)));
}

#[divan::bench(args = cases())]
fn decoding(bencher: Bencher<'_, '_>, case: &Case) {
    bencher.counter(ItemsCount::new(ROWS * COLUMNS)).bench_local(|| decode(case));
}

#[divan::bench(args = cases())]
fn decoding_and_encoding(bencher: Bencher<'_, '_>, case: &Case) {
    let Ok(mut encoding) = Encoding::new(case) else { return };
    bencher.counter(ItemsCount::new(ROWS * COLUMNS)).bench_local(|| encoding.rows());
}

#[divan::bench]
fn scanning(bencher: Bencher<'_, '_>) {
    let partition = partition();
    bencher.counter(ItemsCount::new(ROWS * COLUMNS)).bench_local(|| scan(&partition));
}

/// What everything is compared with: a byte-wise hash of 64 KB, which no compiler can shorten.
fn reference(bytes: &[u8]) -> u64 {
    black_box(bytes)
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The least time of `work` over the least time of the reference loop, measured in turns.
fn ratio(mut work: impl FnMut()) -> f64 {
    let bytes = vec![7_u8; 64 * 1024];
    let (mut least, mut least_reference) = (Duration::MAX, Duration::MAX);
    for _ in 0..TURNS {
        let start = Instant::now();
        black_box(reference(&bytes));
        least_reference = least_reference.min(start.elapsed());
        let start = Instant::now();
        work();
        least = least.min(start.elapsed());
    }
    least.as_secs_f64() / least_reference.as_secs_f64()
}

fn ratios() -> Result<BTreeMap<String, f64>> {
    let mut found = BTreeMap::new();
    for case in cases() {
        found.insert(format!("decode {case}"), ratio(|| decode(&case)));
        let mut encoding = Encoding::new(&case)?;
        // A cell that this case cannot encode would measure nothing.
        encoding.rows().with_context(|| format!("encoding {case}"))?;
        found.insert(format!("encode {case}"), ratio(|| drop(encoding.rows())));
    }
    let partition = partition();
    found.insert("scan".to_owned(), ratio(|| scan(&partition)));
    Ok(found)
}

fn baseline() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/cells.baseline.json")
}

/// Measures what seems slower once more: a regression is slow every time.
fn check() -> Result<()> {
    let recorded: BTreeMap<String, f64> = serde_json::from_str(&std::fs::read_to_string(baseline())?)?;
    let mut found = ratios()?;
    if recorded.keys().ne(found.keys()) {
        bail!("other cells are recorded than measured: record them anew");
    }
    let is_slow = |found: &BTreeMap<String, f64>| {
        recorded.iter().any(|(name, ratio)| found.get(name).is_none_or(|now| *now > ratio * ALLOWED))
    };
    for _ in 0..2 {
        if !is_slow(&found) {
            break;
        }
        for (name, again) in ratios()? {
            found.entry(name).and_modify(|ratio| *ratio = ratio.min(again));
        }
    }
    for (name, before) in &recorded {
        let now = found.get(name).copied().unwrap_or(f64::INFINITY);
        let times = now / before;
        let verdict = if times > ALLOWED { "SLOWER" } else { "" };
        say(&format!("{name:<22} recorded {before:>8.3}  now {now:>8.3}  {times:>5.2} times {verdict}"));
    }
    if is_slow(&found) {
        bail!("a cell costs more than {ALLOWED} times what was recorded");
    }
    Ok(())
}

fn main() -> Result<()> {
    let is_given = |name: &str| std::env::args().any(|argument| argument == name);
    if is_given("--record") {
        return Ok(std::fs::write(baseline(), serde_json::to_string_pretty(&ratios()?)? + "\n")?);
    }
    if is_given("--check") {
        return check();
    }
    divan::main();
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench prints its numbers")]
fn say(line: &str) {
    println!("{line}");
}
