//! One SELECT: its list, conditions, grouping, QUALIFY and DISTINCT, with the ORDER BY of its query.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind,
    WildcardAdditionalOptions,
};

use crate::bind::query::{OutColumn, Tail, output_index};
use crate::bind::{Binder, Bound, BoundQuery, Scope};
use crate::error::SqlError;
use crate::names;
use crate::sql_type::SqlType;

/// Runs of pages that the cheap shuffle of a large table permutes.
const RUNS: u64 = 32;

/// The SELECT list, bound.
struct Projection {
    items: Vec<(String, Bound)>,
}

impl Binder<'_> {
    pub(crate) fn select(
        &self,
        select: &Select,
        outer: &Scope<'_>,
        tail: &Tail<'_>,
    ) -> Result<BoundQuery, SqlError> {
        refuse_clauses(select)?;
        let mut scope = Scope::inside(outer);
        let from = self.from(&select.from, &mut scope)?;
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr, alias } = item {
                scope.aliases.push((names::fold(alias), expr.clone()));
            }
        }
        let projection = self.projection(&select.projection, &scope)?;
        let columns: Vec<OutColumn> =
            projection.items.iter().map(|(name, bound)| out_column(name, bound)).collect();
        let condition = match &select.selection {
            None => String::new(),
            Some(condition) => {
                let condition = self.condition(&self.expr(condition, &scope)?)?;
                if condition.has_aggregate || condition.has_window {
                    return Err(SqlError::syntax("Invalid aggregate or window function in WHERE"));
                }
                format!(" where {}", condition.sql)
            }
        };
        let group = self.group_by(&select.group_by, &projection, &columns, &scope)?;
        let having = match &select.having {
            None => String::new(),
            Some(having) => format!(" having {}", self.condition(&self.expr(having, &scope)?)?.sql),
        };
        let body = format!("{from}{condition}{group}{having}");
        if select.distinct.is_some() || select.qualify.is_some() {
            return self.wrapped(select, &scope, (projection, columns, &body), tail);
        }
        let is_grouped = !group.is_empty() || !having.is_empty();
        if let Some(sql) =
            self.cheap_shuffle(&projection, &scope, (&body, !condition.is_empty(), is_grouped), tail)
        {
            return Ok(BoundQuery { sql, columns });
        }
        let mut keys = self.order_keys(tail, &projection, &columns, &scope)?;
        let is_one_row = group.is_empty() && projection.items.iter().any(|(_, bound)| bound.has_aggregate);
        if !is_one_row && !select.from.is_empty() {
            keys.extend(self.shuffle_key(tail));
        }
        let order = if keys.is_empty() { String::new() } else { format!(" order by {}", keys.join(", ")) };
        Ok(BoundQuery { sql: format!("select {}{body}{order}{}", projection.list(), tail.limit), columns })
    }

    fn projection(&self, items: &[SelectItem], scope: &Scope<'_>) -> Result<Projection, SqlError> {
        let mut all = Vec::new();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => all.push((expression_name(expr), self.expr(expr, scope)?)),
                SelectItem::ExprWithAlias { expr, alias } => {
                    all.push((names::fold(alias), self.expr(expr, scope)?));
                }
                SelectItem::Wildcard(options) => self.expand(&[], options, scope, &mut all)?,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    self.expand(&names::parts(name)?, options, scope, &mut all)?;
                }
                other => return Err(SqlError::unsupported(format!("SELECT {other}"))),
            }
        }
        Ok(Projection { items: all })
    }

    fn expand(
        &self,
        qualifier: &[String],
        options: &WildcardAdditionalOptions,
        scope: &Scope<'_>,
        all: &mut Vec<(String, Bound)>,
    ) -> Result<(), SqlError> {
        if !matches!(options.to_string().as_str(), "") {
            return Err(SqlError::unsupported(format!("SELECT * {options}")));
        }
        let columns =
            scope.wildcard(qualifier).ok_or_else(|| SqlError::invalid_identifier(&qualifier.join(".")))?;
        for column in columns {
            let mut bound = Bound::new(column.sql.clone(), column.sql_type, column.nullable);
            bound.source.clone_from(&column.source);
            bound.is_stored = column.is_stored;
            all.push((column.name.clone(), bound));
        }
        Ok(())
    }

    fn group_by(
        &self,
        group: &GroupByExpr,
        projection: &Projection,
        columns: &[OutColumn],
        scope: &Scope<'_>,
    ) -> Result<String, SqlError> {
        let mut keys = Vec::new();
        match group {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
                for expr in exprs {
                    let by_position = matches!(expr, Expr::Value(_));
                    let key = match output_index(expr, columns)? {
                        Some(index) if by_position => projection.items[index].1.clone(),
                        // A column of the tables comes before an alias of the list.
                        _ => self.expr(expr, scope)?,
                    };
                    keys.push(key);
                }
            }
            GroupByExpr::All(modifiers) if modifiers.is_empty() => {
                let plain = projection.items.iter().filter(|(_, bound)| !bound.has_aggregate);
                keys.extend(plain.map(|(_, bound)| bound.clone()));
            }
            other => return Err(SqlError::unsupported(format!("{other}"))),
        }
        if let Some(bad) = keys.iter().find(|key| key.has_aggregate || key.sql_type.is_semi_structured()) {
            return Err(SqlError::new(
                "000979",
                "42601",
                format!("SQL compilation error: a {} is not a valid group by expression", bad.sql_type),
            ));
        }
        if keys.iter().any(|key| matches!(key.sql_type, SqlType::TimestampTz { .. })) {
            return Err(SqlError::unsupported("GROUP BY TIMESTAMP_TZ; cast it"));
        }
        if keys.is_empty() {
            return Ok(String::new());
        }
        let keys: Vec<String> = keys.iter().map(|key| format!("({})", key.sql)).collect();
        Ok(format!(" group by {}", keys.join(", ")))
    }

    /// ORDER BY keys: positions, then aliases, then expressions over the tables.
    fn order_keys(
        &self,
        tail: &Tail<'_>,
        projection: &Projection,
        columns: &[OutColumn],
        scope: &Scope<'_>,
    ) -> Result<Vec<String>, SqlError> {
        let mut keys = Vec::new();
        for key in tail.order {
            let value = match output_index(&key.expr, columns)? {
                Some(index) => projection.items[index].1.clone(),
                None => self.expr(&key.expr, scope)?,
            };
            keys.push(self.order_key(&value, key)?);
        }
        Ok(keys)
    }

    /// DISTINCT and QUALIFY work on a finished list, so ORDER BY and LIMIT go around it.
    fn wrapped(
        &self,
        select: &Select,
        scope: &Scope<'_>,
        parts: (Projection, Vec<OutColumn>, &str),
        tail: &Tail<'_>,
    ) -> Result<BoundQuery, SqlError> {
        let (projection, columns, body) = parts;
        let distinct = match &select.distinct {
            None => "",
            Some(Distinct::Distinct) => "distinct ",
            Some(other) => return Err(SqlError::unsupported(format!("{other}"))),
        };
        if !distinct.is_empty()
            && columns.iter().any(|column| {
                column.sql_type.is_semi_structured() || matches!(column.sql_type, SqlType::TimestampTz { .. })
            })
        {
            return Err(SqlError::unsupported("DISTINCT of semi-structured values or TIMESTAMP_TZ"));
        }
        let Some(qualify) = &select.qualify else {
            let inner = format!("select {distinct}{}{body}", projection.list());
            return self.order_outputs(BoundQuery { sql: inner, columns }, tail);
        };
        if !distinct.is_empty() {
            return Err(SqlError::unsupported("DISTINCT with QUALIFY"));
        }
        let qualify = self.condition(&self.expr(qualify, scope)?)?;
        let mut list = format!("{}, {} as qualifies", projection.list(), qualify.sql);
        let alias = self.alias();
        let mut keys = Vec::new();
        for (index, key) in tail.order.iter().enumerate() {
            let value = match output_index(&key.expr, &columns)? {
                Some(position) => projection.items[position].1.clone(),
                None => self.expr(&key.expr, scope)?,
            };
            list.push_str(&format!(", {} as k{index}", value.sql));
            keys.push(self.order_key(&Bound { sql: format!("{alias}.k{index}"), ..value }, key)?);
        }
        keys.extend(self.shuffle_key(tail));
        let names: Vec<String> = (1..=columns.len()).map(|number| format!("{alias}.o{number}")).collect();
        let order = if keys.is_empty() { String::new() } else { format!(" order by {}", keys.join(", ")) };
        let sql = format!(
            "select {} from (select {list}{body}) {alias} where {alias}.qualifies{order}{}",
            names.join(", "),
            tail.limit
        );
        Ok(BoundQuery { sql, columns })
    }

    /// A large table read without ORDER BY or LIMIT: runs of pages in an order of the seed's, without a sort.
    fn cheap_shuffle(
        &self,
        projection: &Projection,
        scope: &Scope<'_>,
        text: (&str, bool, bool),
        tail: &Tail<'_>,
    ) -> Option<String> {
        let (body, has_condition, is_grouped) = text;
        let seed = self.session.order_seed.filter(|_| tail.is_shuffled)?;
        let [relation] = scope.relations.as_slice() else { return None };
        let (table, pg) = relation.base.as_ref()?;
        let pages = *self.session.large_tables.get(table)?;
        let is_plain = tail.order.is_empty()
            && tail.limit.is_empty()
            && !is_grouped
            && !projection.items.iter().any(|(_, bound)| bound.has_aggregate || bound.has_window);
        if !is_plain {
            return None;
        }
        let run = pages.div_ceil(RUNS).max(1);
        let mut runs: Vec<u64> = (0..RUNS).collect();
        runs.sort_by_key(|number| mix(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let joint = if has_condition { "and" } else { "where" };
        let mut parts = Vec::with_capacity(runs.len());
        for number in runs {
            let low = format!("{pg}.row_place >= '({},0)'::tid", number * run);
            // The last run has no end: the table may have grown since it was measured.
            let high = if number + 1 == RUNS {
                String::new()
            } else {
                format!(" and {pg}.row_place < '({},0)'::tid", (number + 1) * run)
            };
            parts.push(format!("(select {}{body} {joint} {low}{high})", projection.list()));
        }
        Some(parts.join(" union all "))
    }
}

impl Projection {
    fn list(&self) -> String {
        let items: Vec<String> = self
            .items
            .iter()
            .enumerate()
            .map(|(index, (_, bound))| {
                let cast = if bound.sql_type == SqlType::Null { "::text" } else { "" };
                format!("{}{cast} as o{}", bound.sql, index + 1)
            })
            .collect();
        items.join(", ")
    }
}

/// A good mixer of 64 bits (splitmix64).
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn out_column(name: &str, bound: &Bound) -> OutColumn {
    OutColumn {
        name: name.to_owned(),
        sql_type: bound.sql_type,
        nullable: bound.nullable,
        source: bound.source.clone(),
        is_stored: bound.is_stored,
    }
}

/// The name of a column without an alias: the column's own, else the expression's text in upper case.
fn expression_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => names::fold(name),
        Expr::CompoundIdentifier(parts) => parts.last().map(names::fold).unwrap_or_default(),
        other => {
            let mut name = String::new();
            let mut quote = None;
            for letter in other.to_string().chars() {
                match quote {
                    Some(open) => {
                        name.push(letter);
                        if letter == open {
                            quote = None;
                        }
                    }
                    None => {
                        if letter == '\'' || letter == '"' {
                            quote = Some(letter);
                        }
                        name.extend(letter.to_uppercase());
                    }
                }
            }
            name
        }
    }
}

fn refuse_clauses(select: &Select) -> Result<(), SqlError> {
    let refused = [
        (select.top.is_some(), "TOP"),
        (select.exclude.is_some(), "EXCLUDE"),
        (select.into.is_some(), "INTO"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (!select.named_window.is_empty(), "WINDOW"),
        (select.value_table_mode.is_some(), "AS STRUCT"),
        (select.select_modifiers.is_some(), "a modifier of SELECT"),
        (select.flavor != SelectFlavor::Standard, "FROM before SELECT"),
    ];
    match refused.iter().find(|(is_there, _)| *is_there) {
        Some((_, clause)) => Err(SqlError::unsupported(clause)),
        None => Ok(()),
    }
}
