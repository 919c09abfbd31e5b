//! The functions that are known, by family. A name that is missing here is `Unknown function`.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, JsonPath,
    JsonPathElem,
};

use crate::bind::cast::OnBadText;
use crate::bind::literal::text_constant;
use crate::bind::{Binder, Bound, Scope};
use crate::error::SqlError;
use crate::names;
use crate::sql_type::SqlType;

/// A call's arguments as written.
#[derive(Debug)]
pub(crate) struct Call<'f> {
    pub(crate) name: String,
    pub(crate) arguments: Vec<&'f Expr>,
    pub(crate) is_star: bool,
    pub(crate) is_distinct: bool,
}

impl Binder<'_> {
    pub(crate) fn function(&self, function: &Function, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        let call = read_call(function)?;
        if function.over.is_some() || function.filter.is_some() || !function.within_group.is_empty() {
            return self.window_function(function, &call, scope);
        }
        if let Some(bound) = self.aggregate(&call, scope)? {
            return Ok(bound);
        }
        if call.is_star || call.is_distinct {
            return Err(SqlError::syntax(&format!("function {} does not take * or DISTINCT", call.name)));
        }
        if let Some(bound) = self.context_function(&call)? {
            return Ok(bound);
        }
        if let Some(bound) = self.date_function(&call, scope)? {
            return Ok(bound);
        }
        let arguments: Result<Vec<Bound>, SqlError> =
            call.arguments.iter().map(|argument| self.expr(argument, scope)).collect();
        self.plain_function(&call.name, &arguments?)
    }

    fn plain_function(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        match name {
            "IFF" => match parts {
                [test, yes, no] => self.choose(&[self.condition(test)?], &[yes.clone(), no.clone()]),
                _ => Err(SqlError::argument_count(name)),
            },
            "COALESCE" | "NVL" | "IFNULL" => self.coalesce(name, parts),
            "NVL2" => match parts {
                [test, yes, no] => self.choose(&[not_null(test)], &[yes.clone(), no.clone()]),
                _ => Err(SqlError::argument_count(name)),
            },
            "NULLIF" => match parts {
                [left, right] => {
                    let equal = self.compare("=", left, right)?;
                    self.choose(&[equal], &[Bound::new("null", SqlType::Null, true), left.clone()])
                }
                _ => Err(SqlError::argument_count(name)),
            },
            "ZEROIFNULL" => self.coalesce(
                name,
                &[one(name, parts)?.clone(), Bound::new("numeric '0'", SqlType::number(1, 0), false)],
            ),
            "EQUAL_NULL" => match parts {
                [left, right] => self.compare("is not distinct from", left, right),
                _ => Err(SqlError::argument_count(name)),
            },
            "GREATEST" | "LEAST" => self.extreme(name, parts),
            "TO_JSON" | "PARSE_JSON" | "TRY_PARSE_JSON" | "TO_VARIANT" | "ARRAY_CONSTRUCT" | "TYPEOF" => {
                self.semi_structured(name, parts)
            }
            "ABS" | "CEIL" | "FLOOR" | "ROUND" | "TRUNC" | "TRUNCATE" | "MOD" | "SIGN" | "DIV0" => {
                self.number_function(name, parts)
            }
            _ => match self.conversion(name, parts)? {
                Some(bound) => Ok(bound),
                None => self.text_function(name, parts),
            },
        }
    }

    /// TO_x and TRY_TO_x.
    fn conversion(&self, name: &str, parts: &[Bound]) -> Result<Option<Bound>, SqlError> {
        let (name, on_bad) = match name.strip_prefix("TRY_") {
            Some(rest) => (rest, OnBadText::Null),
            None => (name, OnBadText::Fail),
        };
        let target = match name {
            "TO_NUMBER" | "TO_DECIMAL" | "TO_NUMERIC" => {
                return self.to_number(name, parts, on_bad).map(Some);
            }
            "TO_CHAR" | "TO_VARCHAR" if on_bad == OnBadText::Fail => return self.to_char(parts).map(Some),
            "TO_DOUBLE" => SqlType::Float,
            "TO_BOOLEAN" => SqlType::Boolean,
            "TO_BINARY" => SqlType::Binary { length: crate::sql_type::BINARY_MAX },
            "TO_DATE" | "DATE" => SqlType::Date,
            "TO_TIME" | "TIME" => SqlType::Time { scale: 9 },
            "TO_TIMESTAMP" | "TO_TIMESTAMP_NTZ" => SqlType::TimestampNtz { scale: 9 },
            "TO_TIMESTAMP_LTZ" => SqlType::TimestampLtz { scale: 9 },
            "TO_TIMESTAMP_TZ" => SqlType::TimestampTz { scale: 9 },
            _ => return Ok(None),
        };
        let [value] = parts else {
            return Err(SqlError::unsupported(format!("{name} with a format or a scale")));
        };
        if name == "TO_BINARY" && !value.sql_type.is_text() {
            return Err(SqlError::invalid_types(name, &value.sql_type.to_string()));
        }
        self.cast(value, target, on_bad).map(Some)
    }

    fn to_number(&self, name: &str, parts: &[Bound], on_bad: OnBadText) -> Result<Bound, SqlError> {
        let [value, limits @ ..] = parts else {
            return Err(SqlError::argument_count(name));
        };
        let mut limits = limits.iter().map(constant_number);
        let target = match (limits.next(), limits.next(), limits.next()) {
            (None, ..) => SqlType::number(38, 0),
            (Some(Some(precision)), None, _) => SqlType::number(precision, 0),
            (Some(Some(precision)), Some(Some(scale)), None) if scale <= precision => {
                SqlType::number(precision, scale)
            }
            _ => return Err(SqlError::unsupported(format!("{name} with a format"))),
        };
        self.cast(value, target, on_bad)
    }

    fn to_char(&self, parts: &[Bound]) -> Result<Bound, SqlError> {
        match parts {
            [value] => self.cast(value, SqlType::TEXT, OnBadText::Fail),
            [value, format] => self.formatted(value, format),
            _ => Err(SqlError::argument_count("TO_CHAR")),
        }
    }

    fn coalesce(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        if parts.len() < 2 {
            return Err(SqlError::argument_count(name));
        }
        let (parts, sql_type) = self.unify(name, parts)?;
        let texts: Vec<&str> = parts.iter().map(|part| part.sql.as_str()).collect();
        let refs: Vec<&Bound> = parts.iter().collect();
        let nullable = parts.iter().all(|part| part.nullable);
        Ok(Bound::of(format!("coalesce({})", texts.join(", ")), sql_type, &refs).nullable(nullable))
    }

    /// GREATEST and LEAST are NULL if one argument is.
    fn extreme(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        let (parts, sql_type) = self.unify(name, parts)?;
        if sql_type.is_semi_structured() || parts.is_empty() {
            return Err(SqlError::invalid_types(name, &sql_type.to_string()));
        }
        let word = name.to_lowercase();
        let texts: Vec<String> =
            parts
                .iter()
                .map(|part| {
                    if sql_type.is_text() {
                        format!("({} collate \"C\")", part.sql)
                    } else {
                        part.sql.clone()
                    }
                })
                .collect();
        let tests: Vec<String> = parts.iter().map(|part| format!("{} is not null", part.sql)).collect();
        let refs: Vec<&Bound> = parts.iter().collect();
        let sql = format!("(case when {} then {word}({}) end)", tests.join(" and "), texts.join(", "));
        Ok(Bound::of(sql, sql_type, &refs))
    }

    fn semi_structured(&self, name: &str, parts: &[Bound]) -> Result<Bound, SqlError> {
        if name == "ARRAY_CONSTRUCT" {
            let mut items = Vec::with_capacity(parts.len());
            for part in parts {
                let item = if part.sql_type.is_semi_structured() {
                    part.clone()
                } else {
                    self.coerce(part, SqlType::Variant)?
                };
                items.push(format!("coalesce({}, 'undefined')", item.sql));
            }
            let list = if items.is_empty() {
                "''".to_owned()
            } else {
                format!("concat_ws(',', {})", items.join(", "))
            };
            let refs: Vec<&Bound> = parts.iter().collect();
            return Ok(Bound::of(format!("('[' || {list} || ']')"), SqlType::Array, &refs).nullable(false));
        }
        let value = one(name, parts)?;
        let is_semi = value.sql_type.is_semi_structured();
        match name {
            "TO_JSON" if is_semi => Ok(Bound::of(value.sql.clone(), SqlType::TEXT, &[value])),
            "TO_VARIANT" => self.cast(value, SqlType::Variant, OnBadText::Fail),
            "PARSE_JSON" | "TRY_PARSE_JSON" if value.sql_type.is_text() => {
                let sql = format!("sfe.parse_json({}, {})", value.sql, name == "TRY_PARSE_JSON");
                Ok(Bound::of(sql, SqlType::Variant, &[value]).nullable(true))
            }
            _ => Err(SqlError::unsupported(format!("{name} on {}", value.sql_type))),
        }
    }

    /// `v:a.b`, keys only.
    pub(crate) fn json_access(&self, value: &Bound, path: &JsonPath) -> Result<Bound, SqlError> {
        if !matches!(value.sql_type, SqlType::Variant | SqlType::Object) {
            return Err(SqlError::invalid_types("GET", &value.sql_type.to_string()));
        }
        let mut sql = value.sql.clone();
        for step in &path.path {
            match step {
                JsonPathElem::Dot { key, .. } => {
                    sql = format!("sfe.element({sql}, {})", names::pg_text(&crate::encode::escape_nul(key)));
                }
                _ => return Err(SqlError::unsupported(format!("path {path}"))),
            }
        }
        Ok(Bound::of(sql, SqlType::Variant, &[value]).nullable(true))
    }

    /// What depends on the session alone.
    fn context_function(&self, call: &Call<'_>) -> Result<Option<Bound>, SqlError> {
        let request = self.session.request;
        let seconds = format!(
            "numeric '{}.{:09}'",
            self.session.now.div_euclid(1_000_000_000),
            self.session.now.rem_euclid(1_000_000_000)
        );
        let text = |value: Option<&String>| match value {
            Some(value) => text_constant(value),
            None => Bound::new("null::text", SqlType::TEXT, true),
        };
        let precision = match call.arguments.as_slice() {
            [] => 9,
            [Expr::Value(value)] => value.value.to_string().parse::<u32>().unwrap_or(9).min(9),
            _ => 9,
        };
        let instant = |sql_type| Bound::new(format!("trunc({seconds}, {precision})"), sql_type, false);
        let bound = match call.name.as_str() {
            "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" | "GETDATE" | "SYSTIMESTAMP" => {
                instant(SqlType::TimestampLtz { scale: precision })
            }
            "SYSDATE" => instant(SqlType::TimestampNtz { scale: precision }),
            "CURRENT_DATE" => {
                self.cast(&instant(SqlType::TimestampLtz { scale: 9 }), SqlType::Date, OnBadText::Fail)?
            }
            "CURRENT_TIME" | "LOCALTIME" => self.cast(
                &instant(SqlType::TimestampLtz { scale: 9 }),
                SqlType::Time { scale: 9 },
                OnBadText::Fail,
            )?,
            "CURRENT_ACCOUNT" => text_constant(&request.account),
            "CURRENT_USER" => text_constant(&request.user),
            "CURRENT_ROLE" => text(request.role.as_ref()),
            "CURRENT_DATABASE" => text(request.database.as_ref()),
            "CURRENT_SCHEMA" => text(request.schema.as_ref()),
            "CURRENT_WAREHOUSE" => text(request.warehouse.as_ref()),
            "CURRENT_VERSION" => text_constant("9.40.0"),
            _ => return Ok(None),
        };
        if call.arguments.is_empty() || bound.sql_type.is_timestamp() {
            return Ok(Some(Bound { is_constant_text: false, ..bound }));
        }
        Err(SqlError::argument_count(&call.name))
    }
}

