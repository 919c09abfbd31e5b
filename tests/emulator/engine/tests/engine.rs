//! The engine on a real PostgreSQL: encodings, Time Travel, order, refusals.

mod support;

use emulator_engine::{Binding, StatementKind};
use support::{Account, HOUR, NOW};

#[tokio::test]
async fn every_type_is_encoded_as_the_sql_api_documents_it() {
    let account = Account::create().await;
    let cases = [
        ("1.50::NUMBER(10,3)", "\"1.500\""),
        ("-12345678901234567890123456789012345678", "\"-12345678901234567890123456789012345678\""),
        ("0.5::FLOAT", "\"0.5\""),
        ("'NaN'::FLOAT", "\"NaN\""),
        ("'-inf'::FLOAT", "\"-inf\""),
        ("TRUE", "\"true\""),
        ("'it''s \\\\ \\n\\u0041'", "\"it's \\\\ \\nA\""),
        ("X'0aFF'", "\"0AFF\""),
        ("'2019-12-25'::DATE", "\"18255\""),
        ("'0000-01-01'::DATE", "\"-719528\""),
        ("'-0001-12-31'::DATE", "\"-719529\""),
        ("'23:01:59'::TIME", "\"82919.000000000\""),
        ("'1969-12-31 23:59:59.1234567'::TIMESTAMP_NTZ", "\"-0.876543300\""),
        ("'2021-01-28 22:09:37.123456789'::TIMESTAMP_NTZ", "\"1611871777.123456789\""),
        ("'2021-03-19 10:06:59 -0800'::TIMESTAMP_TZ", "\"1616177219.000000000 960\""),
        ("'2021-03-19 10:06:59 -0800'::TIMESTAMP_LTZ", "\"1616177219.000000000\""),
        ("NULL", "null"),
        ("NULL::NUMBER", "null"),
        ("''", "\"\""),
        ("ARRAY_CONSTRUCT(1, NULL)", "\"[\\n  1,\\n  undefined\\n]\""),
        ("TO_JSON(PARSE_JSON('{\"a\": [1, 2]}'))", "\"{\\\"a\\\":[1,2]}\""),
    ];
    for (expression, expected) in cases {
        assert_eq!(
            account.row(&format!("SELECT {expression}")).await,
            format!("[{expected}]"),
            "{expression}"
        );
    }
    account.drop().await;
}

