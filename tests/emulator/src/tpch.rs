//! TPC-H tables: their DDL in Snowflake's types and their rows in wire text.
//!
//! Keys are NUMBER(38,0), prices NUMBER(12,2). Every table gets `UPDATED_AT TIMESTAMP_NTZ(9)`, made from the row's
//! key alone, so that the same row always has the same value: from 2024-01-01 on, 600 days, with nanoseconds. Knows
//! nothing of the database.

use std::fmt::{Display, Write};

use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};

use crate::cli::TpchTable;

/// 2024-01-01T00:00:00Z
const UPDATED_FROM_SECONDS: u64 = 1_704_067_200;
/// 600 days.
const UPDATED_SPAN_SECONDS: u64 = 600 * 86_400;

/// One row's cells, in one reused buffer.
#[derive(Debug, Default)]
pub(crate) struct RowText {
    text: String,
    ends: Vec<usize>,
}

impl RowText {
    /// The cells of the row.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Option<&str>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.text.get(start..*end))
    }

    fn clear(&mut self) -> &mut Self {
        self.text.clear();
        self.ends.clear();
        self
    }

    fn cell(&mut self, value: impl Display) -> &mut Self {
        // Writing into a String cannot fail.
        write!(self.text, "{value}").unwrap_or_default();
        self.ends.push(self.text.len());
        self
    }

    fn updated_at(&mut self, key: u64) -> &mut Self {
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seconds = UPDATED_FROM_SECONDS + (mixed >> 20) % UPDATED_SPAN_SECONDS;
        self.cell(format_args!("{seconds}.{:09}", mixed % 1_000_000_000))
    }
}

