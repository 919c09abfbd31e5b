//! `snowflake-emulator load`: TPC-H and CSV, types, keys, Time Travel back to the creation.

use serde_json::json;

use crate::support::{Served, write_file};

#[tokio::test(flavor = "multi_thread")]
async fn tpch_orders_have_snowflake_types_a_primary_key_and_a_past() {
    let served = Served::calm().await;
    served.orders(1500).await;
    let client = served.client();
    let rows = async |sql: &str| {
        client.rows(&json!({"statement": sql, "database": "SALES", "schema": "PUBLIC"})).await
    };
    assert_eq!(
        rows("select count(*), min(o_orderkey) from orders").await[0],
        [Some("1500".into()), Some("1".into())]
    );
    let first = client.submit("select * from orders where o_orderkey = 1", "").await.json();
    let types: Vec<_> = first["resultSetMetaData"]["rowType"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| format!("{}:{}", column["name"].as_str().unwrap(), column["type"].as_str().unwrap()))
        .collect();
    assert_eq!(types[0], "O_ORDERKEY:fixed");
    assert_eq!(types[4], "O_ORDERDATE:date");
    assert_eq!(types[9], "UPDATED_AT:timestamp_ntz");
    let row = &first["data"][0];
    assert_eq!((&row[1], &row[3], &row[4]), (&json!("36901"), &json!("173665.47"), &json!("9497")), "{row}");
    assert_eq!(rows("select count(*) from orders at(offset => -3600)").await[0][0].as_deref(), Some("1500"));
    let key = client.submit("show primary keys in table orders", "").await;
    assert!(key.text.contains("O_ORDERKEY"), "{}", key.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tpch_table_loads_and_a_second_time_only_with_replace() {
    let served = Served::calm().await;
    for table in ["region", "nation", "part", "supplier", "partsupp", "customer", "orders", "lineitem"] {
        let name = format!("tpch.sf.{table}");
        let arguments = ["--tpch", table, "--scale", "0.001", "--table", &name];
        let (code, error) = served.load(&arguments).await;
        assert_eq!(code, 0, "{table}: {error}");
    }
    let again = ["--tpch", "region", "--table", "tpch.sf.region"];
    assert_eq!(served.load(&again).await.0, 1);
    assert_eq!(served.load(&[again.as_slice(), &["--replace"]].concat()).await.0, 0);
    let count = served.sql(&["select count(*) from tpch.sf.lineitem"]).await;
    assert_eq!(count["rows"][0][0], "6005");
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_files_bring_every_type_nulls_and_quotes() {
    let served = Served::calm().await;
    let ddl = write_file(
        served.folder.path(),
        "t.sql",
        "create table sales.public.c (id number(38,0), name varchar, day date, at timestamp_ntz(9), \
         zoned timestamp_tz(9), yes boolean, raw binary, doc variant)",
    );
    let csv = write_file(
        served.folder.path(),
        "t.csv",
        "id,name,day,at,zoned,yes,raw,doc\n\
         1,\"a, \"\"b\"\"\",2020-01-01,1969-12-31 23:59:59.5,2021-03-19 20:06:59 -08:00,true,CAFE,\"{\"\"a\"\": 1}\"\n\
         2,,,,,,,\n3,\"\",9999-12-31,,,,,\n",
    );
    let arguments = ["--csv", &csv, "--ddl", &ddl, "--table", "sales.public.c"];
    let (code, error) = served.load(&arguments).await;
    assert_eq!(code, 0, "{error}");
    let body = json!({"statement": "select id, name, day, at, zoned, yes, raw from c order by id",
        "database": "SALES", "schema": "PUBLIC"});
    let rows = served.client().rows(&body).await;
    let text = |row: usize| rows[row].iter().map(Option::as_deref).collect::<Vec<_>>();
    assert_eq!(
        text(0),
        [
            Some("1"),
            Some("a, \"b\""),
            Some("18262"),
            Some("-0.500000000"),
            Some("1616213219.000000000 960"),
            Some("true"),
            Some("CAFE"),
        ]
    );
    assert_eq!(text(1), [Some("2"), None, None, None, None, None, None]);
    assert_eq!(text(2)[..3], [Some("3"), Some(""), Some("2932896")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csv_file_with_a_wrong_line_loads_nothing_and_names_the_line() {
    let served = Served::calm().await;
    let ddl =
        write_file(served.folder.path(), "t.sql", "create table sales.public.c (id number(38,0), day date)");
    let csv = write_file(served.folder.path(), "t.csv", "id,day\n1,2020-01-01\n2,2020-17-01\n");
    let (code, error) = served.load(&["--csv", &csv, "--ddl", &ddl, "--table", "sales.public.c"]).await;
    assert_eq!(code, 1);
    assert!(error.contains("line 3, column 2"), "{error}");
    assert_eq!(served.sql(&["select count(*) from sales.public.c"]).await["rows"][0][0], "0");
}
