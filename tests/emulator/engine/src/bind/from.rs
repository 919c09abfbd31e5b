//! FROM: tables at a moment of their history, views, sub-selects, joins, INFORMATION_SCHEMA.

use std::collections::HashMap;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, Join,
    JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableVersion, TableWithJoins,
};

use crate::bind::{Binder, BoundQuery, Relation, Scope, ScopeColumn, Session};
use crate::catalog::{TableEntry, TableName};
use crate::error::SqlError;
use crate::information_schema;
use crate::sql_type::SqlType;
use crate::{names, parse, time_travel};

/// What AT asks for.
#[derive(Debug, Clone)]
pub(crate) enum At {
    /// A constant that gives a moment.
    Timestamp(Expr),
    /// Seconds from now, negative.
    Offset(Expr),
}

impl At {
    /// The key of its value in [`crate::bind::Session::moments`].
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Timestamp(expr) => format!("timestamp {expr}"),
            Self::Offset(expr) => format!("offset {expr}"),
        }
    }
}

impl Binder<'_> {
    /// Binds a FROM into `scope`; gives PostgreSQL's FROM text, empty without one.
    pub(crate) fn from(&self, from: &[TableWithJoins], scope: &mut Scope<'_>) -> Result<String, SqlError> {
        let mut items = Vec::with_capacity(from.len());
        for item in from {
            let mut sql = self.factor(&item.relation, scope)?;
            for join in &item.joins {
                sql.push_str(&self.join(join, scope)?);
            }
            items.push(sql);
        }
        Ok(if items.is_empty() { String::new() } else { format!(" from {}", items.join(", ")) })
    }

    fn join(&self, join: &Join, scope: &mut Scope<'_>) -> Result<String, SqlError> {
        let (word, constraint) = match &join.join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => ("join", constraint),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => ("left join", constraint),
            JoinOperator::CrossJoin(JoinConstraint::None) => ("cross join", &JoinConstraint::None),
            other => return Err(SqlError::unsupported(format!("join {other:?}"))),
        };
        let before = scope.relations.len();
        let right = self.factor(&join.relation, scope)?;
        if word == "left join" {
            for column in scope.relations.iter_mut().skip(before).flat_map(|relation| &mut relation.columns) {
                column.nullable = true;
            }
        }
        match (word, constraint) {
            ("cross join", _) => Ok(format!(" cross join {right}")),
            (_, JoinConstraint::On(condition)) => {
                let condition = self.condition(&self.expr(condition, scope)?)?;
                Ok(format!(" {word} {right} on {}", condition.sql))
            }
            ("join", JoinConstraint::None) => Ok(format!(" cross join {right}")),
            _ => Err(SqlError::unsupported("JOIN USING and NATURAL JOIN")),
        }
    }

    fn factor(&self, factor: &TableFactor, scope: &mut Scope<'_>) -> Result<String, SqlError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                self.named_relation(name, alias.as_ref(), version.as_ref(), scope)
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                let outer = Scope { named_queries: all_named(scope), ..Scope::default() };
                let query = self.query(subquery, Some(&outer))?;
                let pg = self.alias();
                let qualifier =
                    alias.as_ref().map(|alias| vec![names::fold(&alias.name)]).unwrap_or_default();
                scope.relations.push(relation_of(&query, &pg, qualifier, alias.as_ref())?);
                Ok(format!("({}) {pg}", query.sql))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                let mut sql = self.factor(&table_with_joins.relation, scope)?;
                for join in &table_with_joins.joins {
                    sql.push_str(&self.join(join, scope)?);
                }
                Ok(format!("({sql})"))
            }
            other => Err(SqlError::unsupported(format!("FROM {other}"))),
        }
    }

    fn named_relation(
        &self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
        version: Option<&TableVersion>,
        scope: &mut Scope<'_>,
    ) -> Result<String, SqlError> {
        let parts = names::parts(name)?;
        if let [single] = parts.as_slice()
            && let Some(named) = scope.named_query(single)
        {
            if version.is_some() {
                return Err(SqlError::unsupported("AT on a WITH name"));
            }
            let named = named.clone();
            let pg = self.alias();
            let qualifier = vec![alias.map_or_else(|| single.clone(), |alias| names::fold(&alias.name))];
            scope.relations.push(relation_of(&named.query, &pg, qualifier, alias)?);
            return Ok(format!("{} {pg}", named.pg_name));
        }
        let full = names::table(name, self.session.request)?;
        let qualifier = match alias {
            Some(alias) => vec![names::fold(&alias.name)],
            None => vec![full.database.clone(), full.schema.clone(), full.name.clone()],
        };
        if full.schema == "INFORMATION_SCHEMA" {
            let query = information_schema::view(self.catalog, self.session, &full)?;
            let pg = self.alias();
            scope.relations.push(relation_of(&query, &pg, qualifier, alias)?);
            return Ok(format!("({}) {pg}", query.sql));
        }
        let entry = self.readable(&full)?;
        if let Some(view) = &entry.view_sql {
            let query = self.view(&entry, view, version)?;
            let pg = self.alias();
            scope.relations.push(relation_of(&query, &pg, qualifier, alias)?);
            return Ok(format!("({}) {pg}", query.sql));
        }
        let at = version.map(read_at).transpose()?;
        self.base_table(&entry, (qualifier, alias), at.as_ref(), scope)
    }

    fn base_table(
        &self,
        entry: &TableEntry,
        names: (Vec<String>, Option<&TableAlias>),
        at: Option<&At>,
        scope: &mut Scope<'_>,
    ) -> Result<String, SqlError> {
        let (qualifier, alias) = names;
        if alias.is_some_and(|alias| !alias.columns.is_empty()) {
            return Err(SqlError::unsupported("column names in a table's alias"));
        }
        self.tables.borrow_mut().insert(crate::names::shown(&entry.name));
        let moment = match at {
            None => self.session.visible_until,
            Some(at) => {
                let moment = self.moment_of(at)?;
                time_travel::check(entry, moment, self.session.now)?;
                moment.min(self.session.visible_until)
            }
        };
        let pg = self.alias();
        let columns = entry.columns.iter().map(|column| ScopeColumn {
            name: column.name.clone(),
            sql: format!("{pg}.{}", column.physical()),
            sql_type: column.sql_type,
            nullable: column.nullable,
            source: Some(entry.name.clone()),
            is_stored: true,
        });
        scope.relations.push(Relation {
            qualifier,
            columns: columns.collect(),
            base: Some((entry.id, pg.clone())),
        });
        let physical = entry.physical();
        // The history's condition stands inside, so that an outer join keeps its meaning.
        Ok(format!(
            "(select *, ctid as row_place from {physical} h where {}) {pg}",
            time_travel::visible("h", moment)
        ))
    }

    /// The value of an AT, computed before binding.
    fn moment_of(&self, at: &At) -> Result<i64, SqlError> {
        let known = self.session.moments.get(&at.key()).copied();
        known.ok_or_else(|| SqlError::unsupported(format!("AT({})", at.key())))
    }

    /// A table or view that is there and that the role may read.
    pub(crate) fn readable(&self, name: &TableName) -> Result<std::sync::Arc<TableEntry>, SqlError> {
        if !self.catalog.databases.contains_key(&name.database) {
            return Err(SqlError::no_such_object("Database", &name.database));
        }
        if !self.catalog.schema_exists(&name.database, &name.schema) {
            return Err(SqlError::no_such_object("Schema", &format!("{}.{}", name.database, name.schema)));
        }
        let table = self.catalog.table(name, self.session.request.role.as_deref());
        table.cloned().ok_or_else(|| SqlError::no_such_object("Object", &names::shown(name)))
    }

    /// A view is its SELECT with the names of its own schema; AT goes to the tables below.
    fn view(
        &self,
        entry: &TableEntry,
        sql: &str,
        version: Option<&TableVersion>,
    ) -> Result<BoundQuery, SqlError> {
        let mut query = parse::query(sql)?;
        if let Some(version) = version {
            time_travel::push_down(&mut query, version);
        }
        let mut request = self.session.request.clone();
        request.database = Some(entry.name.database.clone());
        request.schema = Some(entry.name.schema.clone());
        let session = Session {
            request: &request,
            now: self.session.now,
            visible_until: self.session.visible_until,
            timezone: self.session.timezone,
            moments: self.session.moments.clone(),
            large_tables: HashMap::new(),
            order_seed: self.session.order_seed,
        };
        let inner = Binder::new(self.catalog, &session);
        inner.next_alias.set(self.next_alias.get());
        inner.view_depth.set(self.view_depth.get());
        inner.enter_view()?;
        let bound = inner.query(&query, None);
        inner.leave_view();
        self.next_alias.set(inner.next_alias.get());
        self.tables.borrow_mut().extend(inner.tables());
        let mut bound = bound?;
        for (column, stored) in bound.columns.iter_mut().zip(&entry.columns) {
            column.name.clone_from(&stored.name);
            column.source = Some(entry.name.clone());
        }
        Ok(bound)
    }
}

