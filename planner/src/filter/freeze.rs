//! The filter as it is sent. What a function of the clock would say is decided once, from the source's clock, so that
//! the chunks of a table agree however long they take and whoever reads them: the calls become literals in the tree.
//! A filter without such calls is sent as it is written.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, TableFactor, Value, Visit, VisitMut,
    Visitor, VisitorMut,
};
use thaw_model::ident::sf_literal;
use thaw_model::plan::Decision;
use thaw_worker::encode::Zone;
use time::OffsetDateTime;
use time::macros::format_description;

use super::{FilterError, parse};

/// Functions whose answer is another for every row or every statement. docs.snowflake.com/en/sql-reference: "Data
/// generation functions" and "Context functions".
const VOLATILE: [&str; 14] = [
    "RANDOM",
    "RANDSTR",
    "UNIFORM",
    "NORMAL",
    "ZIPF",
    "SEQ1",
    "SEQ2",
    "SEQ4",
    "SEQ8",
    "UUID_STRING",
    "LAST_QUERY_ID",
    "CURRENT_SESSION",
    "CURRENT_STATEMENT",
    "CURRENT_TRANSACTION",
];

/// A filter that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SentFilter {
    /// `None`: the entry has no filter.
    pub text: Option<String>,
    /// The functions of the clock that became literals.
    pub frozen: Vec<String>,
    /// What may answer differently each time it is asked: the filter selects other rows for every statement.
    pub volatile: Vec<String>,
    /// It reads other tables, which no snapshot covers.
    pub has_subquery: bool,
}

impl SentFilter {
    /// What was done with the filter, for the plan.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        let decision = |choice: &str, reason: String| Decision {
            subject: "source_filter".into(),
            choice: choice.into(),
            reason,
        };
        let mut decisions = Vec::new();
        if !self.frozen.is_empty() {
            let reason = format!("{}: asked once, so that all chunks agree", self.frozen.join(", "));
            decisions.push(decision("the clock's functions are literals", reason));
        }
        if !self.volatile.is_empty() {
            let reason = format!("{}: other rows for every statement", self.volatile.join(", "));
            decisions.push(decision("read by one statement alone", reason));
        }
        if self.has_subquery {
            let reason = "Time Travel is set per table: what a subquery reads is as it is at that moment";
            decisions.push(decision("a subquery is not under the snapshot", reason.to_owned()));
        }
        decisions
    }
}

/// Replaces the clock's functions by what `server_time` (seconds since the epoch, as the wire spells a TIMESTAMP_LTZ)
/// says in `timezone`, and looks for what cannot be decided once.
///
/// # Errors
/// A filter that is no single expression, or one whose rewritten tree would not read back as it is.
pub fn freeze(filter: &str, server_time: &str, timezone: &str) -> Result<SentFilter, FilterError> {
    let mut tree = parse(filter)?;
    let mut sent = SentFilter { text: Some(filter.to_owned()), ..SentFilter::default() };
    let mut inspector = Inspector { sent: &mut sent };
    if Visit::visit(&tree, &mut inspector).is_break() {
        return Err(FilterError::NotFrozen);
    }
    let clock = Clock::read(server_time, timezone);
    let mut freezer = Freezer { clock, frozen: Vec::new() };
    if VisitMut::visit(&mut tree, &mut freezer).is_break() {
        return Err(FilterError::NotFrozen);
    }
    if !freezer.frozen.is_empty() {
        let text = tree.to_string();
        if parse(&text) != Ok(tree) {
            return Err(FilterError::NotFrozen);
        }
        sent.text = Some(text);
        sent.frozen = freezer.frozen;
    }
    Ok(sent)
}

/// Looks without changing anything.
struct Inspector<'a> {
    sent: &'a mut SentFilter,
}

impl Inspector<'_> {
    fn volatile(&mut self, name: &str) {
        if !self.sent.volatile.iter().any(|known| known == name) {
            self.sent.volatile.push(name.to_owned());
        }
    }
}

