//! SHOW and DESCRIBE: the catalogue as rows, with Snowflake's lower-case column names.

use sqlparser::ast::{
    ObjectName, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions, Statement,
};

use crate::bind::{Binder, DEFAULT_ZONE, Session};
use crate::catalog::{Catalog, TableEntry};
use crate::dispatch::answer;
use crate::engine::Engine;
use crate::error::SqlError;
use crate::names;
use crate::request::{QueryOutput, StatementKind};
use crate::sql_type::SqlType;
use crate::time_travel;

type Rows = Vec<Vec<Option<String>>>;

/// Answers the statement if it is one of these.
pub(crate) async fn answer_for(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    statement: &Statement,
) -> Result<Option<QueryOutput>, SqlError> {
    Ok(Some(match statement {
        Statement::ExplainTable { table_name, .. } => describe(catalog, session, table_name)?,
        Statement::ShowTables { show_options, .. } => tables(engine, catalog, session, show_options).await?,
        Statement::ShowObjects(objects) => tables(engine, catalog, session, &objects.show_options).await?,
        Statement::ShowViews { materialized: false, show_options, .. } => {
            views(catalog, session, show_options)?
        }
        Statement::ShowColumns { show_options, .. } => columns(catalog, session, show_options)?,
        Statement::ShowSchemas { .. } => {
            let database = session.request.database.clone().unwrap_or_default();
            let rows = catalog
                .schema_names(&database)
                .into_iter()
                .map(|name| vec![Some(name), Some(database.clone())]);
            text_answer(&["name", "database_name"], rows.collect())
        }
        Statement::ShowDatabases { show_options, .. } => databases(catalog, show_options)?,
        _ => return Ok(None),
    }))
}

/// SHOW PRIMARY KEYS and SHOW PARAMETERS, which the parser only knows as words.
pub(crate) fn by_words(
    catalog: &Catalog,
    session: &Session<'_>,
    words: &crate::parse::ShowWords,
) -> Result<QueryOutput, SqlError> {
    use crate::parse::ShowWords;
    match words {
        ShowWords::PrimaryKeys(name) => primary_keys(catalog, session, name),
        ShowWords::Parameters { pattern, of_session } => {
            let timezone = if *of_session { session.timezone } else { DEFAULT_ZONE };
            Ok(parameters(timezone, pattern.as_deref()))
        }
    }
}

fn describe(catalog: &Catalog, session: &Session<'_>, name: &ObjectName) -> Result<QueryOutput, SqlError> {
    let table = Binder::new(catalog, session).readable(&names::table(name, session.request)?)?;
    let yes_no = |is: bool| Some(if is { "Y" } else { "N" }.to_owned());
    let rows = table.columns.iter().map(|column| {
        vec![
            Some(column.name.clone()),
            Some(column.sql_type.to_string()),
            Some("COLUMN".to_owned()),
            yes_no(column.nullable),
            column.default_sql.clone(),
            yes_no(column.key_position.is_some()),
            yes_no(false),
            None,
            None,
            Some(column.comment.clone()).filter(|text| !text.is_empty()),
            None,
        ]
    });
    let names = [
        "name",
        "type",
        "kind",
        "null?",
        "default",
        "primary key",
        "unique key",
        "check",
        "expression",
        "comment",
        "policy name",
    ];
    Ok(text_answer(&names, rows.collect()))
}

