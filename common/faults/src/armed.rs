//! The armed form of the fault points: reads `THAW_FAULT_POINTS` once and counts hits.
//!
//! It must not know what the points mean. A setting it cannot read ends the process: a test whose fault never
//! happens would prove nothing.

use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The variable that arms the points.
const VARIABLE: &str = "THAW_FAULT_POINTS";

/// Longer than a signal takes to arrive.
const STANDSTILL: std::time::Duration = std::time::Duration::from_millis(300);

/// What happens at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// SIGKILL to this process.
    Kill,
    /// SIGSTOP to this process; it goes on after SIGCONT.
    Stop,
    Panic,
}

#[derive(Debug)]
struct Fault {
    point: String,
    action: Action,
    /// Happens at this hit, counted from 1, and at no other.
    at_hit: u32,
    hits: AtomicU32,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (point, rest) = text.split_once('=').ok_or_else(|| format!("`{text}` is not point=action"))?;
        let (action, at_hit) = match rest.split_once('@') {
            Some((action, hit)) => {
                (action, hit.parse().map_err(|_| format!("`{hit}` is not a number of hits"))?)
            }
            None => (rest, 1),
        };
        let action = match action {
            "kill" => Action::Kill,
            "stop" => Action::Stop,
            "panic" => Action::Panic,
            _ => return Err(format!("`{action}` is not kill, stop or panic")),
        };
        Ok(Self { point: point.trim().to_owned(), action, at_hit, hits: AtomicU32::new(0) })
    }
}

/// Does what `THAW_FAULT_POINTS` says about this point: nothing, mostly.
///
/// # Panics
/// When told to, and when the variable cannot be read as a list of faults.
pub fn reach(point: &'static str) {
    for fault in faults().iter().filter(|fault| fault.point == point) {
        if fault.hits.fetch_add(1, Ordering::SeqCst) + 1 == fault.at_hit {
            tracing::warn!(point, action = ?fault.action, "fault point reached");
            happen(point, fault.action);
        }
    }
}

fn happen(point: &str, action: Action) {
    let signal = match action {
        Action::Kill => rustix::process::Signal::KILL,
        Action::Stop => rustix::process::Signal::STOP,
        Action::Panic => panic!("fault point {point}"),
    };
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), signal) {
        panic!("fault point {point}: {error}");
    }
    // Some thread of the process takes the signal, on a busy machine not at once; this one must not go past the point.
    std::thread::sleep(STANDSTILL);
}

fn faults() -> &'static [Fault] {
    static FAULTS: OnceLock<Vec<Fault>> = OnceLock::new();
    FAULTS.get_or_init(|| {
        let faults = parse(&variable());
        match faults {
            Ok(faults) => faults,
            Err(reason) => panic!("{VARIABLE}: {reason}"),
        }
    })
}

fn parse(text: &str) -> Result<Vec<Fault>, String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::parse).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "fault points are for tests, which configure the product as users do"
)]
fn variable() -> String {
    std::env::var(VARIABLE).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_faults_is_read() {
        let faults = parse("after_claim=kill, before_commit=stop@3,").expect("valid");
        let read: Vec<_> = faults.iter().map(|f| (f.point.as_str(), f.action, f.at_hit)).collect();
        assert_eq!(read, [("after_claim", Action::Kill, 1), ("before_commit", Action::Stop, 3)]);
        assert!(parse("").expect("nothing armed").is_empty());
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_refused() {
        for text in ["after_claim", "after_claim=explode", "after_claim=kill@soon"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_point_that_is_not_armed_does_nothing() {
        reach("no_such_point");
    }
}
