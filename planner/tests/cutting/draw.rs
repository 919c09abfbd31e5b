//! Random tables: skewed, sparse, with NULLs, duplicates, one giant value, or empty.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{RngSeed, TestRunner};
use thaw_config::{ChunkingColumn, DeclaredType, Lookback, Strategy as Chunking, TableEntry};
use thaw_model::ident::sf_literal;
use thaw_model::plan::BadRowPolicy;
use thaw_model::{PgIdent, SfIdent, SourceType};
use time::{Date, Month, Time};

/// What the cases are drawn from; another one draws others.
pub(crate) const SEED: u64 = 0x7468_6177;

/// How a value becomes a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Decimal,
    /// A number in a text, each row in its own way.
    Digits,
    Word,
    Day,
    /// A time of the day, without and with the offset of [`TIMEZONE`].
    Moment,
    Instant,
}

/// A chunking column and the strategy for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) table: &'static str,
    pub(crate) sql_type: &'static str,
    pub(crate) source_type: SourceType,
    spelling: Spelling,
    strategy: Chunking,
}

const NUMBER: SourceType = SourceType::Number { precision: 18, scale: 2 };
const TEXT: SourceType = SourceType::Text { length: None };

pub(crate) const KINDS: [Kind; 10] = [
    kind("NUMBERS", "number(18,2)", NUMBER, (Spelling::Decimal, Chunking::Auto)),
    kind("DIGITS", "varchar", TEXT, (Spelling::Digits, Chunking::NumericRange)),
    kind("WORDS", "varchar", TEXT, (Spelling::Word, Chunking::Auto)),
    kind("AMOUNTS", "number(18,2)", NUMBER, (Spelling::Decimal, Chunking::GroupedValues)),
    kind("DAYS", "date", SourceType::Date, (Spelling::Day, Chunking::DateRange)),
    kind("PAGED_DAYS", "date", SourceType::Date, (Spelling::Day, Chunking::DateRangeOffset)),
    kind(
        "MOMENTS",
        "timestamp_ntz(9)",
        SourceType::TimestampNtz { scale: 9 },
        (Spelling::Moment, Chunking::Auto),
    ),
    kind(
        "LOCAL",
        "timestamp_ltz(9)",
        SourceType::TimestampLtz { scale: 9 },
        (Spelling::Instant, Chunking::DateRange),
    ),
    kind(
        "INSTANTS",
        "timestamp_tz(9)",
        SourceType::TimestampTz { scale: 9 },
        (Spelling::Instant, Chunking::DateRangeOffset),
    ),
    kind("PAGED", "varchar", TEXT, (Spelling::Word, Chunking::OffsetBased)),
];

const fn kind(
    table: &'static str,
    sql_type: &'static str,
    source_type: SourceType,
    (spelling, strategy): (Spelling, Chunking),
) -> Kind {
    Kind { table, sql_type, source_type, spelling, strategy }
}

/// What chunks see of a row's chunking column: a number, a word or a day is one value however it is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Unparsed,
    Is(i64),
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) value: Value,
    pub(crate) literal: String,
}

/// A table and how it is to be cut.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    pub(crate) rows: Vec<Row>,
    pub(crate) limit: u64,
    pub(crate) has_snapshot: bool,
    /// Without one, some rows are there twice.
    pub(crate) has_key: bool,
    /// More values than these come in buckets.
    pub(crate) single_values: usize,
}

/// A zone whose days begin in the middle of an hour of UTC, the same all year.
const TIMEZONE: &str = "Asia/Kolkata";
/// Stand for the first and the last day that can be named.
const FIRST: i64 = -900;
const LAST: i64 = 899;

#[derive(Debug, Clone)]
struct Drawn {
    values: BTreeMap<i64, u64>,
    nulls: u64,
    unparsed: u64,
    limit: u64,
    has_snapshot: bool,
    has_key: bool,
    single_values: usize,
}

prop_compose! {
    fn drawn()(
        values in prop_oneof![
            1 => Just(BTreeMap::new()),
            // Dense; sparse; skewed; one giant value.
            3 => prop::collection::btree_map(-20_i64..20, 1_u64..8, 1..30),
            3 => prop::collection::btree_map(
                prop_oneof![9 => FIRST..=LAST, 1 => Just(FIRST), 1 => Just(LAST)], 1_u64..4, 1..80,
            ),
            3 => prop::collection::btree_map(-50_i64..50, prop_oneof![6 => 1_u64..4, 1 => 20_u64..80], 1..20),
            2 => (-50_i64..50, 60_u64..200, prop::collection::btree_map(-50_i64..50, 1_u64..4, 0..5))
                .prop_map(|(value, rows, mut others)| {
                    others.insert(value, rows);
                    others
                }),
        ],
        nulls in prop_oneof![2 => Just(0_u64), 2 => 1_u64..60],
        unparsed in prop_oneof![1 => Just(0_u64), 2 => 1_u64..40],
        limit in 5_u64..50,
        single_values in prop_oneof![1 => Just(100_000_usize), 1 => 0_usize..20],
        (has_snapshot, has_key) in any::<(bool, bool)>(),
    ) -> Drawn {
        Drawn { values, nulls, unparsed, limit, has_snapshot, has_key, single_values }
    }
}