async fn tables(
    engine: &Engine,
    catalog: &Catalog,
    session: &Session<'_>,
    options: &ShowStatementOptions,
) -> Result<QueryOutput, SqlError> {
    let (database, schema) = place(catalog, session, options)?;
    let pattern = like_pattern(options)?;
    let role = session.request.role.as_deref();
    let number = SqlType::number(38, 0);
    let moment = SqlType::TimestampLtz { scale: 3 };
    let described = [
        ("created_on", moment),
        ("name", SqlType::TEXT),
        ("database_name", SqlType::TEXT),
        ("schema_name", SqlType::TEXT),
        ("kind", SqlType::TEXT),
        ("comment", SqlType::TEXT),
        ("cluster_by", SqlType::TEXT),
        ("rows", number),
        ("bytes", number),
        ("owner", SqlType::TEXT),
        ("retention_time", SqlType::TEXT),
        ("is_external", SqlType::TEXT),
        ("is_dynamic", SqlType::TEXT),
        ("is_hybrid", SqlType::TEXT),
    ];
    let mut rows: Rows = Vec::new();
    for table in catalog.tables.values() {
        let is_here = table.name.database == database
            && schema.as_ref().is_none_or(|schema| *schema == table.name.schema)
            && table.view_sql.is_none()
            && !catalog.is_denied(&table.name, role)
            && pattern.as_ref().is_none_or(|pattern| matches_like(&table.name.name, pattern));
        if is_here {
            rows.push(table_row(engine, session, table).await?);
        }
    }
    Ok(answer(StatementKind::Query, &described, rows))
}

async fn table_row(
    engine: &Engine,
    session: &Session<'_>,
    table: &TableEntry,
) -> Result<Vec<Option<String>>, SqlError> {
    let physical = table.physical();
    let visible = time_travel::visible("h", session.visible_until);
    let sql = format!("select count(*), pg_relation_size('{physical}') from {physical} h where {visible}");
    let row = engine.client().await?.query_one(&sql, &[]).await?;
    let (count, bytes): (i64, i64) = (row.get(0), row.get(1));
    let no = || Some("N".to_owned());
    Ok(vec![
        Some(wire_time(table.created_at)),
        Some(table.name.name.clone()),
        Some(table.name.database.clone()),
        Some(table.name.schema.clone()),
        Some(if table.transient { "TRANSIENT" } else { "TABLE" }.to_owned()),
        Some(table.comment.clone()),
        Some(String::new()),
        Some(count.to_string()),
        Some(bytes.to_string()),
        Some("ACCOUNTADMIN".to_owned()),
        Some(table.retention_days.to_string()),
        no(),
        no(),
        no(),
    ])
}

fn views(
    catalog: &Catalog,
    session: &Session<'_>,
    options: &ShowStatementOptions,
) -> Result<QueryOutput, SqlError> {
    let (database, schema) = place(catalog, session, options)?;
    let pattern = like_pattern(options)?;
    let role = session.request.role.as_deref();
    let views = catalog.tables.values().filter(|view| {
        view.view_sql.is_some()
            && view.name.database == database
            && schema.as_ref().is_none_or(|schema| *schema == view.name.schema)
            && !catalog.is_denied(&view.name, role)
            && pattern.as_ref().is_none_or(|pattern| matches_like(&view.name.name, pattern))
    });
    let rows = views.map(|view| {
        let texts = [
            &wire_time(view.created_at),
            &view.name.name,
            "",
            &view.name.database,
            &view.name.schema,
            "ACCOUNTADMIN",
            &view.comment,
            view.view_sql.as_deref().unwrap_or_default(),
            "false",
            "false",
        ];
        texts.map(|text| Some(text.to_owned())).to_vec()
    });
    let text = SqlType::TEXT;
    let described = [
        ("created_on", SqlType::TimestampLtz { scale: 3 }),
        ("name", text),
        ("reserved", text),
        ("database_name", text),
        ("schema_name", text),
        ("owner", text),
        ("comment", text),
        ("text", text),
        ("is_secure", text),
        ("is_materialized", text),
    ];
    Ok(answer(StatementKind::Query, &described, rows.collect()))
}

/// No database comes from a share here: `origin` is empty, `kind` is STANDARD.
fn databases(catalog: &Catalog, options: &ShowStatementOptions) -> Result<QueryOutput, SqlError> {
    let pattern = like_pattern(options)?;
    let names = catalog.databases.keys();
    let rows = names
        .filter(|name| pattern.as_ref().is_none_or(|pattern| matches_like(name, pattern)))
        .map(|name| [name.as_str(), "", "1", "STANDARD"].map(|text| Some(text.to_owned())).to_vec());
    Ok(text_answer(&["name", "origin", "retention_time", "kind"], rows.collect()))
}