#[tokio::test]
async fn expressions_have_snowflakes_meaning() {
    let account = Account::create().await;
    let cases = [
        ("7 / 2", "\"3.500000\""),
        ("1 / 3", "\"0.333333\""),
        ("FLOOR(12499 / 6250)", "\"1\""),
        ("IFF(1 = 2, 'a', NULL)", "null"),
        ("NVL(NULL, 3)", "\"3\""),
        ("'a\\\\b' LIKE 'a\\\\b'", "\"true\""),
        ("'a_b' LIKE 'a^_b' ESCAPE '^'", "\"true\""),
        ("'aXb' LIKE 'a^_b' ESCAPE '^'", "\"false\""),
        ("'ABC' ILIKE 'a%'", "\"true\""),
        ("MOD(-7, 3)", "\"-1\""),
        ("7 % 4", "\"3\""),
        ("TRY_TO_NUMBER('12x')", "null"),
        ("TRY_TO_NUMBER('12.6')", "\"13\""),
        ("TRY_CAST('x' AS DATE)", "null"),
        ("EQUAL_NULL(NULL, NULL)", "\"true\""),
        ("NULL IS DISTINCT FROM 1", "\"true\""),
        ("DATEADD(day, -1, '2024-03-01'::DATE)", "\"19782\""),
        ("DATEADD(month, 1, '2024-01-31'::DATE)", "\"19782\""),
        ("DATEDIFF(day, '2024-01-01'::DATE, '2024-03-01'::DATE)", "\"60\""),
        ("DATE_TRUNC('month', '2024-03-15 10:00:00'::TIMESTAMP_NTZ)", "\"1709251200.000000000\""),
        ("'2024-01-10 00:00:00.123456789'::TIMESTAMP_NTZ::VARCHAR", "\"2024-01-10 00:00:00.123\""),
        (
            "TO_CHAR('2024-01-10 00:00:00.123456789'::TIMESTAMP_NTZ, 'YYYY-MM-DD HH24:MI:SS.FF9')",
            "\"2024-01-10 00:00:00.123456789\"",
        ),
        ("'2024-01-10 23:30:00 -0500'::TIMESTAMP_TZ::DATE", "\"19732\""),
        ("'2024-01-10'::DATE::VARCHAR", "\"2024-01-10\""),
        ("'2024-01-10 23:59:59.999999999'::TIMESTAMP_NTZ::DATE", "\"19732\""),
        ("'1969-12-31 23:59:59.999999999'::TIMESTAMP_NTZ::DATE", "\"-1\""),
        ("'2024-01-10 23:59:59.999999999'::DATE", "\"19732\""),
        ("'2024-01-10 23:59:59.999999999'::TIMESTAMP_NTZ::TIME", "\"86399.999999999\""),
        (
            "TO_CHAR('2024-01-10 23:59:59.999999999'::TIMESTAMP_NTZ, 'YYYY-MM-DD HH24:MI:SS.FF9')",
            "\"2024-01-10 23:59:59.999999999\"",
        ),
        ("DATE_TRUNC('day', '2024-01-10 23:59:59.999999999'::TIMESTAMP_NTZ)", "\"1704844800.000000000\""),
        ("DATE_TRUNC('hour', '2024-01-10 23:59:59.999999999'::TIMESTAMP_NTZ)", "\"1704927600.000000000\""),
        ("'2024-01-10' = '2024-01-10 00:00:00'::TIMESTAMP_NTZ", "\"true\""),
        ("CURRENT_TIMESTAMP()::VARCHAR", "\"2026-11-23 09:00:00.000 +0000\""),
        ("CURRENT_USER()", "\"LOADER\""),
        ("UPPER('straße')", "\"STRASSE\""),
        ("SUBSTR('hello', -3, 2)", "\"ll\""),
        ("'5' = 5", "\"true\""),
        ("1 IN (2, NULL)", "null"),
        ("5 BETWEEN 1 AND 5", "\"true\""),
        ("CASE 3 WHEN 3 THEN 'x' ELSE 'y' END", "\"x\""),
        ("PARSE_JSON('{\"a\":{\"b\":\"c\"}}'):a.b::VARCHAR", "\"c\""),
    ];
    for (expression, expected) in cases {
        assert_eq!(
            account.row(&format!("SELECT {expression}")).await,
            format!("[{expected}]"),
            "{expression}"
        );
    }
    account.drop().await;
}

