//! Faults on demand: rules set through the admin endpoint, and which request each one strikes.
//!
//! A rule has a match (what requests, how many to spare, how many to strike) and an action. Of several rules that
//! match, the oldest with strikes left is taken. What an action does to a response is in `fault_actions`.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RequestKind {
    /// `POST /api/v2/statements`
    Submit,
    /// `GET /api/v2/statements/{handle}`, and `?partition=0`
    Poll,
    /// `GET /api/v2/statements/{handle}?partition=N`, N >= 1
    Partition,
    /// `POST /api/v2/statements/{handle}/cancel`
    Cancel,
}

/// Which requests a rule strikes; what is absent matches everything.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Match {
    kind: Option<RequestKind>,
    /// Case-insensitive part of the statement's text.
    sql_contains: Option<String>,
    /// Part of the statement's query tag.
    query_tag_contains: Option<String>,
    user: Option<String>,
    partition: Option<usize>,
    /// Matching requests to let pass first.
    after: u64,
    /// Requests to strike, then the rule is spent; absent: 1; 0: without end.
    times: Option<u64>,
}

/// What a struck request meets.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Action {
    /// An HTTP status instead of an answer.
    Status(StatusAction),
    /// A SQL error of the statement instead of its result.
    SqlError(SqlErrorAction),
    /// Everything else, by name.
    Named(NamedAction),
}

/// `{"status": 503, "retry_after": 2}`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusAction {
    /// 400 to 599.
    pub(crate) status: u16,
    /// Seconds in a `Retry-After` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
    /// An HTML page, as gateways send, instead of JSON.
    #[serde(default)]
    pub(crate) html: bool,
}

/// `{"sql_error": {"code": "000606", "sql_state": "57P03", "message": "..."}}`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlErrorAction {
    /// The error.
    pub(crate) sql_error: SqlErrorText,
}

/// A SQL error as the 422 body has it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlErrorText {
    pub(crate) code: String,
    pub(crate) sql_state: String,
    pub(crate) message: String,
}

/// `"hang"`, `{"cut_after_bytes": 1000}` and so on.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NamedAction {
    /// No answer, ever.
    Hang,
    /// No answer for so long, then the right one.
    HangSeconds(f64),
    /// The connection is closed; nothing was done.
    CutConnection,
    /// The request is carried out, then the connection is closed without an answer.
    LoseResponse,
    /// The connection is closed after so many bytes of the body.
    CutAfterBytes(u64),
    /// A complete HTTP response whose gzip stream ends in the middle.
    TruncatedGzip,
    /// A complete HTTP response with damaged bytes inside its gzip stream.
    CorruptGzip,
    /// This very token has expired: 401 for it, from now on.
    ExpiredToken,
    /// The user's key (or token) was removed: 401 for all of the user's requests while the rule has strikes.
    RevokedKey,
    /// The result is gone for good: 422, 000709.
    ExpiredHandle,
    /// One row less than the metadata says.
    WrongRowCount,
    /// The bytes of the next partition instead.
    OtherPartitionBytes,
    /// The statement fails with 000707.
    SnapshotGone,
    /// 200 with code 391908: the data is not all there.
    ResultTooLarge,
    /// 422 with code 391908.
    #[serde(rename = "result_too_large_422")]
    ResultTooLarge422,
    /// The body at this speed.
    SlowBytesPerSecond(u64),
    /// 202 although the statement is done.
    StillRunning,
    /// 429 with a statementHandle: still running, as some deployments say it.
    #[serde(rename = "still_running_429")]
    StillRunning429,
    /// Of a submission: the statement runs for so long before it gives rows.
    TakesSeconds(f64),
    /// The same, until the virtual clock has been moved on by so much.
    TakesVirtualSeconds(u32),
    /// 408: the statement hit its timeout.
    StatementTimeout,
}

/// `POST /faults`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    #[serde(rename = "match", default)]
    matches: Match,
    action: Action,
}

/// A rule in force, as `GET /faults` shows it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ActiveRule {
    id: u64,
    #[serde(flatten)]
    rule: Rule,
    seen: u64,
    struck: u64,
}

/// What a rule looks at in a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) kind: RequestKind,
    pub(crate) sql: &'a str,
    pub(crate) query_tag: &'a str,
    pub(crate) user: &'a str,
    pub(crate) partition: Option<usize>,
}

/// All rules.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Rules>);

