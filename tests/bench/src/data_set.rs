//! What is moved: rows of TPC-H, rows of 250 mixed columns, and wide rows of text and semi-structured values.
//!
//! No figure is met by a special case for one of them. Rows depend on their number alone.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::Result;

use crate::figure::scaled;

/// Name, Snowflake's type, PostgreSQL's type.
type Column = (String, &'static str, &'static str);

/// One table on both sides.
#[derive(Debug, Clone)]
pub(crate) struct DataSet {
    /// The target's table; the source's is the same in upper case.
    pub(crate) name: &'static str,
    pub(crate) rows: u64,
    /// Rows a chunk where nothing else is said.
    pub(crate) batch: u64,
    pub(crate) columns: Vec<Column>,
    /// Of the keyed target; the first one is chunked by.
    pub(crate) keys: Vec<&'static str>,
    pub(crate) origin: Origin,
}

/// Where the rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The emulator's loader makes this table.
    Tpch(&'static str),
    Mixed,
    Text,
}

const LINEITEM: [(&str, &str); 16] = [
    ("L_ORDERKEY", "bigint"),
    ("L_PARTKEY", "bigint"),
    ("L_SUPPKEY", "bigint"),
    ("L_LINENUMBER", "integer"),
    ("L_QUANTITY", "numeric(12,2)"),
    ("L_EXTENDEDPRICE", "numeric(12,2)"),
    ("L_DISCOUNT", "numeric(12,2)"),
    ("L_TAX", "numeric(12,2)"),
    ("L_RETURNFLAG", "text"),
    ("L_LINESTATUS", "text"),
    ("L_SHIPDATE", "date"),
    ("L_COMMITDATE", "date"),
    ("L_RECEIPTDATE", "date"),
    ("L_SHIPINSTRUCT", "text"),
    ("L_SHIPMODE", "text"),
    ("L_COMMENT", "text"),
];

const ORDERS: [(&str, &str); 9] = [
    ("O_ORDERKEY", "bigint"),
    ("O_CUSTKEY", "bigint"),
    ("O_ORDERSTATUS", "text"),
    ("O_TOTALPRICE", "numeric(12,2)"),
    ("O_ORDERDATE", "date"),
    ("O_ORDERPRIORITY", "text"),
    ("O_CLERK", "text"),
    ("O_SHIPPRIORITY", "integer"),
    ("O_COMMENT", "text"),
];

/// What a mixed table repeats.
const MIXED: [(&str, &str); 10] = [
    ("NUMBER(38,0)", "bigint"),
    ("NUMBER(12,2)", "numeric(12,2)"),
    ("VARCHAR(32)", "text"),
    ("DATE", "date"),
    ("TIMESTAMP_NTZ(9)", "timestamp"),
    ("BOOLEAN", "boolean"),
    ("FLOAT", "double precision"),
    ("VARCHAR(80)", "varchar(80)"),
    ("TIMESTAMP_TZ(9)", "timestamptz"),
    ("NUMBER(9,0)", "integer"),
];

const TEXT: [(&str, &str, &str); 7] = [
    ("ID", "NUMBER(38,0)", "bigint"),
    ("TITLE", "VARCHAR", "text"),
    ("BODY", "VARCHAR", "text"),
    ("NOTE", "VARCHAR", "text"),
    ("TAGS", "ARRAY", "jsonb"),
    ("ATTRIBUTES", "OBJECT", "jsonb"),
    ("DOCUMENT", "VARIANT", "jsonb"),
];

/// 3.0 million rows of 16 columns.
pub(crate) fn lineitem(scale: f64) -> DataSet {
    tpch("lineitem", &LINEITEM, scaled(3_000_000, scale), vec!["L_ORDERKEY", "L_LINENUMBER"])
}

/// What the upserts of a bench are measured on: a fifth of lineitem, or they alone would take an hour.
pub(crate) fn lineitem_fifth(scale: f64) -> DataSet {
    let part = tpch("lineitem", &LINEITEM, scaled(600_000, scale), vec!["L_ORDERKEY", "L_LINENUMBER"]);
    DataSet { name: "lineitem_fifth", batch: 50_000, ..part }
}

/// 750,000 rows of 9 columns.
pub(crate) fn orders(scale: f64) -> DataSet {
    tpch("orders", &ORDERS, scaled(750_000, scale), vec!["O_ORDERKEY"])
}

/// Ten thousand orders in chunks of one row each, for what has no rows in the end.
pub(crate) fn hollow(scale: f64) -> DataSet {
    let orders = tpch("orders", &ORDERS, scaled(10_000, scale), vec!["O_ORDERKEY"]);
    DataSet { name: "hollow", batch: 1, ..orders }
}

/// 60,000 rows of 250 columns, every seventh value NULL.
pub(crate) fn mixed_250(scale: f64) -> DataSet {
    let columns = (0..250)
        .map(|index| {
            let (source, target) = MIXED[index % MIXED.len()];
            (if index == 0 { "ID".to_owned() } else { format!("C{index}") }, source, target)
        })
        .collect();
    DataSet {
        name: "mixed_250",
        rows: scaled(60_000, scale),
        batch: scaled(7_500, scale),
        columns,
        keys: vec!["ID"],
        origin: Origin::Mixed,
    }
}

/// 50,000 rows of some 3 KB: texts in several scripts, quotes, line breaks; JSON.
pub(crate) fn wide_text(scale: f64) -> DataSet {
    DataSet {
        name: "wide_text",
        rows: scaled(50_000, scale),
        batch: scaled(6_250, scale),
        columns: TEXT.iter().map(|(name, source, target)| ((*name).to_owned(), *source, *target)).collect(),
        keys: vec!["ID"],
        origin: Origin::Text,
    }
}

