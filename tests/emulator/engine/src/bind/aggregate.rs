//! Aggregates and window functions.

use sqlparser::ast::{Function, OrderByExpr, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowType};

use crate::bind::function::{Call, constant_number};
use crate::bind::{Binder, Bound, Scope};
use crate::error::SqlError;
use crate::sql_type::SqlType;

impl Binder<'_> {
    /// The call as an aggregate; `None` if it is none.
    pub(crate) fn aggregate(&self, call: &Call<'_>, scope: &Scope<'_>) -> Result<Option<Bound>, SqlError> {
        const NAMES: [&str; 11] = [
            "COUNT",
            "COUNT_IF",
            "SUM",
            "MIN",
            "MAX",
            "AVG",
            "APPROX_COUNT_DISTINCT",
            "ANY_VALUE",
            "LISTAGG",
            "BOOLOR_AGG",
            "BOOLAND_AGG",
        ];
        let name = call.name.as_str();
        if !NAMES.contains(&name) {
            return Ok(None);
        }
        if call.is_star {
            if name != "COUNT" || !call.arguments.is_empty() || call.is_distinct {
                return Err(SqlError::syntax(&format!("{name}(*) is not valid")));
            }
            let mut bound = Bound::new("count(*)::numeric", SqlType::number(18, 0), false);
            bound.has_aggregate = true;
            return Ok(Some(bound));
        }
        let [argument] = call.arguments.as_slice() else {
            return Err(SqlError::unsupported(format!("{name} of several arguments")));
        };
        let value = self.expr(argument, scope)?;
        if value.has_aggregate {
            return Err(SqlError::syntax("aggregate functions cannot be nested"));
        }
        let mut bound = self.aggregate_of(name, &value, call.is_distinct)?;
        bound.has_aggregate = true;
        bound.has_window = value.has_window;
        Ok(Some(bound))
    }

    fn aggregate_of(&self, name: &str, value: &Bound, is_distinct: bool) -> Result<Bound, SqlError> {
        let distinct = if is_distinct { "distinct " } else { "" };
        let count = SqlType::number(18, 0);
        let typed =
            if value.sql_type == SqlType::Null { self.coerce(value, SqlType::TEXT)? } else { value.clone() };
        let key = self.sort_key(typed.clone());
        match name {
            "COUNT" => Ok(Bound::new(format!("count({distinct}{})::numeric", key.sql), count, false)),
            "APPROX_COUNT_DISTINCT" => {
                Ok(Bound::new(format!("count(distinct {})::numeric", key.sql), count, false))
            }
            "COUNT_IF" => {
                let test = self.condition(value)?;
                Ok(Bound::new(format!("count(case when {} then 1 end)::numeric", test.sql), count, false))
            }
            "SUM" | "AVG" => {
                let value = self.numeric(value)?;
                match value.sql_type {
                    SqlType::Number { precision, scale } if name == "SUM" => Ok(Bound::new(
                        format!("sum({distinct}{})", value.sql),
                        SqlType::number(precision + 12, scale),
                        true,
                    )),
                    SqlType::Number { scale, .. } => {
                        let scale = scale.max((scale + 6).min(12));
                        let sql = format!("round(avg({distinct}{}), {scale})", value.sql);
                        Ok(Bound::new(sql, SqlType::number(38, scale), true))
                    }
                    _ => Ok(Bound::new(
                        format!("{}({distinct}{})", name.to_lowercase(), value.sql),
                        SqlType::Float,
                        true,
                    )),
                }
            }
            "MIN" | "MAX" | "ANY_VALUE" => self.extreme_of(if name == "MAX" { "max" } else { "min" }, &typed),
            "BOOLOR_AGG" | "BOOLAND_AGG" => {
                let test = self.condition(value)?;
                let function = if name == "BOOLOR_AGG" { "bool_or" } else { "bool_and" };
                Ok(Bound::new(format!("{function}({})", test.sql), SqlType::Boolean, true))
            }
            other => Err(SqlError::unsupported(format!("aggregate {other}"))),
        }
    }

    fn extreme_of(&self, function: &str, value: &Bound) -> Result<Bound, SqlError> {
        let v = &value.sql;
        let sql = match value.sql_type {
            SqlType::Text { .. } => format!("{function}({v} collate \"C\")"),
            SqlType::Boolean => format!("{}({v})", if function == "max" { "bool_or" } else { "bool_and" }),
            SqlType::Binary { .. } => format!("decode({function}(encode({v}, 'hex') collate \"C\"), 'hex')"),
            _ if value.sql_type.is_semi_structured() => {
                return Err(SqlError::unsupported("MIN/MAX of semi-structured values"));
            }
            // An array of (instant, offset) orders by the instant first.
            _ => format!("{function}({v})"),
        };
        Ok(Bound::new(sql, value.sql_type, true))
    }

    /// `f(..) OVER (..)`.
    pub(crate) fn window_function(
        &self,
        function: &Function,
        call: &Call<'_>,
        scope: &Scope<'_>,
    ) -> Result<Bound, SqlError> {
        let spec = match &function.over {
            Some(WindowType::WindowSpec(spec))
                if function.filter.is_none()
                    && function.within_group.is_empty()
                    && spec.window_name.is_none() =>
            {
                spec
            }
            _ => return Err(SqlError::unsupported(format!("call {function}"))),
        };
        let (head, sql_type, nullable) = self.window_head(call, scope)?;
        let mut parts = Vec::new();
        if !spec.partition_by.is_empty() {
            let mut keys = Vec::new();
            for key in &spec.partition_by {
                keys.push(self.sort_key(self.expr(key, scope)?).sql);
            }
            parts.push(format!("partition by {}", keys.join(", ")));
        }
        if !spec.order_by.is_empty() {
            let mut keys = Vec::new();
            for key in &spec.order_by {
                keys.push(self.order_key(&self.expr(&key.expr, scope)?, key)?);
            }
            parts.push(format!("order by {}", keys.join(", ")));
        }
        let is_ranking =
            matches!(call.name.as_str(), "ROW_NUMBER" | "RANK" | "DENSE_RANK" | "NTILE" | "LAG" | "LEAD");
        if is_ranking && spec.order_by.is_empty() {
            return Err(SqlError::syntax(&format!("function {} needs ORDER BY in its window", call.name)));
        }
        if let Some(frame) = &spec.window_frame {
            parts.push(window_frame(frame)?);
        }
        // Casts bind to the call, not to its window.
        let sql = match head.strip_suffix("::numeric") {
            Some(bare) => format!("({bare} over ({}))::numeric", parts.join(" ")),
            None => format!("({head} over ({}))", parts.join(" ")),
        };
        let mut bound = Bound::new(sql, sql_type, nullable);
        bound.has_window = true;
        // A window over an aggregated query counts as one for GROUP BY's sake only if its parts do.
        Ok(bound)
    }

    fn window_head(&self, call: &Call<'_>, scope: &Scope<'_>) -> Result<(String, SqlType, bool), SqlError> {
        match (call.name.as_str(), call.arguments.as_slice()) {
            ("ROW_NUMBER" | "RANK" | "DENSE_RANK", []) => {
                Ok((format!("{}()::numeric", call.name.to_lowercase()), SqlType::number(18, 0), false))
            }
            ("LAG" | "LEAD", [value, rest @ ..]) if rest.len() < 2 => {
                let value = self.expr(value, scope)?;
                let distance = match rest.first() {
                    None => 1,
                    Some(distance) => constant_number(&self.expr(distance, scope)?)
                        .ok_or_else(|| SqlError::unsupported("LAG or LEAD by a computed distance"))?,
                };
                Ok((format!("{}({}, {distance})", call.name.to_lowercase(), value.sql), value.sql_type, true))
            }
            ("FIRST_VALUE" | "LAST_VALUE", [value]) => {
                let value = self.expr(value, scope)?;
                Ok((format!("{}({})", call.name.to_lowercase(), value.sql), value.sql_type, true))
            }
            ("AVG", _) => Err(SqlError::unsupported("AVG OVER")),
            ("MIN" | "MAX" | "COUNT" | "COUNT_IF" | "SUM", _) if !call.is_distinct => {
                // An aggregate of an aggregate is fine inside a window.
                let bound = match (call.name.as_str(), call.arguments.as_slice()) {
                    (name, [value]) => self.aggregate_of(name, &self.expr(value, scope)?, false)?,
                    _ => {
                        self.aggregate(call, scope)?.ok_or_else(|| SqlError::unknown_function(&call.name))?
                    }
                };
                if bound.sql.starts_with("decode(") {
                    return Err(SqlError::unsupported("MIN/MAX OVER of BINARY"));
                }
                Ok((bound.sql, bound.sql_type, bound.nullable))
            }
            _ => Err(SqlError::unsupported(format!("window function {}", call.name))),
        }
    }

    /// One key of an ORDER BY. NULLs come last ascending, first descending, unless it says otherwise.
    pub(crate) fn order_key(&self, value: &Bound, order: &OrderByExpr) -> Result<String, SqlError> {
        use sqlparser::ast::OrderBySort;
        if value.sql_type.is_semi_structured() {
            return Err(SqlError::unsupported("ORDER BY semi-structured values; cast them"));
        }
        let typed =
            if value.sql_type == SqlType::Null { self.coerce(value, SqlType::TEXT)? } else { value.clone() };
        let key = self.sort_key(typed).sql;
        let direction = match &order.options.sort {
            None | Some(OrderBySort::Asc) => "asc",
            Some(OrderBySort::Desc) => "desc",
            Some(OrderBySort::Using(_)) => return Err(SqlError::unsupported("ORDER BY USING")),
        };
        let nulls_first = order.options.nulls_first.unwrap_or(direction == "desc");
        // In parentheses: a bare number would be read as a position.
        Ok(format!("({key}) {direction} nulls {}", if nulls_first { "first" } else { "last" }))
    }
}