/// A TIMESTAMP_LTZ(3) of the virtual clock's nanoseconds, as the wire spells it.
fn wire_time(nanoseconds: i64) -> String {
    let millis = nanoseconds.div_euclid(1_000_000);
    format!("{}.{:03}000000", millis.div_euclid(1000), millis.rem_euclid(1000))
}

fn columns(
    catalog: &Catalog,
    session: &Session<'_>,
    options: &ShowStatementOptions,
) -> Result<QueryOutput, SqlError> {
    let name = options.show_in.as_ref().and_then(|place| place.parent_name.as_ref());
    let name = name.ok_or_else(|| SqlError::unsupported("SHOW COLUMNS without IN TABLE"))?;
    let table = Binder::new(catalog, session).readable(&names::table(name, session.request)?)?;
    let pattern = like_pattern(options)?;
    let rows = table
        .columns
        .iter()
        .filter(|column| pattern.as_ref().is_none_or(|pattern| matches_like(&column.name, pattern)))
        .map(|column| {
            vec![
                Some(table.name.name.clone()),
                Some(table.name.schema.clone()),
                Some(column.name.clone()),
                Some(data_type_json(column.sql_type, column.nullable)),
                Some(if column.nullable { "true" } else { "NOT_NULL" }.to_owned()),
                Some(column.default_sql.clone().unwrap_or_default()),
                Some("COLUMN".to_owned()),
                Some(String::new()),
                Some(column.comment.clone()),
                Some(table.name.database.clone()),
                Some(String::new()),
            ]
        });
    let names = [
        "table_name",
        "schema_name",
        "column_name",
        "data_type",
        "null?",
        "default",
        "kind",
        "expression",
        "comment",
        "database_name",
        "autoincrement",
    ];
    Ok(text_answer(&names, rows.collect()))
}

fn data_type_json(sql_type: SqlType, nullable: bool) -> String {
    let name = sql_type.row_type_name().to_uppercase();
    let mut json = serde_json::json!({ "type": name });
    let mut put = |key: &str, value: Option<u64>| {
        if let Some(value) = value {
            json[key] = value.into();
        }
    };
    put("precision", sql_type.row_type_precision().map(u64::from));
    put("scale", sql_type.row_type_scale().map(u64::from));
    put("length", sql_type.row_type_length());
    put("byteLength", sql_type.row_type_byte_length());
    json["nullable"] = nullable.into();
    json.to_string()
}

fn primary_keys(
    catalog: &Catalog,
    session: &Session<'_>,
    name: &ObjectName,
) -> Result<QueryOutput, SqlError> {
    let table = Binder::new(catalog, session).readable(&names::table(name, session.request)?)?;
    let mut keys: Vec<_> =
        table.columns.iter().filter_map(|column| Some((column.key_position?, column))).collect();
    keys.sort_by_key(|(position, _)| *position);
    let rows: Rows = keys
        .into_iter()
        .map(|(position, column)| {
            vec![
                Some(wire_time(table.created_at)),
                Some(table.name.database.clone()),
                Some(table.name.schema.clone()),
                Some(table.name.name.clone()),
                Some(column.name.clone()),
                Some(position.to_string()),
                Some(format!("SYS_CONSTRAINT_{}", table.id)),
                Some("false".to_owned()),
                None,
            ]
        })
        .collect();
    let text = SqlType::TEXT;
    let described = [
        ("created_on", SqlType::TimestampLtz { scale: 3 }),
        ("database_name", text),
        ("schema_name", text),
        ("table_name", text),
        ("column_name", text),
        ("key_sequence", SqlType::number(38, 0)),
        ("constraint_name", text),
        ("rely", text),
        ("comment", text),
    ];
    Ok(answer(StatementKind::Query, &described, rows))
}