/// A literal whole number, for arguments that are part of a type.
pub(crate) fn constant_number(bound: &Bound) -> Option<u32> {
    bound.sql.strip_prefix("numeric '")?.strip_suffix('\'')?.parse().ok()
}

pub(crate) fn one<'b>(name: &str, parts: &'b [Bound]) -> Result<&'b Bound, SqlError> {
    match parts {
        [value] => Ok(value),
        _ => Err(SqlError::argument_count(name)),
    }
}

fn not_null(value: &Bound) -> Bound {
    Bound::of(format!("({} is not null)", value.sql), SqlType::Boolean, &[value]).nullable(false)
}

fn read_call(function: &Function) -> Result<Call<'_>, SqlError> {
    let name = names::parts(&function.name)?.join(".");
    if function.parameters != FunctionArguments::None
        || function.uses_odbc_syntax
        || function.null_treatment.is_some()
    {
        return Err(SqlError::unsupported(format!("call {function}")));
    }
    let mut call = Call { name, arguments: Vec::new(), is_star: false, is_distinct: false };
    let list = match &function.args {
        FunctionArguments::None => return Ok(call),
        FunctionArguments::Subquery(_) => return Err(SqlError::unsupported(format!("call {function}"))),
        FunctionArguments::List(list) => list,
    };
    if !list.clauses.is_empty() {
        return Err(SqlError::unsupported(format!("call {function}")));
    }
    call.is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    for argument in &list.args {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => call.arguments.push(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => call.is_star = true,
            other => return Err(SqlError::unsupported(format!("argument {other}"))),
        }
    }
    Ok(call)
}
