//! Ten thousand random rows over all types, through the whole load, compared row by row.
//!
//! Each value is drawn once and written twice: as the wire has it, and as an SQL literal for PostgreSQL, which does
//! its own arithmetic (days and microseconds are added to a date there). The two tables must hold the same rows.

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use thaw_model::plan::{Arbiter, LoadMode};
use thaw_model::{PgIdent, SourceType as S};

use crate::chunks::Store;
use crate::support::{Cell, plan_for};

const ROWS: usize = 10_000;

/// The wire's text and the literal.
type Drawn = (String, String);
type Column = (&'static str, &'static str, S, fn(&mut StdRng) -> Drawn);

const TEXT: S = S::Text { length: None };

const COLUMNS: &[Column] = &[
    ("n_all", "numeric", S::Number { precision: 38, scale: 10 }, |r| decimal(r, 38, 10)),
    ("n_exact", "numeric(38,0)", S::Number { precision: 38, scale: 0 }, |r| decimal(r, 38, 0)),
    ("n_money", "numeric(14,4)", S::Number { precision: 12, scale: 2 }, |r| decimal(r, 12, 2)),
    ("n_tiny", "numeric", S::Number { precision: 38, scale: 37 }, |r| decimal(r, 38, 37)),
    ("n_round", "numeric(5,-2)", S::Number { precision: 9, scale: 0 }, hundreds),
    ("i2", "smallint", S::Number { precision: 38, scale: 0 }, |r| integer(r, -32_768, 32_767)),
    ("i4", "integer", S::Number { precision: 38, scale: 0 }, |r| {
        integer(r, i32::MIN.into(), i32::MAX.into())
    }),
    ("i8", "bigint", S::Number { precision: 38, scale: 0 }, |r| integer(r, i64::MIN, i64::MAX)),
    ("f8", "double precision", S::Float, float),
    ("f4", "real", S::Float, small_float),
    ("f_n", "numeric", S::Float, plain_float),
    ("dec", "numeric", S::DecFloat, scientific),
    ("b", "boolean", S::Boolean, |r| same(if r.random() { "true" } else { "false" })),
    ("t", "text", TEXT, |r| text(r, 40)),
    ("v", "varchar(20)", S::Text { length: Some(20) }, |r| text(r, 20)),
    ("c", "char(20)", TEXT, |r| text(r, 20)),
    ("ci", "citext", TEXT, |r| text(r, 10)),
    ("dom", "code", TEXT, |r| text(r, 3)),
    ("mood", "mood", TEXT, |r| same(["sad", "it''s ok", "so so"][r.random_range(0..3)])),
    ("bin", "bytea", S::Binary, binary),
    ("d", "date", S::Date, date),
    ("tm", "time", S::Time { scale: 9 }, time),
    ("ntz", "timestamp", S::TimestampNtz { scale: 9 }, |r| moment(r, "timestamp 'epoch'", 6)),
    ("ntz3", "timestamp(3)", S::TimestampNtz { scale: 9 }, |r| moment(r, "timestamp 'epoch'", 3)),
    ("ltz", "timestamptz", S::TimestampLtz { scale: 9 }, |r| moment(r, "timestamptz 'epoch'", 6)),
    ("tz", "timestamptz", S::TimestampTz { scale: 9 }, zoned),
    ("var", "jsonb", S::Variant, document),
    ("obj", "json", S::Object, |r| printed(&json!({ "k": tree(r, 2) }))),
    ("geo", "jsonb", S::Geography, |r| {
        printed(
            &json!({ "type": "Point", "coordinates": [r.random_range(-180..180), r.random_range(-90..90)] }),
        )
    }),
    ("arr", "bigint[]", S::Array, numbers),
    ("words", "text[]", S::Array, words),
    ("vec", "real[]", S::Vector, vector),
    ("u", "uuid", S::Uuid, uuid),
    ("t_u", "uuid", TEXT, uuid),
    ("t_n", "numeric", TEXT, |r| decimal(r, 30, 5)),
    ("t_d", "date", TEXT, iso_date),
    ("t_j", "jsonb", TEXT, |r| {
        let value = tree(r, 3);
        (format!(" {value:#} "), quoted(&value.to_string()))
    }),
];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A literal that reads as the wire does; quotes are doubled in it.
fn same(literal: &str) -> Drawn {
    (literal.replace("''", "'"), format!("'{literal}'"))
}