#[tokio::test]
async fn bound_values_arrive_in_their_types() {
    let account = Account::create().await;
    let mut request = Account::request("SELECT ?, ?, ?, ?");
    let values =
        [("FIXED", "-5"), ("TEXT", "it's"), ("DATE", "1549391127000"), ("TIMESTAMP_NTZ", "-876543300")];
    for (number, (kind, value)) in (1..).zip(values) {
        request.bindings.insert(number, Binding { kind: kind.to_owned(), value: Some(value.to_owned()) });
    }
    assert_eq!(account.rows_of(request).await, [r#"["-5","it's","17932","-0.876543300"]"#]);
    account.drop().await;
}

#[tokio::test]
async fn the_planners_histogram_is_right() {
    let account = Account::create().await;
    account.run("CREATE TABLE \"my T\" (ID INT, \"K\" VARCHAR, \"W m\" TIMESTAMP_NTZ)", NOW - 5 * HOUR).await;
    let mut bulk = account.engine.bulk_insert("DB", "SC", "my T", NOW - 4 * HOUR).await.unwrap();
    for id in 0..1000 {
        let id = id.to_string();
        bulk.push(&[Some(&id).filter(|id| *id != "7").map(String::as_str), None, Some("1700000000.5")])
            .await
            .unwrap();
    }
    assert_eq!(bulk.finish().await.unwrap(), 1000);
    let sql = "SELECT CASE WHEN c IS NULL THEN -1 ELSE FLOOR(before / 250) END AS bucket, MIN(c), MAX(c), SUM(n), \
               MAX(before) - MIN(before), SUM(k) FROM (SELECT c, n, k, SUM(n) OVER (ORDER BY c NULLS FIRST ROWS BETWEEN \
               UNBOUNDED PRECEDING AND CURRENT ROW) - n AS before FROM (SELECT \"ID\" AS c, COUNT(*) AS n, \
               COUNT_IF(\"K\" IS NULL) AS k FROM \"DB\".\"SC\".\"my T\" AT(TIMESTAMP => '2026-11-23 08:30:00.123 \
               +0000'::TIMESTAMP_TZ) WHERE (\nID >= 0 OR ID IS NULL -- all\n) AND (\"W m\" >= \
               '2023-11-14 22:13:20.5'::TIMESTAMP_NTZ OR \"W m\" IS NULL) GROUP BY \"ID\")) GROUP BY 1 ORDER BY 1";
    let expected = [
        r#"["-1",null,null,"1","0","1"]"#,
        r#"["0","0","249","249","248","249"]"#,
        r#"["1","250","499","250","249","250"]"#,
        r#"["2","500","749","250","249","250"]"#,
        r#"["3","750","999","250","249","250"]"#,
    ];
    assert_eq!(account.rows(sql).await, expected);
    account.drop().await;
}

#[tokio::test]
async fn time_travel_reads_what_was_there() {
    let account = Account::create().await;
    account.run("CREATE TABLE T (ID INT NOT NULL PRIMARY KEY, V VARCHAR DEFAULT 'x')", NOW - 5 * HOUR).await;
    account.run("INSERT INTO T (ID) VALUES (1), (2), (2)", NOW - 4 * HOUR).await;
    account.run("UPDATE T SET V = V || 'y' WHERE ID = 2", NOW - 3 * HOUR).await;
    account.run("DELETE FROM T WHERE ID = 1", NOW - 2 * HOUR).await;
    account.run("TRUNCATE TABLE T", NOW - HOUR).await;
    let at = |hours: u32| format!("SELECT ID, V FROM T AT(OFFSET => -{hours} * 3600) ORDER BY ID");
    assert_eq!(account.rows(&at(4)).await, [r#"["1","x"]"#, r#"["2","x"]"#, r#"["2","x"]"#]);
    assert_eq!(account.rows(&at(3)).await, [r#"["1","x"]"#, r#"["2","xy"]"#, r#"["2","xy"]"#]);
    assert_eq!(account.rows(&at(2)).await, [r#"["2","xy"]"#, r#"["2","xy"]"#]);
    assert!(account.rows(&at(1)).await.is_empty());
    let by_time = "SELECT COUNT(*) FROM T AT(TIMESTAMP => '2026-11-23 05:00:00 +0000'::TIMESTAMP_TZ)";
    assert_eq!(account.row(by_time).await, r#"["3"]"#);
    account.run("CREATE VIEW W AS SELECT ID AS \"i d\" FROM T", NOW).await;
    assert_eq!(
        account.rows("SELECT \"i d\" FROM W AT(OFFSET => -10800) ORDER BY 1").await,
        [r#"["1"]"#, r#"["2"]"#, r#"["2"]"#]
    );
    assert_eq!(account.error(&at(6)).await.code, "000707");
    let mut late = Account::request("SELECT COUNT(*) FROM T");
    late.visible_until = NOW - 2 * HOUR - 1;
    assert_eq!(account.rows_of(late).await, [r#"["3"]"#]);
    account.engine.replace_table("DB", "SC", "T", NOW - 1).await.unwrap();
    let replaced = account.error(&at(3)).await;
    assert_eq!((replaced.code.as_str(), replaced.sql_state.as_str()), ("000707", "02000"));
    account.drop().await;
}

#[tokio::test]
async fn a_table_without_retention_has_no_time_travel() {
    let account = Account::create().await;
    account.run("CREATE TABLE T (A INT) DATA_RETENTION_TIME_IN_DAYS = 0", NOW - 5 * HOUR).await;
    assert_eq!(account.error("SELECT A FROM T AT(OFFSET => -60)").await.code, "000707");
    account.drop().await;
}

#[tokio::test]
async fn the_order_is_the_seeds_where_the_statement_leaves_it_open() {
    let account = Account::create().await;
    account.run("CREATE TABLE T (G INT, ID INT)", NOW - 5 * HOUR).await;
    let mut bulk = account.engine.bulk_insert("DB", "SC", "T", NOW - 4 * HOUR).await.unwrap();
    for id in 0..100 {
        bulk.push(&[Some(&(id % 3).to_string()), Some(&id.to_string())]).await.unwrap();
    }
    bulk.finish().await.unwrap();
    for sql in
        ["SELECT ID FROM T", "SELECT ID FROM T ORDER BY G", "SELECT ID FROM T ORDER BY G LIMIT 20 OFFSET 5"]
    {
        let with = |seed| {
            let mut request = Account::request(sql);
            request.order_seed = Some(seed);
            request
        };
        let (one, again, other) =
            (account.rows_of(with(1)).await, account.rows_of(with(1)).await, account.rows_of(with(2)).await);
        assert_eq!(one, again, "{sql}");
        assert_ne!(one, other, "{sql}");
    }
    let sorted = account.rows("SELECT G FROM T ORDER BY G DESC").await;
    assert!(sorted.is_sorted_by(|left, right| left >= right));
    account.drop().await;
}

#[tokio::test]
async fn a_large_table_is_shuffled_without_losing_a_row() {
    let account = Account::create().await;
    account.run("CREATE TABLE T (ID INT, S VARCHAR)", NOW - 5 * HOUR).await;
    let mut bulk = account.engine.bulk_insert("DB", "SC", "T", NOW - 4 * HOUR).await.unwrap();
    let padding = "x".repeat(400);
    for id in 0..60_000 {
        bulk.push(&[Some(&id.to_string()), Some(&padding)]).await.unwrap();
    }
    bulk.finish().await.unwrap();
    let sql = "SELECT ID FROM T AT(OFFSET => -60) WHERE ID >= 100";
    let with = |seed| {
        let mut request = Account::request(sql);
        request.order_seed = Some(seed);
        request
    };
    let (mut one, other) = (account.rows_of(with(1)).await, account.rows_of(with(2)).await);
    assert_ne!(one, other);
    one.sort();
    one.dedup();
    assert_eq!(one.len(), 59_900);
    let output = account.execute(sql).await.unwrap();
    assert_eq!(output.tables, ["DB.SC.T"]);
    // Dropped with rows still to come: the connection is not poisoned for the next.
    drop(output);
    assert_eq!(account.row("SELECT COUNT(*) FROM T").await, r#"["60000"]"#);
    account.drop().await;
}

#[tokio::test]
async fn nul_and_the_other_oddities_survive_a_load() {
    let account = Account::create().await;
    let ddl =
        "CREATE TABLE T (S VARCHAR, TZ TIMESTAMP_TZ, B BINARY, D DATE, V VARIANT, N NUMBER(38,37), F DOUBLE)";
    account.run(ddl, NOW - 5 * HOUR).await;
    let mut bulk = account.engine.bulk_insert("DB", "SC", "T", NOW - 4 * HOUR).await.unwrap();
    let cells = ["a\0\t\\\u{1}", "-0.876543300 2160", "00FF", "-800000", "[ 1, undefined ]", "-0.5", "inf"];
    bulk.push(&cells.map(Some)).await.unwrap();
    bulk.push(&[None; 7]).await.unwrap();
    bulk.finish().await.unwrap();
    let expected = r#"["a\u0000\t\\\u0001","-0.876543300 2160","00FF","-800000","[\n  1,\n  undefined\n]","-0.5000000000000000000000000000000000000","inf"]"#;
    assert_eq!(
        account.rows("SELECT * FROM T ORDER BY S").await,
        [expected, "[null,null,null,null,null,null,null]"]
    );
    assert_eq!(
        account.row("SELECT LENGTH(S), MAX(TZ) FROM T WHERE S = 'a\\0\\t\\\\\\u0001' GROUP BY S").await,
        r#"["5","-0.876543300 2160"]"#
    );
    account.drop().await;
}

#[tokio::test]
async fn a_result_describes_its_columns() {
    let account = Account::create().await;
    account
        .run("CREATE TABLE T (A NUMBER(10,2) NOT NULL, \"b c\" VARCHAR(5), TS TIMESTAMP_LTZ(3))", NOW - HOUR)
        .await;
    let output = account
        .execute("SELECT *, COUNT(*) OVER (PARTITION BY A ORDER BY A) n, A * 2 FROM T LIMIT 0")
        .await
        .unwrap();
    let described: Vec<_> = output
        .columns
        .iter()
        .map(|column| {
            (column.name.as_str(), column.type_name(), column.precision(), column.scale(), column.nullable)
        })
        .collect();
    let expected = [
        ("A", "fixed", Some(10), Some(2), false),
        ("b c", "text", None, None, true),
        ("TS", "timestamp_ltz", Some(0), Some(3), true),
        ("N", "fixed", Some(18), Some(0), false),
        ("A * 2", "fixed", Some(11), Some(2), false),
    ];
    assert_eq!(described, expected);
    assert_eq!(output.columns[0].table, "T");
    account.drop().await;
}

#[tokio::test]
async fn metadata_statements_answer_as_snowflake_does() {
    let account = Account::create().await;
    account.run("CREATE TABLE T (A INT PRIMARY KEY, B VARCHAR(3))", NOW - HOUR).await;
    let shown = account.row("SHOW TABLES LIKE 't' IN SCHEMA \"DB\".\"SC\"").await;
    assert!(shown.contains(r#""T","DB","SC","TABLE""#), "{shown}");
    let key = account.row("SHOW PRIMARY KEYS IN TABLE \"DB\".\"SC\".\"T\"").await;
    assert!(key.contains(r#""T","A","1""#), "{key}");
    let described = account.rows("DESC TABLE T").await;
    assert!(described[0].starts_with(r#"["A","NUMBER(38,0)","COLUMN","N",null,"Y""#), "{described:?}");
    let columns = account.rows("SHOW COLUMNS IN TABLE T").await;
    assert!(columns[1].contains(r#"\"type\":\"TEXT\""#), "{columns:?}");
    let zone = account.row("SHOW PARAMETERS LIKE 'TIMEZONE'").await;
    assert!(zone.starts_with(r#"["TIMEZONE","UTC","America/Los_Angeles""#), "{zone}");
    let account_zone = account.row("SHOW PARAMETERS LIKE 'TIMEZONE' IN ACCOUNT").await;
    assert!(account_zone.starts_with(r#"["TIMEZONE","America/Los_Angeles","America"#), "{account_zone}");
    let sql = "SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, IS_NULLABLE FROM DB.INFORMATION_SCHEMA.COLUMNS \
               WHERE TABLE_NAME = 'T' ORDER BY ORDINAL_POSITION";
    assert_eq!(account.rows(sql).await, [r#"["A","NUMBER","38","NO"]"#, r#"["B","TEXT",null,"YES"]"#]);
    let sql = "SELECT TABLE_NAME, ROW_COUNT FROM DB.INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'SC'";
    assert_eq!(account.row(sql).await, r#"["T","0"]"#);
    account.drop().await;
}

#[tokio::test]
async fn queries_of_several_parts_work() {
    let account = Account::create().await;
    account.run("CREATE TABLE T (G INT, N NUMBER(10,2))", NOW - HOUR).await;
    account.run("INSERT INTO T VALUES (1, 1.5), (1, 2.5), (2, NULL), (NULL, 4)", NOW - HOUR).await;
    let cases = [
        (
            "WITH x AS (SELECT G g, SUM(N) s FROM T GROUP BY G) SELECT g, s FROM x WHERE s > 3 ORDER BY g",
            vec![r#"["1","4.00"]"#, r#"[null,"4.00"]"#],
        ),
        ("SELECT G FROM T UNION ALL SELECT 9 ORDER BY 1 DESC LIMIT 2", vec!["[null]", r#"["9"]"#]),
        ("SELECT DISTINCT G FROM T ORDER BY G NULLS FIRST", vec!["[null]", r#"["1"]"#, r#"["2"]"#]),
        ("SELECT G, COUNT(N) c FROM T GROUP BY ALL HAVING c > 1", vec![r#"["1","2"]"#]),
        (
            "SELECT N FROM T QUALIFY ROW_NUMBER() OVER (PARTITION BY G ORDER BY N DESC NULLS LAST) = 1 ORDER BY N",
            vec![r#"["2.50"]"#, r#"["4.00"]"#, "[null]"],
        ),
        ("SELECT a.N FROM T a JOIN T b ON a.G = b.G AND a.N > b.N", vec![r#"["2.50"]"#]),
        ("SELECT AVG(N), MIN(N)::VARCHAR FROM T", vec![r#"["2.66666667","1.50"]"#]),
        ("SELECT COUNT(*) FROM T WHERE G IN (SELECT G FROM T WHERE N > 2)", vec![r#"["2"]"#]),
    ];
    for (sql, expected) in cases {
        assert_eq!(account.rows(sql).await, expected, "{sql}");
    }
    account.drop().await;
}

#[tokio::test]
async fn dml_counts_its_rows() {
    let account = Account::create().await;
    account.run("CREATE TABLE T (A INT)", NOW - HOUR).await;
    let output = account.execute("INSERT INTO T SELECT 1 UNION ALL SELECT 2").await.unwrap();
    assert_eq!(output.kind, StatementKind::Dml { inserted: 2, updated: 0, deleted: 0 });
    assert_eq!(account.row("UPDATE T SET A = 5 WHERE A = 1").await, r#"["1","0"]"#);
    account.run("ALTER TABLE T ADD COLUMN B VARCHAR", NOW).await;
    assert_eq!(account.rows("SELECT * FROM T ORDER BY A").await, [r#"["2",null]"#, r#"["5",null]"#]);
    account.run("ALTER TABLE T DROP COLUMN A", NOW).await;
    assert_eq!(account.error("SELECT A FROM T").await.code, "000904");
    account.drop().await;
}

#[tokio::test]
async fn what_cannot_be_done_is_an_error_and_never_a_guess() {
    let account = Account::create().await;
    account.run("CREATE TABLE T (A INT, S VARCHAR, D DATE, N INT NOT NULL)", NOW - HOUR).await;
    account.run("INSERT INTO T VALUES (1, 'abc', '2024-01-01', 0)", NOW - HOUR).await;
    account.engine.deny("READER", "DB", "SC", "HIDDEN").await.unwrap();
    account.run("CREATE TABLE HIDDEN (A INT)", NOW - HOUR).await;
    let cases = [
        ("SELEC 1", "001003"),
        ("SELECT 1; SELECT 2", "000008"),
        ("SELECT X FROM T", "000904"),
        ("SELECT A FROM NOWHERE", "002003"),
        ("SELECT A FROM NODB.SC.T", "002003"),
        ("SELECT A FROM HIDDEN", "002003"),
        ("SELECT S::NUMBER FROM T", "100038"),
        ("SELECT S::DATE FROM T", "100040"),
        ("SELECT S::TIMESTAMP FROM T", "100035"),
        ("SELECT A / 0 FROM T", "100051"),
        ("SELECT NO_SUCH_FUNCTION(A) FROM T", "002140"),
        ("SELECT HASH(A) FROM T", "002140"),
        ("SELECT A + D > TRUE FROM T", "001044"),
        ("SELECT A, COUNT(*) FROM T", "000979"),
        ("SELECT A FROM T SAMPLE (10)", "000002"),
        ("SELECT A FROM T BEFORE(STATEMENT => 'x')", "000002"),
        ("SELECT * FROM T ORDER BY 9", "002042"),
        ("SELECT A FROM T AT(TIMESTAMP => '2030-01-01'::TIMESTAMP_TZ)", "000707"),
        ("MERGE INTO T USING T s ON T.A = s.A WHEN MATCHED THEN DELETE", "000002"),
        ("INSERT INTO T VALUES (1)", "002020"),
        ("INSERT INTO T VALUES (1, 'x', '2024-01-01', NULL)", "100072"),
        ("CREATE TABLE T (A INT)", "002002"),
        ("DROP TABLE NOWHERE", "002003"),
        ("SELECT 12345::NUMBER(3,0)", "100046"),
        ("SELECT 'toolong'::VARCHAR(3)::NUMBER", "100078"),
        ("USE ROLE X", "000002"),
    ];
    for (sql, code) in cases {
        let error = account.error(sql).await;
        assert_eq!(error.code, code, "{sql}: {error}");
    }
    account.drop().await;
}