fn tpch(name: &'static str, columns: &[(&str, &'static str)], rows: u64, keys: Vec<&'static str>) -> DataSet {
    DataSet {
        name,
        rows,
        batch: scaled(250_000, 1.0).min(rows.div_ceil(4)),
        columns: columns.iter().map(|(name, target)| ((*name).to_owned(), "", *target)).collect(),
        keys,
        origin: Origin::Tpch(name),
    }
}

impl DataSet {
    /// `TPCH.SF.NAME`.
    pub(crate) fn source(&self) -> String {
        format!("TPCH.SF.{}", self.name.to_uppercase())
    }

    /// `create table` of the target.
    pub(crate) fn target_ddl(&self, is_keyed: bool) -> String {
        let mut columns: Vec<String> =
            self.columns.iter().map(|(name, _, target)| format!("\"{name}\" {target}")).collect();
        if is_keyed {
            let keys: Vec<String> = self.keys.iter().map(|key| format!("\"{key}\"")).collect();
            columns.push(format!("primary key ({})", keys.join(", ")));
        }
        format!("create table {} ({})", self.name, columns.join(", "))
    }

    /// `create table` of the source, in Snowflake's SQL.
    pub(crate) fn source_ddl(&self) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|(name, source, _)| format!("{name} {source}")).collect();
        format!("create table {} ({})", self.source(), columns.join(", "))
    }

    /// Writes the rows that the emulator does not make itself.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_csv(&self, file: &Path) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(file)?);
        let names: Vec<&str> = self.columns.iter().map(|(name, ..)| name.as_str()).collect();
        writeln!(out, "{}", names.join(","))?;
        let mut row = String::new();
        for number in 0..self.rows {
            row.clear();
            match self.origin {
                Origin::Mixed => mixed_row(&mut row, number, self.columns.len())?,
                Origin::Text => text_row(&mut row, number)?,
                Origin::Tpch(_) => {}
            }
            writeln!(out, "{row}")?;
        }
        Ok(out.flush()?)
    }
}

/// Thoroughly mixed, and the same on every machine.
fn mix(row: u64, column: u64) -> u64 {
    let mut value = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ column.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    value ^= value >> 29;
    value = value.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value ^ (value >> 32)
}

fn mixed_row(row: &mut String, number: u64, columns: usize) -> Result<()> {
    write!(row, "{number}")?;
    for (index, column) in (1..columns).zip(1_u64..) {
        let value = mix(number, column);
        row.push(',');
        if value.is_multiple_of(7) {
            continue;
        }
        match index % MIXED.len() {
            0 => write!(row, "{}", value >> 12)?,
            1 => write!(row, "{}.{:02}", value % 100_000_000, value % 97)?,
            2 => write!(row, "value {:x}", value >> 16)?,
            3 => write!(row, "{}", value % 20_000)?,
            4 => write!(row, "{}.{:09}", 1_500_000_000 + value % 200_000_000, value % 1_000_000_000)?,
            5 => row.push_str(if value.is_multiple_of(2) { "true" } else { "false" }),
            6 => write!(row, "{}.{}", value % 1_000_000, value % 10_007)?,
            7 => write!(row, "a somewhat longer text with {} and {}", value % 1000, value % 77)?,
            8 => write!(row, "{}.{:09} 1560", 1_500_000_000 + value % 200_000_000, value % 1_000_000_000)?,
            _ => write!(row, "{}", value % 1_000_000_000)?,
        }
    }
    Ok(())
}

const WORDS: [&str; 16] = [
    "claim",
    "visite",
    "größe",
    "paciente",
    "日付",
    "amount",
    "réseau",
    "note",
    "пример",
    "status",
    "payer",
    "\"\"quoted\"\"",
    "line\nbreak",
    "back\\slash",
    "tab\there",
    "plain",
];

fn words(out: &mut String, (row, seed): (u64, u64), count: u64) {
    for position in 0..count {
        if position > 0 {
            out.push(' ');
        }
        let index = usize::try_from(mix(row, seed * 1000 + position) % 16).unwrap_or_default();
        out.push_str(WORDS.get(index).copied().unwrap_or_default());
    }
}

fn text_row(row: &mut String, number: u64) -> Result<()> {
    write!(row, "{number},\"")?;
    words(row, (number, 1), 6);
    row.push_str("\",\"");
    words(row, (number, 2), 150 + number % 100);
    row.push_str("\",\"");
    words(row, (number, 3), 40);
    let value = mix(number, 4);
    write!(row, "\",\"[{},{},\"\"tag {}\"\"]\"", value % 10, value % 1000, value % 77)?;
    write!(row, ",\"{{\"\"a\"\":{},\"\"b\"\":\"\"text {}\"\",\"\"c\"\":null}}\"", value % 1000, value % 91)?;
    row.push_str(",\"{\"\"items\"\":[");
    for item in 0..12 {
        let value = mix(number, 100 + item);
        let comma = if item > 0 { "," } else { "" };
        write!(
            row,
            "{comma}{{\"\"code\"\":\"\"{:08x}\"\",\"\"amount\"\":{}.{:02},\"\"ok\"\":{}}}",
            value >> 40,
            value % 9999,
            value % 100,
            value.is_multiple_of(2)
        )?;
    }
    row.push_str("]}\"");
    Ok(())
}