/// `create table` of a TPC-H table under `name`, a quoted full name.
pub(crate) fn ddl(table: TpchTable, name: &str) -> String {
    let (columns, key) = match table {
        TpchTable::Region => (
            "R_REGIONKEY NUMBER(38,0) NOT NULL, R_NAME VARCHAR(25) NOT NULL, R_COMMENT VARCHAR(152)",
            "R_REGIONKEY",
        ),
        TpchTable::Nation => (
            "N_NATIONKEY NUMBER(38,0) NOT NULL, N_NAME VARCHAR(25) NOT NULL, N_REGIONKEY NUMBER(38,0) NOT NULL, \
             N_COMMENT VARCHAR(152)",
            "N_NATIONKEY",
        ),
        TpchTable::Part => (
            "P_PARTKEY NUMBER(38,0) NOT NULL, P_NAME VARCHAR(55) NOT NULL, P_MFGR VARCHAR(25) NOT NULL, \
             P_BRAND VARCHAR(10) NOT NULL, P_TYPE VARCHAR(25) NOT NULL, P_SIZE NUMBER(38,0) NOT NULL, \
             P_CONTAINER VARCHAR(10) NOT NULL, P_RETAILPRICE NUMBER(12,2) NOT NULL, P_COMMENT VARCHAR(23)",
            "P_PARTKEY",
        ),
        TpchTable::Supplier => (
            "S_SUPPKEY NUMBER(38,0) NOT NULL, S_NAME VARCHAR(25) NOT NULL, S_ADDRESS VARCHAR(40) NOT NULL, \
             S_NATIONKEY NUMBER(38,0) NOT NULL, S_PHONE VARCHAR(15) NOT NULL, S_ACCTBAL NUMBER(12,2) NOT NULL, \
             S_COMMENT VARCHAR(101)",
            "S_SUPPKEY",
        ),
        TpchTable::Partsupp => (
            "PS_PARTKEY NUMBER(38,0) NOT NULL, PS_SUPPKEY NUMBER(38,0) NOT NULL, PS_AVAILQTY NUMBER(38,0) NOT NULL, \
             PS_SUPPLYCOST NUMBER(12,2) NOT NULL, PS_COMMENT VARCHAR(199)",
            "PS_PARTKEY, PS_SUPPKEY",
        ),
        TpchTable::Customer => (
            "C_CUSTKEY NUMBER(38,0) NOT NULL, C_NAME VARCHAR(25) NOT NULL, C_ADDRESS VARCHAR(40) NOT NULL, \
             C_NATIONKEY NUMBER(38,0) NOT NULL, C_PHONE VARCHAR(15) NOT NULL, C_ACCTBAL NUMBER(12,2) NOT NULL, \
             C_MKTSEGMENT VARCHAR(10), C_COMMENT VARCHAR(117)",
            "C_CUSTKEY",
        ),
        TpchTable::Orders => (
            "O_ORDERKEY NUMBER(38,0) NOT NULL, O_CUSTKEY NUMBER(38,0) NOT NULL, O_ORDERSTATUS VARCHAR(1) NOT NULL, \
             O_TOTALPRICE NUMBER(12,2) NOT NULL, O_ORDERDATE DATE NOT NULL, O_ORDERPRIORITY VARCHAR(15) NOT NULL, \
             O_CLERK VARCHAR(15) NOT NULL, O_SHIPPRIORITY NUMBER(38,0) NOT NULL, O_COMMENT VARCHAR(79) NOT NULL",
            "O_ORDERKEY",
        ),
        TpchTable::Lineitem => (
            "L_ORDERKEY NUMBER(38,0) NOT NULL, L_PARTKEY NUMBER(38,0) NOT NULL, L_SUPPKEY NUMBER(38,0) NOT NULL, \
             L_LINENUMBER NUMBER(38,0) NOT NULL, L_QUANTITY NUMBER(12,2) NOT NULL, \
             L_EXTENDEDPRICE NUMBER(12,2) NOT NULL, L_DISCOUNT NUMBER(12,2) NOT NULL, L_TAX NUMBER(12,2) NOT NULL, \
             L_RETURNFLAG VARCHAR(1) NOT NULL, L_LINESTATUS VARCHAR(1) NOT NULL, L_SHIPDATE DATE NOT NULL, \
             L_COMMITDATE DATE NOT NULL, L_RECEIPTDATE DATE NOT NULL, L_SHIPINSTRUCT VARCHAR(25) NOT NULL, \
             L_SHIPMODE VARCHAR(10) NOT NULL, L_COMMENT VARCHAR(44) NOT NULL",
            "L_ORDERKEY, L_LINENUMBER",
        ),
    };
    format!("create table {name} ({columns}, UPDATED_AT TIMESTAMP_NTZ(9) NOT NULL, primary key ({key}))")
}