fn window_frame(frame: &WindowFrame) -> Result<String, SqlError> {
    let units = match frame.units {
        WindowFrameUnits::Rows => "rows",
        WindowFrameUnits::Range => "range",
        WindowFrameUnits::Groups => return Err(SqlError::unsupported("window frame GROUPS")),
    };
    let start = frame_bound(&frame.start_bound)?;
    Ok(match &frame.end_bound {
        None => format!("{units} {start}"),
        Some(end) => format!("{units} between {start} and {}", frame_bound(end)?),
    })
}

fn frame_bound(bound: &WindowFrameBound) -> Result<String, SqlError> {
    let distance = |expr: &sqlparser::ast::Expr| -> Result<u64, SqlError> {
        expr.to_string().parse().map_err(|_| SqlError::unsupported(format!("window frame of {expr}")))
    };
    Ok(match bound {
        WindowFrameBound::CurrentRow => "current row".to_owned(),
        WindowFrameBound::Preceding(None) => "unbounded preceding".to_owned(),
        WindowFrameBound::Following(None) => "unbounded following".to_owned(),
        WindowFrameBound::Preceding(Some(rows)) => format!("{} preceding", distance(rows)?),
        WindowFrameBound::Following(Some(rows)) => format!("{} following", distance(rows)?),
    })
}