/// So many cases, always the same ones, over all kinds in turn.
pub(crate) fn cases(count: usize) -> Vec<Case> {
    let config = ProptestConfig { rng_seed: RngSeed::Fixed(SEED), ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let strategy = drawn();
    (0..count).map(|number| case(number, &strategy.new_tree(&mut runner).expect("draws").current())).collect()
}

fn case(number: usize, drawn: &Drawn) -> Case {
    let kind = KINDS[number % KINDS.len()];
    let unparsed = if kind.spelling == Spelling::Digits { drawn.unparsed } else { 0 };
    let values = drawn.values.iter().map(|(value, rows)| (Value::Is(*value), *rows));
    let values = values.chain([(Value::Null, drawn.nulls), (Value::Unparsed, unparsed)]);
    let mut rows = Vec::new();
    for (value, count) in values {
        for _ in 0..count {
            let position = rows.len() as u64;
            let is_like_the_last = rows.last().is_some_and(|last: &Row| last.value == value);
            let twin = !drawn.has_key && position % 7 == 6 && is_like_the_last;
            // Ids in no order of the values; a twin is the row before it once more.
            let seed = if twin { position - 1 } else { position };
            rows.push(Row { id: seed * 7919 % 10_007, value, literal: literal(kind.spelling, value, seed) });
        }
    }
    let Drawn { limit, has_snapshot, has_key, single_values, .. } = *drawn;
    Case { number, kind, rows, limit, has_snapshot, has_key, single_values }
}

/// The literal of a value in a row.
fn literal(spelling: Spelling, value: Value, row: u64) -> String {
    fn pick<'a>(texts: &[&'a str], row: u64) -> &'a str {
        texts[usize::try_from(row).expect("small") % texts.len()]
    }
    let value = match value {
        Value::Null => return "null".to_owned(),
        Value::Unparsed => return sf_literal(pick(&["x", "", "12a", "1 2", "--3", "\u{661}"], row)),
        Value::Is(value) => value,
    };
    let (sign, size) = (if value < 0 { "-" } else { "" }, value.abs());
    match spelling {
        Spelling::Decimal => format!("{sign}{size}.{:02}", size * 37 % 100),
        Spelling::Digits => {
            format!("'{sign}{}{size}{}'", pick(&["", "0", ""], row), pick(&["", ".0", ".4", ""], row))
        }
        Spelling::Word => {
            let groups = ["", "a", "A", "\\", "it's", "zz", "\u{df}", "\u{1F600}", "a "];
            sf_literal(&format!("{}{value}", groups[usize::try_from(size).expect("small") % groups.len()]))
        }
        Spelling::Day => format!("'{}'", day(value)),
        Spelling::Moment => format!("'{} {}'", day(value), pick(&TIMES, row)),
        Spelling::Instant => {
            let offset = time::macros::offset!(+5:30);
            let days = time::Duration::days(value);
            let day = Date::from_calendar_date(2024, Month::February, 1).expect("a day") + days;
            let at: Time =
                [Time::MIDNIGHT, time::macros::time!(5:29:59), time::macros::time!(23:59:59.999999999)]
                    [usize::try_from(row).expect("small") % 3];
            let elsewhere = [offset, time::macros::offset!(UTC), time::macros::offset!(-8)]
                [usize::try_from(row / 3).expect("small") % 3];
            let moment = day.with_time(at).assume_offset(offset).to_offset(elsewhere);
            let (hours, minutes, _) = moment.offset().as_hms();
            format!("'{} {} {hours:+03}:{minutes:02}'", moment.date(), clock(moment.time()))
        }
    }
}

const TIMES: [&str; 4] = ["00:00:00", "00:00:00.000000001", "12:30:00.5", "23:59:59.999999999"];

fn clock(time: Time) -> String {
    format!("{:02}:{:02}:{:02}.{:09}", time.hour(), time.minute(), time.second(), time.nanosecond())
}

fn day(value: i64) -> String {
    let day = match value {
        FIRST => Date::from_calendar_date(1, Month::January, 1),
        LAST => Date::from_calendar_date(9999, Month::December, 31),
        value => {
            Date::from_calendar_date(2024, Month::February, 1).map(|day| day + time::Duration::days(value))
        }
    };
    day.expect("a day").to_string()
}

impl Case {
    pub(crate) fn timezone(&self) -> &'static str {
        if self.kind.spelling == Spelling::Instant { TIMEZONE } else { "UTC" }
    }

    /// The first chunking column, and its type.
    pub(crate) fn chunking(&self) -> Vec<(SfIdent, SourceType)> {
        vec![(SfIdent::exact("C"), self.kind.source_type)]
    }

    /// As the configuration would have it.
    pub(crate) fn entry(&self) -> TableEntry {
        let declared_type = (self.kind.spelling == Spelling::Digits).then_some(DeclaredType::VarcharNumeric);
        TableEntry {
            path: "sources[0].tables[0]".into(),
            enabled: true,
            source: SfIdent::exact(self.kind.table),
            target: PgIdent::exact("t"),
            source_filter: None,
            chunking_columns: vec![ChunkingColumn { name: SfIdent::exact("C"), declared_type }],
            uniqueness_columns: Vec::new(),
            source_watermark: None,
            target_watermark: None,
            column_mapping: BTreeMap::new(),
            truncate_onstart: false,
            insert_only: false,
            disable_index: false,
            parallel_threads: None,
            batch_size: 10,
            batch_size_copy_mode: 10,
            strategy: self.kind.strategy,
            timezone: self.timezone().into(),
            timezone_is_set: true,
            watermark_lookback: Lookback::Exactly(Duration::ZERO),
            bad_rows: BadRowPolicy::default(),
            lossy: Vec::new(),
            allow_empty_source: false,
            append: false,
            offset_sub_chunks_max: 32,
        }
    }
}
