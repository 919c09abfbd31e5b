//! The safe bound: the value from which on everything must be read, so that no row is ever stepped over.
//!
//! It is the least of three values, each of which some row could lie above: the greatest one in the target, the
//! greatest one the source had at the entry's last completed table, and the bounds of the tables since that did not
//! complete. The lookback goes below the first two; the bounds of earlier tables lie a lookback down already.

use thaw_model::TargetType;

use super::asked::AskedValue;
use super::lookback::Step;
use super::value::WatermarkValue;

/// One started table of the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Past {
    /// Everything from `low` on (`None`: from the beginning) is in the target.
    Completed {
        low: Option<WatermarkValue>,
        /// The source's greatest value at its snapshot; `None`: unknown.
        high: Option<WatermarkValue>,
    },
    /// Rows from `from` on (`None`: any row) may be missing: it failed, was cancelled, is open, or read from above its
    /// safe bound.
    Gap { from: Option<WatermarkValue> },
}

/// What earlier runs did to the target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The entry's started tables, oldest first.
    pub tables: Vec<Past>,
    /// Another entry was started on the target, or may have rows there that nobody can tell from this one's.
    pub others_loaded: bool,
    /// One was started that is not in the configuration.
    pub strangers_loaded: bool,
    /// Another entry has emptied the target since the entry's last completed table.
    pub emptied_since: bool,
    /// The last run of the old script on the target was not completed, and no full load has followed.
    pub legacy_unfinished: bool,
}

/// The greatest watermark of the entry's rows in the target, at or below the snapshot's moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetGreatest {
    /// The target has no row.
    Empty,
    /// There are rows, but none with such a value.
    Missing,
    /// Other entries' rows cannot be told apart: the filter cannot be translated.
    Untranslated,
    /// Without keys: who loaded the rows may have rounded what the source keeps in more digits, so the tail that is deleted
    /// and the one that is read would not be the same rows.
    Rounded,
    Value(WatermarkValue),
}

/// Everything the decision looks at.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub target: &'a TargetGreatest,
    pub history: &'a History,
    pub lookback: Step,
    /// Bounds are brought down to the digits it keeps.
    pub target_type: &'a TargetType,
    pub asked: &'a AskedValue,
}

/// What is read, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Rows from this value on, and those without one; `None`: all rows.
    pub low: Option<WatermarkValue>,
    /// The safe bound; `None`: there is none.
    pub safe: Option<WatermarkValue>,
    /// Rows between the safe bound and `low` are not read: the next bound stays at the safe one.
    pub leaves_gap: bool,
    /// The greatest value the source had at the last completed table: still true when this one sees no value.
    pub carried_high: Option<WatermarkValue>,
    pub choice: &'static str,
    pub reason: String,
}

impl Reading {
    /// Everything is read, for a reason that has nothing to do with values.
    #[must_use]
    pub fn everything(reason: &str) -> Self {
        Self {
            low: None,
            safe: None,
            leaves_gap: false,
            carried_high: None,
            choice: "none",
            reason: reason.to_owned(),
        }
    }

    /// Whether a row with this watermark is read: what `(wm >= bound or wm is null)` says.
    #[must_use]
    pub fn reads(&self, watermark: Option<&WatermarkValue>) -> bool {
        match (&self.low, watermark) {
            (None, _) | (_, None) => true,
            (Some(low), Some(value)) => value >= low,
        }
    }
}

/// Decides what is read.
#[must_use]
pub fn decide(evidence: Evidence<'_>) -> Reading {
    let floored = |value: WatermarkValue| value.floored_to(evidence.target_type);
    let (safe, choice, reason) = match safe_bound(evidence).map(|(value, rule)| (floored(value), rule)) {
        Ok((value, _)) if value.to_text().is_none() => {
            (None, "none", "the bound lies before the calendar's first day")
        }
        Ok((value, rule)) => (Some(value), rule.choice(), rule.reason()),
        Err(reason) => (None, "none", reason),
    };
    let ordinary = Reading {
        low: safe.clone(),
        carried_high: safe.is_some().then(|| last_high(evidence.history)).flatten(),
        safe,
        leaves_gap: false,
        choice,
        reason: reason.to_owned(),
    };
    match evidence.asked {
        AskedValue::Bound => ordinary,
        AskedValue::Full => {
            Reading { low: None, choice: "none", reason: "--full reads everything".into(), ..ordinary }
        }
        AskedValue::Since(value) => {
            let value = floored(value.clone());
            let leaves_gap = ordinary.safe.as_ref().is_none_or(|safe| value > *safe);
            let reason = if leaves_gap {
                "given, above the safe bound: what lies between is left to the next run, which does not begin later than \
                 without it"
            } else {
                "given, at or below the safe bound"
            };
            Reading {
                low: Some(value),
                leaves_gap,
                choice: "the value of --since",
                reason: reason.to_owned(),
                ..ordinary
            }
        }
    }
}

