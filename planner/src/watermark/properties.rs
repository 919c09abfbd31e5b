//! Over histories of several runs nothing is ever skipped: a model of a source whose rows commit in any order, and of a
//! target that loads what the real decision says, through the texts that the status tables keep.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use thaw_config::Lookback;
use thaw_model::{PgIdent, SfIdent, SourceType, TableId, TableState, TargetType};
use thaw_status::{OtherTables, PastTable};

use super::asked::{Asked, AskedValue};
use super::bound::{self, Evidence, Reading, TargetGreatest};
use super::history;
use super::lookback::Step;
use super::value::{Kind, WatermarkValue};
use crate::columns::Watermark;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
/// 2024-01-01 00:00:00.
const BEGIN: i128 = 1_704_067_200 * SECOND;
const LOOKBACK: i128 = 3600 * SECOND;

/// How a run ends, by chunk: which of its rows it has committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Completed,
    /// A part of the rows arrived: the chunk given by its seed.
    Partial(u8),
    /// Started, no row arrived.
    Failed,
    Cancelled(u8),
    Superseded(u8),
    /// Its planner died before the start: the target is untouched.
    NeverStarted,
    /// Another run is planned while this one still loads.
    StillOpen(u8),
}

#[derive(Debug, Clone)]
enum Ask {
    Bound,
    Full,
    /// Seconds before the clock.
    Since(u32),
}

#[derive(Debug, Clone)]
enum Event {
    /// So many seconds pass.
    Tick(u32),
    /// A row with the watermark `now - behind` becomes visible now; late within the lookback of what was ever seen.
    Commit {
        behind_ns: i64,
    },
    Null,
    /// 9999-12-31, or a clock that runs ahead.
    Sentinel {
        ahead_secs: Option<u32>,
    },
    /// A row of the source is stamped and written again.
    Update {
        which: u16,
    },
    Delete {
        which: u16,
    },
    Run {
        ask: Ask,
        end: End,
    },
    /// The last run, where it ended without completing, is resumed: its own plan and snapshot, all chunks now.
    Resume,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        5 => Just(End::Completed),
        2 => any::<u8>().prop_map(End::Partial),
        1 => Just(End::Failed),
        1 => any::<u8>().prop_map(End::Cancelled),
        1 => any::<u8>().prop_map(End::Superseded),
        1 => Just(End::NeverStarted),
        1 => any::<u8>().prop_map(End::StillOpen),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let ask = prop_oneof![
        8 => Just(Ask::Bound),
        1 => Just(Ask::Full),
        3 => (0_u32..20_000).prop_map(Ask::Since),
    ];
    prop_oneof![
        3 => (1_u32..10_000).prop_map(Event::Tick),
        6 => prop_oneof![0_i64..2_000, 0_i64..3_600_000_000_000].prop_map(|behind_ns| Event::Commit { behind_ns }),
        1 => Just(Event::Null),
        1 => proptest::option::of(1_u32..5_000).prop_map(|ahead_secs| Event::Sentinel { ahead_secs }),
        1 => any::<u16>().prop_map(|which| Event::Update { which }),
        1 => any::<u16>().prop_map(|which| Event::Delete { which }),
        5 => (ask, end()).prop_map(|(ask, end)| Event::Run { ask, end }),
        1 => Just(Event::Resume),
    ]
}

/// What a watermark column of the model is like.
#[derive(Debug, Clone, Copy)]
struct Column {
    kind: Kind,
    /// Digits of a second that the target keeps.
    precision: u8,
    has_keys: bool,
}

struct Model {
    column: Column,
    now: i128,
    next_id: u32,
    /// Key to nanoseconds, as the source has it now.
    source: BTreeMap<u32, Option<i128>>,
    /// Key to what arrived, in nanoseconds of the source.
    target: BTreeMap<u32, Option<i128>>,
    past: Vec<PastTable>,
    /// What the last started run reads.
    last_rows: Vec<(u32, Option<i128>)>,
    /// The greatest watermark that a snapshot has shown; a later commit is late by no more than the lookback below it.
    seen: i128,
}

impl Model {
    fn new(column: Column) -> Self {
        Self {
            column,
            now: BEGIN,
            next_id: 0,
            source: BTreeMap::new(),
            target: BTreeMap::new(),
            past: Vec::new(),
            last_rows: Vec::new(),
            seen: 0,
        }
    }

    fn watermark(&self) -> Watermark {
        let scale = 9;
        let precision = self.column.precision;
        let (source_type, target_type) = match self.column.kind {
            Kind::Date => (SourceType::Date, TargetType::Date),
            Kind::Instant => (SourceType::TimestampLtz { scale }, TargetType::Timestamptz { precision }),
            Kind::Number => (SourceType::Number { precision: 38, scale: 0 }, TargetType::Int8),
            Kind::WallClock | Kind::Text => {
                (SourceType::TimestampNtz { scale }, TargetType::Timestamp { precision })
            }
        };
        Watermark {
            source: SfIdent::exact("WM"),
            source_type,
            target: PgIdent::exact("wm"),
            target_type,
            is_collated: false,
            may_change: false,
        }
    }