impl Visitor for Inspector<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                self.sent.has_subquery = true;
            }
            Expr::Function(function) => {
                let name = name_of(function);
                if VOLATILE.contains(&name.as_str()) {
                    self.volatile(&name);
                }
            }
            Expr::CompoundIdentifier(parts) => {
                let last = parts.last().filter(|part| part.quote_style.is_none());
                if last.is_some_and(|part| part.value.eq_ignore_ascii_case("NEXTVAL")) {
                    self.volatile("NEXTVAL");
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { sample: Some(_), .. } = factor {
            self.volatile("SAMPLE");
        }
        ControlFlow::Continue(())
    }
}

struct Freezer {
    clock: Option<Clock>,
    frozen: Vec<String>,
}

impl VisitorMut for Freezer {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = name_of(function);
        let Some(kind) = ClockFunction::named(&name) else { return ControlFlow::Continue(()) };
        let literal = digits(function)
            .zip(self.clock.as_ref())
            .and_then(|(digits, clock)| clock.literal(kind, digits))
            .and_then(|text| parse(&text).ok());
        let Some(literal) = literal else { return ControlFlow::Break(()) };
        *expr = literal;
        if !self.frozen.contains(&name) {
            self.frozen.push(name);
        }
        ControlFlow::Continue(())
    }
}

/// The bare name in upper case; a name with a schema is a function of the user.
fn name_of(function: &Function) -> String {
    function.name.to_string().to_ascii_uppercase()
}

/// The precision that is asked for; `None` where the arguments are something else.
fn digits(function: &Function) -> Option<u8> {
    match &function.args {
        FunctionArguments::None => Some(9),
        FunctionArguments::List(list) => match list.args.as_slice() {
            [] => Some(9),
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] => match &value.value {
                Value::Number(digits, false) => digits.parse().ok().filter(|digits| *digits <= 9),
                _ => None,
            },
            _ => None,
        },
        FunctionArguments::Subquery(_) => None,
    }
}

/// docs.snowflake.com/en/sql-reference/functions-context, by the type they return.
#[derive(Clone, Copy)]
enum ClockFunction {
    /// DATE of the session's zone.
    Date,
    /// TIME of the session's zone.
    Time,
    /// TIMESTAMP_LTZ.
    Instant,
    /// TIMESTAMP_NTZ of UTC.
    UtcWall,
}

impl ClockFunction {
    fn named(name: &str) -> Option<Self> {
        match name {
            "CURRENT_DATE" => Some(Self::Date),
            "CURRENT_TIME" | "LOCALTIME" => Some(Self::Time),
            "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" | "GETDATE" | "SYSTIMESTAMP" => Some(Self::Instant),
            "SYSDATE" => Some(Self::UtcWall),
            _ => None,
        }
    }
}

/// One moment.
struct Clock {
    /// Nanoseconds since the epoch.
    instant: i128,
    /// The wall clock of the session's zone, as nanoseconds.
    wall: i128,
}

impl Clock {
    fn read(server_time: &str, timezone: &str) -> Option<Self> {
        let (seconds, fraction) = server_time.split_once('.').unwrap_or((server_time, "0"));
        let seconds: i128 = seconds.parse().ok()?;
        let nanos: i128 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        let instant = seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?;
        Some(Self { instant, wall: Zone::named(timezone)?.wall(instant)? })
    }

    fn literal(&self, kind: ClockFunction, digits: u8) -> Option<String> {
        let unit = 10_i128.pow(9 - u32::from(digits.min(9)));
        let at = |nanos: i128| OffsetDateTime::from_unix_timestamp_nanos(nanos.div_euclid(unit) * unit).ok();
        let day = format_description!("[year]-[month]-[day]");
        let clock = format_description!("[hour]:[minute]:[second].[subsecond digits:9]");
        let both = format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:9]");
        Some(match kind {
            ClockFunction::Date => format!("{}::DATE", sf_literal(&at(self.wall)?.format(day).ok()?)),
            ClockFunction::Time => format!("{}::TIME(9)", sf_literal(&at(self.wall)?.format(clock).ok()?)),
            ClockFunction::Instant => {
                let text = format!("{} +0000", at(self.instant)?.format(both).ok()?);
                format!("{}::TIMESTAMP_LTZ(9)", sf_literal(&text))
            }
            ClockFunction::UtcWall => {
                format!("{}::TIMESTAMP_NTZ(9)", sf_literal(&at(self.instant)?.format(both).ok()?))
            }
        })
    }
}