fn parameters(timezone: &str, pattern: Option<&str>) -> QueryOutput {
    let known = [
        ("TIMEZONE", timezone, DEFAULT_ZONE, "time zone"),
        ("QUOTED_IDENTIFIERS_IGNORE_CASE", "false", "false", "fold quoted identifiers"),
        ("TIMESTAMP_TYPE_MAPPING", "TIMESTAMP_NTZ", "TIMESTAMP_NTZ", "what TIMESTAMP means"),
        ("DATA_RETENTION_TIME_IN_DAYS", "1", "1", "days of Time Travel"),
    ];
    let rows = known.iter().filter(|(key, ..)| pattern.is_none_or(|pattern| matches_like(key, pattern))).map(
        |(key, value, default, description)| {
            let kind = if *value == "false" { "BOOLEAN" } else { "STRING" };
            let level = if value == default { "" } else { "SESSION" };
            [*key, *value, *default, level, *description, kind].map(|text| Some(text.to_owned())).to_vec()
        },
    );
    text_answer(&["key", "value", "default", "level", "description", "type"], rows.collect())
}

fn text_answer(names: &[&str], rows: Rows) -> QueryOutput {
    let described: Vec<(&str, SqlType)> = names.iter().map(|name| (*name, SqlType::TEXT)).collect();
    answer(StatementKind::Query, &described, rows)
}

/// IN SCHEMA, IN DATABASE, IN ACCOUNT is refused; without IN the session's schema.
fn place(
    catalog: &Catalog,
    session: &Session<'_>,
    options: &ShowStatementOptions,
) -> Result<(String, Option<String>), SqlError> {
    use sqlparser::ast::ShowStatementInParentType as Parent;
    if options.starts_with.is_some() || options.limit.is_some() || options.limit_from.is_some() {
        return Err(SqlError::unsupported("STARTS WITH or LIMIT in SHOW"));
    }
    let parent = options.show_in.as_ref();
    let (database, schema) = match parent.map(|place| (&place.parent_type, &place.parent_name)) {
        Some((Some(Parent::Database), Some(name))) => (names::parts(name)?.join("."), None),
        Some((Some(Parent::Schema) | None, Some(name))) => {
            let (database, schema) = names::schema(name, session.request)?;
            (database, Some(schema))
        }
        None => {
            let database = session.request.database.clone().unwrap_or_default();
            (database, session.request.schema.clone())
        }
        Some(_) => return Err(SqlError::unsupported("this IN of SHOW")),
    };
    if !catalog.databases.contains_key(&database) {
        return Err(SqlError::no_such_object("Database", &database));
    }
    if let Some(schema) = &schema
        && !catalog.schema_exists(&database, schema)
    {
        return Err(SqlError::no_such_object("Schema", &format!("{database}.{schema}")));
    }
    Ok((database, schema))
}

fn like_pattern(options: &ShowStatementOptions) -> Result<Option<String>, SqlError> {
    match &options.filter_position {
        None => Ok(None),
        Some(
            ShowStatementFilterPosition::Infix(
                ShowStatementFilter::Like(pattern) | ShowStatementFilter::ILike(pattern),
            )
            | ShowStatementFilterPosition::Suffix(
                ShowStatementFilter::Like(pattern) | ShowStatementFilter::ILike(pattern),
            ),
        ) => Ok(Some(pattern.clone())),
        Some(_) => Err(SqlError::unsupported("this filter of SHOW")),
    }
}

/// SHOW's LIKE: without case, `%` and `_`, a backslash takes the next letter as it is.
pub(crate) fn matches_like(text: &str, pattern: &str) -> bool {
    fn from(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|skip| from(&text[skip..], rest)),
            ['_', rest @ ..] => !text.is_empty() && from(&text[1..], rest),
            ['\\', letter, rest @ ..] | [letter, rest @ ..] => {
                text.first() == Some(letter) && from(&text[1..], rest)
            }
        }
    }
    let fold = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    from(&fold(text), &fold(pattern))
}
