//! Queries: WITH, set operations, VALUES, ORDER BY and LIMIT around them.

use sqlparser::ast::{
    Expr, LimitClause, OrderByExpr, OrderByKind, Query, SetExpr, SetOperator, SetQuantifier, Value, Values,
};

use crate::bind::scope::NamedQuery;
use crate::bind::{Binder, Bound, Scope};
use crate::catalog::TableName;
use crate::error::SqlError;
use crate::names;
use crate::sql_type::SqlType;

/// One column of a query's output; PostgreSQL's name is `o<position>`.
#[derive(Debug, Clone)]
pub(crate) struct OutColumn {
    pub(crate) name: String,
    pub(crate) sql_type: SqlType,
    pub(crate) nullable: bool,
    pub(crate) source: Option<TableName>,
    pub(crate) is_stored: bool,
}

/// A query as PostgreSQL text with columns `o1, o2, ...`.
#[derive(Debug, Clone)]
pub(crate) struct BoundQuery {
    pub(crate) sql: String,
    pub(crate) columns: Vec<OutColumn>,
}

/// ORDER BY and LIMIT of a query.
#[derive(Debug, Default)]
pub(crate) struct Tail<'q> {
    pub(crate) order: &'q [OrderByExpr],
    /// ` limit n offset m`, empty without.
    pub(crate) limit: String,
    /// Whether unordered rows and ties are to be shuffled.
    pub(crate) is_shuffled: bool,
}