    /// The wire's text of a moment, in the column's type.
    fn wire(&self, ns: i128) -> String {
        match self.column.kind {
            Kind::Date => ns.div_euclid(DAY).to_string(),
            Kind::Number => ns.to_string(),
            Kind::WallClock | Kind::Instant | Kind::Text => {
                format!("{}.{:09}", ns.div_euclid(SECOND), ns.rem_euclid(SECOND))
            }
        }
    }

    fn value(&self, ns: i128) -> WatermarkValue {
        WatermarkValue::from_wire(self.column.kind, &self.wire(ns)).expect("the wire's form")
    }

    /// A value as the source's column holds it: dates have no time.
    fn stored(&self, ns: i128) -> i128 {
        if self.column.kind == Kind::Date { ns.div_euclid(DAY) * DAY } else { ns }
    }

    fn lookback(&self) -> i128 {
        match (self.column.has_keys, self.column.kind) {
            (false, _) => 0,
            (true, Kind::Date) => DAY,
            (true, Kind::Number) => 0,
            (true, _) => LOOKBACK,
        }
    }

    /// Late, but not later than the lookback allows for.
    fn stamp(&self, behind_ns: i64) -> i128 {
        let ns = self.stored(self.now - i128::from(behind_ns));
        ns.max(self.stored(self.seen.saturating_sub(self.lookback())))
    }

    fn add(&mut self, watermark: Option<i128>) {
        self.source.insert(self.next_id, watermark);
        self.next_id += 1;
    }

    /// The greatest value at or below the clock, of rows that are read.
    fn greatest(&self, rows: &BTreeMap<u32, Option<i128>>, reading: Option<&Reading>) -> Option<i128> {
        let ceiling = if self.column.kind == Kind::Number { i128::MAX } else { self.stored(self.now) };
        let read = |ns: &i128| reading.is_none_or(|reading| reading.reads(Some(&self.value(*ns))));
        rows.values().flatten().copied().filter(|ns| *ns <= ceiling).filter(read).max()
    }

    fn target_greatest(&self) -> TargetGreatest {
        if self.target.is_empty() {
            return TargetGreatest::Empty;
        }
        // What the target's column keeps of it.
        let step = 10_i128.pow(9 - u32::from(self.column.precision));
        let floor = |ns: i128| match self.column.kind {
            Kind::WallClock | Kind::Instant => ns.div_euclid(step) * step,
            _ => ns,
        };
        let floored = self.target.iter().map(|(id, ns)| (*id, ns.map(floor))).collect();
        self.greatest(&floored, None)
            .map_or(TargetGreatest::Missing, |ns| TargetGreatest::Value(self.value(ns)))
    }

    fn reading(&self, ask: &Ask) -> Reading {
        let watermark = self.watermark();
        let nobody = OtherTables { loaded: false, strangers_loaded: false, emptied_by: None };
        let history = history::read(&self.past, nobody, false, (&watermark, self.column.kind));
        let asked = match ask {
            Ask::Bound => Asked::default(),
            Ask::Full => Asked { full: true, since: None },
            Ask::Since(seconds) => {
                let value = self.value(self.now - i128::from(*seconds) * SECOND);
                Asked { full: false, since: value.to_text() }
            }
        };
        let asked: AskedValue = asked.of_table(Some(self.column.kind)).expect("is a value");
        bound::decide(Evidence {
            target: &self.target_greatest(),
            history: &history,
            lookback: Step::of(self.column.kind, Lookback::Default, self.column.has_keys),
            target_type: &watermark.target_type,
            asked: &asked,
        })
    }