fn decimal(r: &mut StdRng, precision: u32, scale: usize) -> Drawn {
    // As many digits as drawn, so that short numbers are as frequent as long ones.
    let digits = r.random_range(0..=precision);
    let top = 10_u128.pow(digits);
    let magnitude = r.random_range(0..top);
    let sign = if magnitude > 0 && r.random() { "-" } else { "" };
    let digits = format!("{magnitude:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale > 0 { "." } else { "" };
    same(&format!("{sign}{whole}{point}{fraction}"))
}

fn integer(r: &mut StdRng, low: i64, high: i64) -> Drawn {
    same(&match r.random_range(0..10) {
        0 => low.to_string(),
        1 => high.to_string(),
        2..6 => r.random_range(-1_000..1_000).to_string(),
        _ => r.random_range(low..=high).to_string(),
    })
}

fn hundreds(r: &mut StdRng) -> Drawn {
    same(&format!("{}00", r.random_range(1..99_999)))
}

fn float(r: &mut StdRng) -> Drawn {
    match r.random_range(0..12) {
        0 => ("NaN".to_owned(), "'NaN'".to_owned()),
        1 => ("inf".to_owned(), "'Infinity'".to_owned()),
        2 => ("-inf".to_owned(), "'-Infinity'".to_owned()),
        _ => loop {
            let value = f64::from_bits(r.random());
            if value.is_finite() {
                break same(&format!("{value:e}"));
            }
        },
    }
}

fn small_float(r: &mut StdRng) -> Drawn {
    let value: f32 = r.random_range(-1e6..1e6);
    same(&format!("{value}"))
}

fn plain_float(r: &mut StdRng) -> Drawn {
    let value: f64 = r.random_range(-1e6..1e6);
    same(&format!("{value}"))
}

fn scientific(r: &mut StdRng) -> Drawn {
    let significand = r.random_range(-10_i128.pow(37)..10_i128.pow(37));
    same(&format!("{significand}e{}", r.random_range(-200..200)))
}

fn text(r: &mut StdRng, longest: usize) -> Drawn {
    const LETTERS: &[char] = &[
        'a', 'Z', '0', ' ', '\'', '"', '\\', '\t', '\n', '\r', '|', ',', 'ä', '\u{a0}', '漢', '😀', '\u{1}',
        '\u{7f}',
    ];
    let length = r.random_range(0..=longest);
    let text: String = (0..length).map(|_| LETTERS[r.random_range(0..LETTERS.len())]).collect();
    let literal = quoted(&text);
    (text, literal)
}

fn hex(r: &mut StdRng, length: usize) -> String {
    (0..length).fold(String::new(), |mut out, _| {
        write!(out, "{:02X}", r.random::<u8>()).expect("writes");
        out
    })
}

fn binary(r: &mut StdRng) -> Drawn {
    let length = r.random_range(0..40);
    let hex = hex(r, length);
    let literal = format!("decode('{hex}', 'hex')");
    (hex, literal)
}

fn date(r: &mut StdRng) -> Drawn {
    // 0001-01-01 to 9999-12-31.
    let days = r.random_range(-719_162..2_932_897);
    (days.to_string(), format!("date '1970-01-01' + {days}"))
}

fn iso_date(r: &mut StdRng) -> Drawn {
    let (year, month, day) = (r.random_range(1..9999), r.random_range(1..13), r.random_range(1..29));
    same(&format!("{year:04}-{month:02}-{day:02}"))
}

fn time(r: &mut StdRng) -> Drawn {
    let nanos = r.random_range(0..86_400_000_000_000_i64);
    let wire = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    (wire, format!("time '00:00' + {} * interval '1 microsecond'", nanos / 1_000))
}

/// Seconds and nanoseconds since 1970 between the years 1 and 9999: the wire's text, and the literal, floored.
fn moment(r: &mut StdRng, epoch: &str, digits: u32) -> Drawn {
    let seconds = r.random_range(-62_135_596_800_i64..253_402_300_800);
    let nanos = r.random_range(0..1_000_000_000_i64);
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let (sign, magnitude) = (if total < 0 { "-" } else { "" }, total.unsigned_abs());
    let wire = format!("{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000);
    let unit = 10_i64.pow(9 - digits);
    let micros = seconds.rem_euclid(86_400) * 1_000_000 + nanos / unit * (unit / 1_000);
    let days = seconds.div_euclid(86_400);
    (wire, format!("{epoch} + make_interval(days => {days}) + {micros} * interval '1 microsecond'"))
}

fn zoned(r: &mut StdRng) -> Drawn {
    let (wire, literal) = moment(r, "timestamptz 'epoch'", 6);
    (format!("{wire} {}", r.random_range(720..=2_160)), literal)
}

fn tree(r: &mut StdRng, depth: u32) -> Value {
    match r.random_range(0..if depth > 0 { 8 } else { 6 }) {
        0 => Value::Null,
        1 => Value::Bool(r.random()),
        2 => json!(r.random::<i64>()),
        3 => json!(r.random_range(-1e9..1e9)),
        4 | 5 => Value::String(text(r, 12).0),
        6 => (0..r.random_range(0..5)).map(|_| tree(r, depth - 1)).collect(),
        _ => (0..r.random_range(0..4)).map(|key| (format!("k {key}"), tree(r, depth - 1))).collect(),
    }
}

/// As Snowflake prints it, indented.
fn printed(value: &Value) -> Drawn {
    (format!("{value:#}"), quoted(&value.to_string()))
}

fn document(r: &mut StdRng) -> Drawn {
    let elements: Vec<Value> = (0..r.random_range(0..4)).map(|_| tree(r, 2)).collect();
    let wire: Vec<String> = elements
        .iter()
        .map(|element| if element.is_null() { "undefined".to_owned() } else { format!("{element:#}") })
        .collect();
    (format!("[\n  {}\n]", wire.join(",\n  ")), quoted(&Value::Array(elements).to_string()))
}

fn numbers(r: &mut StdRng) -> Drawn {
    let elements: Vec<Option<i64>> =
        (0..r.random_range(0..6)).map(|_| r.random_bool(0.8).then(|| r.random())).collect();
    let written = |null: &str| -> Vec<String> {
        elements.iter().map(|element| element.map_or(null.to_owned(), |number| number.to_string())).collect()
    };
    (
        format!("[{}]", written("undefined").join(", ")),
        format!("array[{}]::bigint[]", written("null").join(",")),
    )
}

fn words(r: &mut StdRng) -> Drawn {
    let elements: Vec<String> = (0..r.random_range(0..5)).map(|_| text(r, 8).0).collect();
    let literals: Vec<String> = elements.iter().map(|text| quoted(text)).collect();
    (format!("{:#}", json!(elements)), format!("array[{}]::text[]", literals.join(",")))
}

fn vector(r: &mut StdRng) -> Drawn {
    let elements: Vec<String> =
        (0..r.random_range(0..6)).map(|_| r.random_range(-100.0_f32..100.0).to_string()).collect();
    (format!("[{}]", elements.join(",")), format!("array[{}]::real[]", elements.join(",")))
}

fn uuid(r: &mut StdRng) -> Drawn {
    let groups: Vec<String> = [4, 2, 2, 2, 6].map(|bytes| hex(r, bytes).to_lowercase()).into();
    same(&groups.join("-"))
}

/// Draws a row: the cells, and the tuple of literals.
fn draw(r: &mut StdRng, id: usize) -> (Vec<Cell>, String) {
    let (mut cells, mut tuple) = (vec![Some(id.to_string())], format!("({id}"));
    for (_, pg_type, _, value) in COLUMNS {
        let (wire, literal) = value(r);
        if r.random_bool(0.1) {
            cells.push(None);
            tuple.push_str(",null");
        } else {
            cells.push(Some(wire));
            write!(tuple, ",({literal})::{pg_type}").expect("writes");
        }
    }
    tuple.push(')');
    (cells, tuple)
}

async fn random_rows_arrive(mode: LoadMode, seed: u64) {
    let columns: Vec<String> =
        COLUMNS.iter().map(|(name, pg_type, ..)| format!("{name} {pg_type}")).collect();
    let columns = columns.join(", ");
    let mut store = Store::create(&format!(
        "create extension citext; create type mood as enum ('sad', 'it''s ok', 'so so'); \
         create domain code as varchar(3); create table t (id int primary key, {columns}); \
         create table expected (like t)"
    ))
    .await;
    store.client.batch_execute("set timezone = 'UTC'").await.expect("sets");
    let mut random = StdRng::seed_from_u64(seed);
    let (rows, tuples): (Vec<Vec<Cell>>, Vec<String>) = (0..ROWS).map(|id| draw(&mut random, id)).unzip();
    for batch in tuples.chunks(500) {
        let sql = format!("insert into expected values {}", batch.join(","));
        store.client.batch_execute(&sql).await.expect("the literals are PostgreSQL's own");
    }
    let mut planned = vec![("id", S::Number { precision: 38, scale: 0 })];
    planned.extend(COLUMNS.iter().map(|(name, _, source, _)| (*name, *source)));
    let mut plan = plan_for(&store.client, "t", &planned).await;
    plan.load.mode = mode;
    plan.load.arbiter = Some(Arbiter {
        index: PgIdent::exact("t_pkey"),
        columns: vec![PgIdent::exact("id")],
        nulls_not_distinct: false,
    });
    let (loaded, _) = store.load(&plan, &rows).await.expect("every row is loadable");
    let expected = i64::try_from(ROWS).expect("small");
    assert_eq!((loaded.accounting.fetched, loaded.accounting.inserted), (expected, expected));
    for (name, ..) in COLUMNS {
        let differs = format!(
            "select id, t.{name}::text, e.{name}::text from t full join expected e using (id) \
             where t.{name}::text collate \"C\" is distinct from e.{name}::text collate \"C\" limit 3"
        );
        assert_eq!(store.rows(&differs).await, Vec::<String>::new(), "{name}, seed {seed}");
    }
    assert_eq!(store.rows("select count(*) from t").await, [ROWS.to_string()]);
    // Written as the same values, not only as the same text: a second load finds nothing to change.
    if mode == LoadMode::Upsert {
        let (again, _) = store.load(&plan, &rows).await.expect("loads again");
        assert_eq!((again.accounting.kept, again.accounting.updated), (expected, 0));
    }
}

#[tokio::test]
async fn ten_thousand_random_rows_over_all_types_arrive_as_postgresql_itself_writes_them() {
    let seed = rand::random();
    Box::pin(random_rows_arrive(LoadMode::Copy, seed)).await;
}

#[tokio::test]
async fn ten_thousand_random_rows_are_the_same_rows_to_an_upsert() {
    let seed = rand::random();
    Box::pin(random_rows_arrive(LoadMode::Upsert, seed)).await;
}