impl Binder<'_> {
    /// A whole statement's query: shuffled where it leaves the order open, rendered for output.
    pub(crate) fn top_query(&self, query: &Query) -> Result<BoundQuery, SqlError> {
        let bound = self.query_with(query, None, true)?;
        if bound
            .columns
            .iter()
            .all(|column| column.is_stored && !matches!(column.sql_type, SqlType::TimestampTz { .. }))
        {
            return Ok(bound);
        }
        let items: Vec<String> = bound
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let mut value = Bound::new(format!("q.o{}", index + 1), column.sql_type, column.nullable);
                value.is_stored = column.is_stored;
                value.for_output()
            })
            .collect();
        Ok(BoundQuery {
            sql: format!("select {} from ({}) q", items.join(", "), bound.sql),
            columns: bound.columns,
        })
    }

    /// A sub-select.
    pub(crate) fn query(&self, query: &Query, parent: Option<&Scope<'_>>) -> Result<BoundQuery, SqlError> {
        self.query_with(query, parent, false)
    }

    fn query_with(
        &self,
        query: &Query,
        parent: Option<&Scope<'_>>,
        is_top: bool,
    ) -> Result<BoundQuery, SqlError> {
        if query.fetch.is_some()
            || !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty()
        {
            return Err(SqlError::unsupported("FETCH, FOR, SETTINGS or a pipe in a query"));
        }
        let mut scope = Scope { parent, ..Scope::default() };
        let with = self.with(query, &mut scope)?;
        let order = match &query.order_by {
            None => &[][..],
            Some(order) if order.interpolate.is_none() => match &order.kind {
                OrderByKind::Expressions(keys) => keys.as_slice(),
                OrderByKind::All(_) => return Err(SqlError::unsupported("ORDER BY ALL")),
            },
            Some(_) => return Err(SqlError::unsupported("ORDER BY INTERPOLATE")),
        };
        let limit = self.limit(query.limit_clause.as_ref())?;
        let is_shuffled = self.session.order_seed.is_some() && (is_top || !limit.is_empty());
        let tail = Tail { order, limit, is_shuffled };
        let body = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, &scope, &tail)?,
            other => {
                let inner = self.set_expr(other, &scope)?;
                self.order_outputs(inner, &tail)?
            }
        };
        Ok(BoundQuery { sql: format!("{with}{}", body.sql), columns: body.columns })
    }

    fn with(&self, query: &Query, scope: &mut Scope<'_>) -> Result<String, SqlError> {
        let Some(with) = &query.with else {
            return Ok(String::new());
        };
        if with.recursive {
            return Err(SqlError::unsupported("WITH RECURSIVE"));
        }
        let mut items = Vec::with_capacity(with.cte_tables.len());
        for cte in &with.cte_tables {
            if cte.from.is_some() || cte.materialized.is_some() {
                return Err(SqlError::unsupported("MATERIALIZED in WITH"));
            }
            let mut bound = self.query(&cte.query, Some(scope))?;
            let renamed = &cte.alias.columns;
            if !renamed.is_empty() && renamed.len() != bound.columns.len() {
                return Err(SqlError::syntax("a WITH name lists a wrong number of columns"));
            }
            for (column, new) in bound.columns.iter_mut().zip(renamed) {
                column.name = names::fold(&new.name);
            }
            let pg_name = self.alias();
            items.push(format!("{pg_name} as ({})", bound.sql));
            scope.named_queries.push(NamedQuery {
                name: names::fold(&cte.alias.name),
                pg_name,
                query: bound,
            });
        }
        Ok(format!("with {} ", items.join(", ")))
    }

    fn limit(&self, clause: Option<&LimitClause>) -> Result<String, SqlError> {
        match clause {
            None => Ok(String::new()),
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                let mut sql = String::new();
                if let Some(limit) = limit.as_ref().filter(|limit| !is_null(limit)) {
                    sql.push_str(&format!(" limit {}", self.row_count(limit)?));
                }
                if let Some(offset) = offset {
                    sql.push_str(&format!(" offset {}", self.row_count(&offset.value)?));
                }
                Ok(sql)
            }
            Some(other) => Err(SqlError::unsupported(format!("{other}"))),
        }
    }

    fn row_count(&self, expr: &Expr) -> Result<u64, SqlError> {
        let bound = self.expr(expr, &Scope::default())?;
        let digits = bound.sql.strip_prefix("numeric '").and_then(|text| text.strip_suffix('\''));
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| SqlError::syntax(&format!("LIMIT and OFFSET take whole numbers, not {expr}")))
    }

    fn set_expr(&self, body: &SetExpr, scope: &Scope<'_>) -> Result<BoundQuery, SqlError> {
        match body {
            SetExpr::Select(select) => self.select(select, scope, &Tail::default()),
            SetExpr::Query(query) => {
                let bound = self.query(query, Some(scope))?;
                Ok(BoundQuery { sql: format!("({})", bound.sql), ..bound })
            }
            SetExpr::Values(values) => self.values(values, scope),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let word = match (op, set_quantifier) {
                    (SetOperator::Union, SetQuantifier::All) => "union all",
                    (SetOperator::Union, SetQuantifier::None | SetQuantifier::Distinct) => "union",
                    (SetOperator::Intersect, SetQuantifier::None) => "intersect",
                    (SetOperator::Except | SetOperator::Minus, SetQuantifier::None) => "except",
                    _ => return Err(SqlError::unsupported(format!("{op} {set_quantifier}"))),
                };
                let (left, right) = (self.set_expr(left, scope)?, self.set_expr(right, scope)?);
                self.combine(word, &left, &right)
            }
            other => Err(SqlError::unsupported(format!("query {other}"))),
        }
    }

    fn combine(&self, word: &str, left: &BoundQuery, right: &BoundQuery) -> Result<BoundQuery, SqlError> {
        if left.columns.len() != right.columns.len() {
            return Err(SqlError::syntax("invalid number of result columns for set operator input branches"));
        }
        let (a, b) = (self.alias(), self.alias());
        let (mut lefts, mut rights, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (l, r)) in left.columns.iter().zip(&right.columns).enumerate() {
            let pair = [
                Bound::new(format!("{a}.o{}", index + 1), l.sql_type, l.nullable),
                Bound::new(format!("{b}.o{}", index + 1), r.sql_type, r.nullable),
            ];
            let (pair, sql_type) = self.unify("UNION", &pair)?;
            if sql_type.is_semi_structured() && word != "union all" {
                return Err(SqlError::unsupported(format!("{word} of semi-structured values")));
            }
            lefts.push(format!("{} as o{}", pair[0].sql, index + 1));
            rights.push(format!("{} as o{}", pair[1].sql, index + 1));
            columns.push(OutColumn {
                name: l.name.clone(),
                sql_type,
                nullable: l.nullable || r.nullable,
                source: None,
                is_stored: false,
            });
        }
        let sql = format!(
            "select {} from ({}) {a} {word} select {} from ({}) {b}",
            lefts.join(", "),
            left.sql,
            rights.join(", "),
            right.sql
        );
        Ok(BoundQuery { sql: format!("({sql})"), columns })
    }

    fn values(&self, values: &Values, scope: &Scope<'_>) -> Result<BoundQuery, SqlError> {
        let mut columns: Vec<Vec<Bound>> = Vec::new();
        for row in &values.rows {
            let cells = &row.content;
            if columns.is_empty() {
                columns.resize_with(cells.len(), Vec::new);
            }
            if cells.len() != columns.len() {
                return Err(SqlError::syntax("rows of VALUES have different lengths"));
            }
            for (column, cell) in columns.iter_mut().zip(cells) {
                column.push(self.expr(cell, scope)?);
            }
        }
        let mut rows = vec![Vec::new(); values.rows.len()];
        let mut described = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let (column, sql_type) = self.unify("VALUES", column)?;
            for (row, cell) in rows.iter_mut().zip(&column) {
                row.push(cell.sql.clone());
            }
            described.push(OutColumn {
                name: format!("COLUMN{}", index + 1),
                sql_type,
                nullable: column.iter().any(|cell| cell.nullable),
                source: None,
                is_stored: false,
            });
        }
        let rows: Vec<String> = rows.iter().map(|row| format!("({})", row.join(", "))).collect();
        let names: Vec<String> = (1..=described.len()).map(|number| format!("o{number}")).collect();
        let alias = self.alias();
        let sql = format!("select * from (values {}) {alias}({})", rows.join(", "), names.join(", "));
        Ok(BoundQuery { sql, columns: described })
    }

    /// ORDER BY and LIMIT over outputs only: names, positions.
    pub(crate) fn order_outputs(&self, inner: BoundQuery, tail: &Tail<'_>) -> Result<BoundQuery, SqlError> {
        if tail.order.is_empty() && tail.limit.is_empty() && !tail.is_shuffled {
            return Ok(inner);
        }
        let alias = self.alias();
        let mut keys = Vec::new();
        for key in tail.order {
            let index = output_index(&key.expr, &inner.columns)?.ok_or_else(|| {
                SqlError::unsupported(format!("ORDER BY {} here: name a result column", key.expr))
            })?;
            let column = &inner.columns[index];
            let value = Bound::new(format!("{alias}.o{}", index + 1), column.sql_type, column.nullable);
            keys.push(self.order_key(&value, key)?);
        }
        keys.extend(self.shuffle_key(tail));
        let names: Vec<String> =
            (1..=inner.columns.len()).map(|number| format!("{alias}.o{number}")).collect();
        let order = if keys.is_empty() { String::new() } else { format!(" order by {}", keys.join(", ")) };
        let sql = format!("select {} from ({}) {alias}{order}{}", names.join(", "), inner.sql, tail.limit);
        Ok(BoundQuery { sql, columns: inner.columns })
    }

    /// The last sort key: rows that are equal so far come in an order of the seed's.
    pub(crate) fn shuffle_key(&self, tail: &Tail<'_>) -> Option<String> {
        let seed = self.session.order_seed.filter(|_| tail.is_shuffled)?;
        Some(format!("hashint8extended(row_number() over (), {})", seed.cast_signed()))
    }
}

/// The output column that an ORDER BY or GROUP BY item names by position or alias.
pub(crate) fn output_index(expr: &Expr, columns: &[OutColumn]) -> Result<Option<usize>, SqlError> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(text, _) => match text.parse::<usize>() {
                Ok(position) if (1..=columns.len()).contains(&position) => Ok(Some(position - 1)),
                _ => Err(SqlError::new(
                    "002042",
                    "42601",
                    format!("SQL compilation error:\nORDER BY or GROUP BY position {text} is out of range"),
                )),
            },
            _ => Ok(None),
        },
        Expr::Identifier(name) => {
            let name = names::fold(name);
            Ok(columns.iter().position(|column| column.name == name))
        }
        _ => Ok(None),
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if value.value == Value::Null)
}
