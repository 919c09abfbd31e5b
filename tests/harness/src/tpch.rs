//! TPC-H tables as the emulator's loader makes them, and as a target holds them.

use serde_json::{Value, json};

/// One table: its name on both sides, its keys, and the target's DDL.
#[derive(Debug, Clone, Copy)]
pub struct TpchTable {
    /// Lower case; the target's name, and the loader's.
    pub name: &'static str,
    pub keys: &'static [&'static str],
    ddl: &'static str,
}

pub const CUSTOMER: TpchTable = TpchTable {
    name: "customer",
    keys: &["C_CUSTKEY"],
    ddl: "create table customer (
        \"C_CUSTKEY\" bigint primary key, \"C_NAME\" text not null, \"C_ADDRESS\" text not null,
        \"C_NATIONKEY\" integer not null, \"C_PHONE\" text not null, \"C_ACCTBAL\" numeric(12, 2) not null,
        \"C_MKTSEGMENT\" text, \"C_COMMENT\" text, \"UPDATED_AT\" timestamp not null)",
};

pub const ORDERS: TpchTable = TpchTable {
    name: "orders",
    keys: &["O_ORDERKEY"],
    ddl: "create table orders (
        \"O_ORDERKEY\" bigint primary key, \"O_CUSTKEY\" bigint not null, \"O_ORDERSTATUS\" text not null,
        \"O_TOTALPRICE\" numeric(12, 2) not null, \"O_ORDERDATE\" date not null, \"O_ORDERPRIORITY\" text not null,
        \"O_CLERK\" text not null, \"O_SHIPPRIORITY\" integer not null, \"O_COMMENT\" text not null,
        \"UPDATED_AT\" timestamp not null)",
};

pub const LINEITEM: TpchTable = TpchTable {
    name: "lineitem",
    keys: &["L_ORDERKEY", "L_LINENUMBER"],
    ddl: "create table lineitem (
        \"L_ORDERKEY\" bigint not null, \"L_PARTKEY\" bigint not null, \"L_SUPPKEY\" bigint not null,
        \"L_LINENUMBER\" integer not null, \"L_QUANTITY\" numeric(12, 2) not null,
        \"L_EXTENDEDPRICE\" numeric(12, 2) not null, \"L_DISCOUNT\" numeric(12, 2) not null,
        \"L_TAX\" numeric(12, 2) not null, \"L_RETURNFLAG\" text not null, \"L_LINESTATUS\" text not null,
        \"L_SHIPDATE\" date not null, \"L_COMMITDATE\" date not null, \"L_RECEIPTDATE\" date not null,
        \"L_SHIPINSTRUCT\" text not null, \"L_SHIPMODE\" text not null, \"L_COMMENT\" text not null,
        \"UPDATED_AT\" timestamp not null, primary key (\"L_ORDERKEY\", \"L_LINENUMBER\"))",
};

impl TpchTable {
    /// The source's name of the table, in database TPCH, schema SF.
    #[must_use]
    pub fn source(&self) -> String {
        format!("TPCH.SF.{}", self.name.to_uppercase())
    }

    /// `create table` of the target.
    #[must_use]
    pub fn ddl(&self) -> &'static str {
        self.ddl
    }

    /// The table's entry in a configuration: chunked by its first key, upserted on its keys, with a watermark.
    #[must_use]
    pub fn entry(&self) -> Value {
        let first: Vec<&str> = self.keys.iter().take(1).copied().collect();
        json!({
            "enabled": true, "source": self.name.to_uppercase(), "target": self.name,
            "chunking_columns": first, "chunking_column_types": ["bigint"],
            "uniqueness_columns": self.keys,
            "source_watermark": "UPDATED_AT", "target_watermark": "UPDATED_AT",
        })
    }
}