/// Which of the three values was the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Target,
    LastCompleted,
    Gap,
}

impl Rule {
    const fn choice(self) -> &'static str {
        match self {
            Self::Target => "MAX(target) minus the lookback",
            Self::LastCompleted => "the source's MAX at the last completed run minus the lookback",
            Self::Gap => "the bound of a run that did not complete",
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Target => {
                "the greatest watermark of the target, at or below the snapshot, is the least of what is known"
            }
            Self::LastCompleted => {
                "what the source held when the entry was last completed lies below MAX(target), so later rows may be missing"
            }
            Self::Gap => {
                "a run since then was started and not completed, so rows from its bound on may be missing"
            }
        }
    }
}

fn safe_bound(evidence: Evidence<'_>) -> Result<(WatermarkValue, Rule), &'static str> {
    let Evidence { target, history, lookback, .. } = evidence;
    let greatest = match target {
        TargetGreatest::Empty => return Err("the target is empty"),
        _ if history.legacy_unfinished => {
            return Err("the last run of the old script on this target was not completed");
        }
        TargetGreatest::Untranslated => {
            return Err(
                "other entries load the same target, and the filter cannot be translated to tell this entry's rows",
            );
        }
        _ if history.others_loaded && last_completed(history).is_none() => {
            return Err("another entry loads this target, and this entry has no completed run of its own");
        }
        _ if history.emptied_since => {
            return Err("another entry has emptied the target since the last completed run");
        }
        TargetGreatest::Rounded => {
            return Err(
                "the rows there were not loaded by Thaw, which cannot know how the source's finer watermarks were rounded",
            );
        }
        TargetGreatest::Missing => {
            return Err("the target has no watermark at or below the snapshot's moment");
        }
        TargetGreatest::Value(value) => value,
    };
    let mut least = (lookback.below(greatest), Rule::Target);
    if let Some((_, high)) = last_completed(history) {
        let high = high.ok_or("it is not known what the source held when the entry was last completed")?;
        let high = lookback.below(high);
        if high < least.0 {
            least = (high, Rule::LastCompleted);
        }
    }
    for from in gaps(history) {
        let from = from.ok_or("a run that read everything was started and not completed")?;
        // Of equal values the gap is the one to name: somebody may want to know of it.
        if *from <= least.0 {
            least = (from.clone(), Rule::Gap);
        }
    }
    Ok(least)
}

/// Bound and greatest value of the last completed table.
fn last_completed(history: &History) -> Option<(Option<&WatermarkValue>, Option<&WatermarkValue>)> {
    history.tables.iter().rev().find_map(|past| match past {
        Past::Completed { low, high } => Some((low.as_ref(), high.as_ref())),
        Past::Gap { .. } => None,
    })
}

fn last_high(history: &History) -> Option<WatermarkValue> {
    last_completed(history).and_then(|(_, high)| high.cloned())
}

/// Where the gaps that are still open begin. A later completed table that began at or below one has closed it.
fn gaps(history: &History) -> Vec<Option<&WatermarkValue>> {
    let mut open: Vec<Option<&WatermarkValue>> = Vec::new();
    for past in &history.tables {
        match past {
            Past::Gap { from } => open.push(from.as_ref()),
            Past::Completed { low: None, .. } => open.clear(),
            Past::Completed { low: Some(low), .. } => open.retain(|from| from.is_none_or(|from| low > from)),
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use thaw_config::Lookback;

    use super::super::value::Kind;
    use super::*;

    fn number(value: i128) -> WatermarkValue {
        WatermarkValue::Number(value)
    }

    fn completed(low: Option<i128>, high: Option<i128>) -> Past {
        Past::Completed { low: low.map(number), high: high.map(number) }
    }

    fn gap(from: Option<i128>) -> Past {
        Past::Gap { from: from.map(number) }
    }

    fn lookback(seconds: u64) -> Step {
        Step::of(Kind::Number, Lookback::Exactly(std::time::Duration::from_secs(seconds)), true)
    }

    fn decided(target: i128, tables: Vec<Past>) -> Reading {
        let history = History { tables, ..History::default() };
        decided_of(&TargetGreatest::Value(number(target)), &history, &AskedValue::Bound)
    }

    fn decided_of(target: &TargetGreatest, history: &History, asked: &AskedValue) -> Reading {
        decide(Evidence { target, history, lookback: lookback(10), target_type: &TargetType::Int8, asked })
    }

    #[test]
    fn without_a_history_the_target_alone_decides() {
        let reading = decided(100, vec![]);
        assert_eq!((reading.low, reading.choice), (Some(number(90)), "MAX(target) minus the lookback"));
    }

    #[test]
    fn what_the_source_held_at_the_last_completed_table_is_a_bound_too() {
        // Somebody has written a younger row into the target, or the run had no snapshot.
        let reading = decided(100, vec![completed(None, Some(70))]);
        assert_eq!(reading.low, Some(number(60)));
        assert!(reading.choice.contains("last completed"), "{}", reading.choice);
        assert_eq!(decided(50, vec![completed(None, Some(70))]).low, Some(number(40)));
        assert_eq!(decided(100, vec![completed(None, None)]).low, None);
    }

    #[test]
    fn note_11_the_bound_of_a_table_that_did_not_complete_stays_until_a_lower_one_completes() {
        let full = || completed(None, Some(70));
        assert_eq!(decided(200, vec![full(), gap(Some(60))]).low, Some(number(60)));
        // Failed again and again: the bound does not drift.
        assert_eq!(decided(200, vec![full(), gap(Some(60)), gap(Some(60))]).low, Some(number(60)));
        let released = vec![full(), gap(Some(60)), completed(Some(60), Some(180))];
        assert_eq!(decided(200, released).low, Some(number(170)));
        let not_released = vec![full(), gap(Some(60)), completed(Some(61), Some(180))];
        assert_eq!(decided(200, not_released).low, Some(number(60)));
        // A completed table before the gap releases nothing.
        assert_eq!(decided(200, vec![completed(Some(20), Some(150)), gap(Some(60))]).low, Some(number(60)));
    }

    #[test]
    fn a_failed_initial_load_leaves_no_bound() {
        assert_eq!(decided(100, vec![gap(None)]).low, None);
        // Only what reads everything makes up for it.
        assert_eq!(decided(100, vec![gap(None), completed(Some(5), Some(90))]).low, None);
        assert_eq!(decided(100, vec![gap(None), completed(None, Some(90))]).low, Some(number(80)));
    }

    #[test]
    fn an_entry_on_a_target_that_another_has_loaded_begins_without_a_bound() {
        let target = TargetGreatest::Value(number(100));
        let others = |tables| History { tables, others_loaded: true, ..History::default() };
        assert_eq!(decided_of(&target, &others(vec![]), &AskedValue::Bound).low, None);
        assert_eq!(decided_of(&target, &others(vec![gap(Some(5))]), &AskedValue::Bound).low, None);
        let own = others(vec![completed(None, Some(90))]);
        assert_eq!(decided_of(&target, &own, &AskedValue::Bound).low, Some(number(80)));
        assert_eq!(decided_of(&TargetGreatest::Untranslated, &own, &AskedValue::Bound).low, None);
        let emptied = History { emptied_since: true, ..own };
        assert_eq!(decided_of(&target, &emptied, &AskedValue::Bound).low, None);
        let legacy = History { legacy_unfinished: true, ..History::default() };
        assert_eq!(decided_of(&target, &legacy, &AskedValue::Bound).low, None);
    }

    #[test]
    fn full_reads_everything_and_since_only_what_was_asked() {
        let target = TargetGreatest::Value(number(100));
        let history = History { tables: vec![completed(None, Some(100))], ..History::default() };
        let full = decided_of(&target, &history, &AskedValue::Full);
        assert_eq!((full.low, full.leaves_gap), (None, false));
        for (value, leaves_gap) in [(91, true), (90, false), (3, false)] {
            let reading = decided_of(&target, &history, &AskedValue::Since(number(value)));
            assert_eq!((reading.low, reading.leaves_gap), (Some(number(value)), leaves_gap), "{value}");
            assert_eq!(reading.safe, Some(number(90)));
        }
        let empty = decided_of(&TargetGreatest::Empty, &History::default(), &AskedValue::Since(number(3)));
        assert_eq!((empty.safe, empty.leaves_gap), (None, true));
    }

    #[test]
    fn note_28_rows_without_a_watermark_are_always_read() {
        let reading = decided(100, vec![]);
        assert!(reading.reads(None) && reading.reads(Some(&number(90))) && !reading.reads(Some(&number(89))));
    }
}