#[derive(Debug, Default)]
struct Rules {
    last_id: u64,
    active: Vec<ActiveRule>,
}

impl Faults {
    /// Adds a rule; gives its id.
    pub(crate) fn add(&self, rule: Rule) -> u64 {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.last_id += 1;
        let id = rules.last_id;
        rules.active.push(ActiveRule { id, rule, seen: 0, struck: 0 });
        id
    }

    /// Removes one rule, or with `None` all; says whether there was anything to remove.
    pub(crate) fn remove(&self, id: Option<u64>) -> bool {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rules.active.len();
        rules.active.retain(|rule| id.is_some_and(|id| rule.id != id));
        rules.active.len() < before
    }

    /// All rules with what they have seen and struck, spent ones included.
    pub(crate) fn list(&self) -> Vec<ActiveRule> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).active.clone()
    }

    /// The action that strikes this request, if any; counts it.
    pub(crate) fn strike(&self, target: &Target<'_>) -> Option<Action> {
        let mut rules = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for active in &mut rules.active {
            if !active.rule.matches.covers(target) {
                continue;
            }
            active.seen += 1;
            let limit = active.rule.matches.times.unwrap_or(1);
            if active.seen <= active.rule.matches.after || (limit > 0 && active.struck >= limit) {
                continue;
            }
            active.struck += 1;
            return Some(active.rule.action.clone());
        }
        None
    }
}

impl Match {
    fn covers(&self, target: &Target<'_>) -> bool {
        let upper = |text: &str| text.to_uppercase();
        self.kind.is_none_or(|kind| kind == target.kind)
            && self.sql_contains.as_ref().is_none_or(|part| upper(target.sql).contains(&upper(part)))
            && self.query_tag_contains.as_ref().is_none_or(|part| target.query_tag.contains(part))
            && self.user.as_ref().is_none_or(|user| user.eq_ignore_ascii_case(target.user))
            && self.partition.is_none_or(|partition| Some(partition) == target.partition)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(value: serde_json::Value) -> Rule {
        serde_json::from_value(value).unwrap()
    }

    fn target(kind: RequestKind, partition: Option<usize>) -> Target<'static> {
        Target { kind, sql: "select * from ORDERS", query_tag: "run-1", user: "LOADER", partition }
    }

    #[test]
    fn a_rule_spares_the_first_and_strikes_as_often_as_told() {
        let faults = Faults::default();
        faults.add(rule(json!({"match": {"kind": "partition", "after": 1, "times": 2}, "action": "hang"})));
        let struck: Vec<_> =
            (0..5).map(|_| faults.strike(&target(RequestKind::Partition, Some(3))).is_some()).collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert!(faults.strike(&target(RequestKind::Poll, None)).is_none());
    }

    #[test]
    fn sql_partition_and_user_narrow_a_rule() {
        let faults = Faults::default();
        let matches = json!({"sql_contains": "from orders", "partition": 2, "user": "loader", "times": 0});
        faults.add(rule(json!({"match": matches, "action": {"cut_after_bytes": 10}})));
        assert!(faults.strike(&target(RequestKind::Partition, Some(1))).is_none());
        for _ in 0..3 {
            assert!(faults.strike(&target(RequestKind::Partition, Some(2))).is_some());
        }
        assert!(faults.remove(None));
        assert!(faults.strike(&target(RequestKind::Partition, Some(2))).is_none());
    }

    #[test]
    fn every_documented_action_is_read_and_an_unknown_one_is_not() {
        for action in [
            json!({"status": 429, "retry_after": 2}),
            json!({"status": 503, "html": true}),
            json!({"sql_error": {"code": "000606", "sql_state": "57P03", "message": "no warehouse"}}),
            json!("hang"),
            json!({"hang_seconds": 0.5}),
            json!("cut_connection"),
            json!("lose_response"),
            json!({"slow_bytes_per_second": 1000}),
            json!({"takes_seconds": 0.5}),
            json!({"takes_virtual_seconds": 3600}),
            json!("result_too_large_422"),
            json!("still_running_429"),
        ] {
            rule(json!({"match": {}, "action": action}));
        }
        for wrong in [json!({"action": "explode"}), json!({"match": {"sqlcontains": "x"}, "action": "hang"})]
        {
            assert!(serde_json::from_value::<Rule>(wrong).is_err());
        }
    }
}