/// The relation a query makes, under the PostgreSQL alias `pg`.
pub(crate) fn relation_of(
    query: &BoundQuery,
    pg: &str,
    qualifier: Vec<String>,
    alias: Option<&TableAlias>,
) -> Result<Relation, SqlError> {
    let renamed = alias.map(|alias| alias.columns.as_slice()).unwrap_or_default();
    if !renamed.is_empty() && renamed.len() != query.columns.len() {
        return Err(SqlError::syntax("an alias names a wrong number of columns"));
    }
    let columns = query.columns.iter().enumerate().map(|(index, column)| ScopeColumn {
        name: renamed.get(index).map_or_else(|| column.name.clone(), |new| names::fold(&new.name)),
        sql: format!("{pg}.o{}", index + 1),
        sql_type: if column.sql_type == SqlType::Null { SqlType::TEXT } else { column.sql_type },
        nullable: column.nullable,
        source: column.source.clone(),
        is_stored: false,
    });
    Ok(Relation { qualifier, columns: columns.collect(), base: None })
}

/// `AT(TIMESTAMP => x)` or `AT(OFFSET => n)`.
pub(crate) fn read_at(version: &TableVersion) -> Result<At, SqlError> {
    let TableVersion::Function(Expr::Function(Function {
        name, args: FunctionArguments::List(list), ..
    })) = version
    else {
        return Err(SqlError::unsupported(format!("time travel clause {version}")));
    };
    let word = name.to_string().to_ascii_uppercase();
    match list.args.as_slice() {
        [
            FunctionArg::Named {
                name,
                arg: FunctionArgExpr::Expr(expr),
                operator: FunctionArgOperator::RightArrow,
            },
        ] if word == "AT" => at_of(&name.value, expr),
        [
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(expr),
                operator: FunctionArgOperator::RightArrow,
            },
        ] if word == "AT" => at_of(&name.value, expr),
        _ => Err(SqlError::unsupported(format!("time travel clause {version}"))),
    }
}

fn at_of(word: &str, expr: &Expr) -> Result<At, SqlError> {
    match word.to_ascii_uppercase().as_str() {
        "TIMESTAMP" => Ok(At::Timestamp(expr.clone())),
        "OFFSET" => Ok(At::Offset(expr.clone())),
        other => Err(SqlError::unsupported(format!("AT({other} => ..)"))),
    }
}

/// The WITH names a sub-select in FROM can see; the other relations beside it it cannot.
fn all_named(scope: &Scope<'_>) -> Vec<super::scope::NamedQuery> {
    let mut all = scope.parent.map(all_named).unwrap_or_default();
    all.extend(scope.named_queries.iter().cloned());
    all
}

/// The columns of a relation's output, for callers that build one by hand.
pub(crate) fn stored(name: &str, sql_type: SqlType, nullable: bool) -> super::query::OutColumn {
    super::query::OutColumn { name: name.to_owned(), sql_type, nullable, source: None, is_stored: false }
}