/// Calls `each` with every row of the table at `scale`, in key order, until it answers `false`.
pub(crate) fn generate(table: TpchTable, scale: f64, each: impl FnMut(&mut RowText) -> bool) {
    match table {
        TpchTable::Region => run(RegionGenerator::new(scale, 1, 1).iter(), each, |out, row| {
            out.cell(row.r_regionkey).cell(row.r_name).cell(row.r_comment).updated_at(key(row.r_regionkey));
        }),
        TpchTable::Nation => run(NationGenerator::new(scale, 1, 1).iter(), each, |out, row| {
            out.cell(row.n_nationkey).cell(row.n_name).cell(row.n_regionkey).cell(row.n_comment);
            out.updated_at(key(row.n_nationkey));
        }),
        TpchTable::Part => run(PartGenerator::new(scale, 1, 1).iter(), each, |out, row| {
            out.cell(row.p_partkey).cell(&row.p_name).cell(row.p_mfgr).cell(row.p_brand).cell(row.p_type);
            out.cell(row.p_size).cell(row.p_container).cell(row.p_retailprice).cell(row.p_comment);
            out.updated_at(key(row.p_partkey));
        }),
        TpchTable::Supplier => run(SupplierGenerator::new(scale, 1, 1).iter(), each, |out, row| {
            out.cell(row.s_suppkey).cell(row.s_name).cell(&row.s_address).cell(row.s_nationkey);
            out.cell(&row.s_phone).cell(row.s_acctbal).cell(&row.s_comment).updated_at(key(row.s_suppkey));
        }),
        TpchTable::Partsupp => run(PartSuppGenerator::new(scale, 1, 1).iter(), each, |out, row| {
            out.cell(row.ps_partkey).cell(row.ps_suppkey).cell(row.ps_availqty).cell(row.ps_supplycost);
            out.cell(row.ps_comment).updated_at(key(row.ps_partkey) << 24 | key(row.ps_suppkey));
        }),
        TpchTable::Customer => run(CustomerGenerator::new(scale, 1, 1).iter(), each, |out, row| {
            out.cell(row.c_custkey).cell(row.c_name).cell(&row.c_address).cell(row.c_nationkey);
            out.cell(&row.c_phone).cell(row.c_acctbal).cell(row.c_mktsegment).cell(row.c_comment);
            out.updated_at(key(row.c_custkey));
        }),
        TpchTable::Orders => run(OrderGenerator::new(scale, 1, 1).iter(), each, |out, row| {
            out.cell(row.o_orderkey).cell(row.o_custkey).cell(row.o_orderstatus).cell(row.o_totalprice);
            out.cell(row.o_orderdate.to_unix_epoch()).cell(row.o_orderpriority).cell(row.o_clerk);
            out.cell(row.o_shippriority).cell(row.o_comment).updated_at(key(row.o_orderkey));
        }),
        TpchTable::Lineitem => run(LineItemGenerator::new(scale, 1, 1).iter(), each, |out, row| {
            out.cell(row.l_orderkey).cell(row.l_partkey).cell(row.l_suppkey).cell(row.l_linenumber);
            out.cell(row.l_quantity).cell(row.l_extendedprice).cell(row.l_discount).cell(row.l_tax);
            out.cell(row.l_returnflag).cell(row.l_linestatus).cell(row.l_shipdate.to_unix_epoch());
            out.cell(row.l_commitdate.to_unix_epoch()).cell(row.l_receiptdate.to_unix_epoch());
            out.cell(row.l_shipinstruct).cell(row.l_shipmode).cell(row.l_comment);
            out.updated_at(key(row.l_orderkey) << 3 | key(i64::from(row.l_linenumber)));
        }),
    }
}

fn run<Row>(
    rows: impl Iterator<Item = Row>,
    mut each: impl FnMut(&mut RowText) -> bool,
    write: impl Fn(&mut RowText, Row),
) {
    let mut text = RowText::default();
    for row in rows {
        write(text.clear(), row);
        if !each(&mut text) {
            return;
        }
    }
}

fn key(value: i64) -> u64 {
    value.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_table_has_as_many_cells_as_columns() {
        for table in TpchTable::value_variants() {
            // Columns are separated by ", " followed by a name; types hold commas without a space.
            let columns = ddl(*table, "t").split(", primary key").next().unwrap().split(", ").count();
            let mut rows = 0;
            generate(*table, 0.001, |row| {
                assert_eq!(
                    row.cells().filter(|cell| cell.is_some_and(|text| !text.is_empty())).count(),
                    columns
                );
                rows += 1;
                rows < 10
            });
            assert!(rows > 4, "{table:?}");
        }
    }

    #[test]
    fn updated_at_depends_on_the_row_alone_and_lies_in_the_past() {
        let all = || {
            let mut values = Vec::new();
            generate(TpchTable::Orders, 0.001, |row| {
                values.push(row.cells().last().flatten().unwrap().to_owned());
                true
            });
            values
        };
        let values = all();
        assert_eq!(values, all());
        assert_eq!(values.len(), 1500);
        for value in values {
            let seconds: u64 = value.split('.').next().unwrap().parse().unwrap();
            assert!((UPDATED_FROM_SECONDS..UPDATED_FROM_SECONDS + UPDATED_SPAN_SECONDS).contains(&seconds));
        }
    }
}