    fn run(&mut self, ask: &Ask, end: End) {
        let reading = self.reading(ask);
        // The bound as the workers get it: by its text.
        let low = reading.low.as_ref().map(|low| low.to_text().expect("can be spelled"));
        let read_back = low.as_deref().and_then(|low| WatermarkValue::from_text(self.column.kind, low));
        assert_eq!(read_back, reading.low);
        let rows: Vec<(u32, Option<i128>)> = (self.source.iter())
            .filter(|(_, ns)| reading.reads(ns.map(|ns| self.value(ns)).as_ref()))
            .map(|(id, ns)| (*id, *ns))
            .collect();
        let seen = self.greatest(&self.source, Some(&reading));
        self.seen = self.seen.max(self.greatest(&self.source, None).unwrap_or(0));
        let (state, arrives): (TableState, Box<dyn Fn(u32) -> bool>) = match end {
            End::NeverStarted => return,
            End::Completed => (TableState::Completed, Box::new(|_| true)),
            End::Failed => (TableState::Failed, Box::new(|_| false)),
            End::Partial(seed) => (TableState::Partial, Box::new(move |id| id % 3 != u32::from(seed) % 3)),
            End::Cancelled(seed) => {
                (TableState::Cancelled, Box::new(move |id| id % 2 == u32::from(seed) % 2))
            }
            End::Superseded(seed) => {
                (TableState::Superseded, Box::new(move |id| id % 2 == u32::from(seed) % 2))
            }
            End::StillOpen(seed) => (TableState::Loading, Box::new(move |id| id % 4 == u32::from(seed) % 4)),
        };
        if !self.column.has_keys && !self.target.is_empty() {
            // The start transaction deletes the tail of the target.
            let target = std::mem::take(&mut self.target);
            self.target = target
                .into_iter()
                .filter(|(_, ns)| !reading.reads(ns.map(|ns| self.value(ns)).as_ref()))
                .collect();
        }
        self.target.extend(rows.iter().filter(|(id, _)| arrives(*id)).copied());
        self.last_rows = rows;
        let watermark = self.watermark();
        let text = |value: Option<&WatermarkValue>| value.and_then(WatermarkValue::to_text);
        let seen = seen.map(|ns| self.value(ns));
        let high = seen.or_else(|| reading.low.as_ref().and(reading.carried_high.clone()));
        self.past.push(PastTable {
            id: TableId(i64::try_from(self.past.len()).expect("few")),
            state,
            leaves_gap: reading.leaves_gap,
            watermark_column: Some("wm".into()),
            watermark_source: Some("WM".into()),
            watermark_type: Some(watermark.target_type.to_string()),
            low,
            high: text(high.as_ref()),
            safe: if reading.leaves_gap { text(reading.safe.as_ref()) } else { None },
        });
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Tick(seconds) => self.now += i128::from(*seconds) * SECOND + 7,
            Event::Commit { behind_ns } => self.add(Some(self.stamp(*behind_ns))),
            Event::Null => self.add(None),
            Event::Sentinel { .. } if self.column.kind == Kind::Number => {}
            Event::Sentinel { ahead_secs: None } => self.add(Some(253_402_214_400 * SECOND)),
            Event::Sentinel { ahead_secs: Some(seconds) } => {
                self.add(Some(self.stored(self.now + i128::from(*seconds) * SECOND)));
            }
            Event::Update { which } | Event::Delete { which } => {
                let ids: Vec<u32> = self.source.keys().copied().collect();
                let Some(id) = ids.get(usize::from(*which) % ids.len().max(1)).copied() else { return };
                if matches!(event, Event::Update { .. }) {
                    self.source.insert(id, Some(self.stamp(0)));
                } else {
                    self.source.remove(&id);
                }
            }
            Event::Run { ask, end } => self.run(ask, *end),
            Event::Resume => {
                if let Some(last) = self.past.last_mut()
                    && matches!(last.state, TableState::Partial | TableState::Failed | TableState::Cancelled)
                {
                    last.state = TableState::Completed;
                    self.target.extend(self.last_rows.iter().copied());
                }
            }
        }
    }

    /// The rows of the source that the target lacks or has in another version.
    fn missing(&self) -> BTreeSet<u32> {
        self.source.iter().filter(|(id, ns)| self.target.get(id) != Some(ns)).map(|(id, _)| *id).collect()
    }
}

fn column() -> impl Strategy<Value = Column> {
    let kind = prop_oneof![4 => Just(Kind::WallClock), 2 => Just(Kind::Instant), 2 => Just(Kind::Date), 1 => Just(Kind::Number)];
    (kind, prop_oneof![Just(6_u8), Just(3), Just(0)], any::<bool>())
        .prop_map(|(kind, precision, has_keys)| Column { kind, precision, has_keys })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever ran before, an ordinary run that completes leaves no row of the source behind.
    #[test]
    fn nothing_is_skipped_in_any_order_of_runs(column in column(), events in prop::collection::vec(event(), 1..60)) {
        let mut model = Model::new(column);
        for event in &events {
            model.apply(event);
            if matches!(event, Event::Run { ask: Ask::Bound | Ask::Full, end: End::Completed }) {
                prop_assert_eq!(model.missing(), BTreeSet::new());
            }
        }
        model.apply(&Event::Run { ask: Ask::Bound, end: End::Completed });
        prop_assert_eq!(model.missing(), BTreeSet::new());
    }
}

/// A history without trouble must stay cheap, or "read everything" would pass for safe.
#[test]
fn nights_without_trouble_read_no_more_than_the_lookback() {
    let column = Column { kind: Kind::WallClock, precision: 6, has_keys: true };
    let mut model = Model::new(column);
    for night in 0..30 {
        for _ in 0..100 {
            model.apply(&Event::Tick(864));
            model.apply(&Event::Commit { behind_ns: 0 });
        }
        let reading = model.reading(&Ask::Bound);
        let read =
            model.source.values().filter(|ns| reading.reads(ns.map(|ns| model.value(ns)).as_ref())).count();
        assert!(night == 0 || read <= 105, "night {night} reads {read}");
        model.run(&Ask::Bound, End::Completed);
        assert!(model.missing().is_empty());
    }
    // A failed night costs that night again, not one lookback more each time.
    for _ in 0..20 {
        model.run(&Ask::Bound, End::Partial(0));
    }
    let reading = model.reading(&Ask::Bound);
    let read =
        model.source.values().filter(|ns| reading.reads(ns.map(|ns| model.value(ns)).as_ref())).count();
    assert!(read <= 5, "{read}");
    assert!(Duration::from_secs(3600).as_nanos() == u128::try_from(LOOKBACK).expect("positive"));
}
