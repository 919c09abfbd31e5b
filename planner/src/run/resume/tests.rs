//! Each rule on its own, over what the status tables could say.

use super::*;
use thaw_status::RunProgress;

const DATABASE: &str = "db";
const HOUR: Duration = Duration::from_secs(3_600);
const LIMITS: Limits = Limits { may_resume: true, max_age: Duration::from_secs(12 * 3_600) };

fn wanted(name: &str) -> Wanted {
    Wanted {
        database: DATABASE.into(),
        entry: format!("entry of {name}"),
        source: (SfIdent::exact("D"), SfIdent::exact("S"), SfIdent::exact(name)),
        target: (PgIdent::exact("public"), PgIdent::exact(name)),
        hash: "hash".into(),
        keys: BTreeMap::new(),
    }
}

/// Of the entry of that name; it holds its target while it is open.
fn table(number: i64, name: &str, state: TableState) -> RunTable {
    let wanted = wanted(name);
    let (source_database, source_schema, source_table) = wanted.source;
    let (target_schema, target_table) = wanted.target;
    RunTable {
        id: TableId(number),
        state,
        entry: wanted.entry,
        source_database,
        source_schema,
        source_table,
        target_schema,
        target_table,
        config_hash: wanted.hash,
        config_keys: BTreeMap::new(),
        has_plan: state != TableState::Planning,
        started: !matches!(state, TableState::Planning | TableState::Planned),
        holds_target: !state.is_final(),
        pruned: false,
        has_loaded: false,
        later_run: None,
        loaded_since: false,
    }
}

/// A run whose planner has left; `age` since it last got on.
fn run(state: RunState, age: Duration, tables: Vec<RunTable>) -> KnownRun {
    let id = RunId::generate();
    let progress = RunProgress {
        run: id,
        state,
        started_at: String::new(),
        started_ago: age,
        elapsed: age,
        // Somebody tries in vain all the time.
        idle: Duration::ZERO,
        stalled: age,
        planner_alive: false,
        planned: false,
        created_by: String::new(),
        error_class: None,
        error_text: None,
    };
    let parts = BTreeMap::from([(DATABASE.to_owned(), Part { progress, tables, emptied: BTreeSet::new() })]);
    KnownRun { id, parts }
}

fn chosen(runs: &[KnownRun], names: &[&str]) -> Resumption {
    let wanted: Vec<Wanted> = names.iter().map(|name| wanted(name)).collect();
    let open: Vec<usize> = (0..wanted.len()).collect();
    let all = wanted.iter().map(|wanted| (DATABASE.to_owned(), wanted.entry.clone())).collect();
    match choose(runs, &wanted, &open, &all, LIMITS) {
        Choice::Open(resumption) => resumption,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_newest_incomplete_run_goes_on_with_what_it_has_and_without_what_is_completed() {
    use TableState::{Completed, Failed, Loading};
    let tables = vec![table(1, "a", Completed), table(2, "b", Failed), table(3, "c", Loading)];
    let runs = [run(RunState::Running, HOUR, tables)];
    let resumption = chosen(&runs, &["a", "b", "c", "d"]);
    assert_eq!((resumption.run, resumption.is_new), (runs[0].id, false));
    let part = &resumption.databases[DATABASE];
    assert_eq!(part.done, [TableId(1)]);
    assert_eq!(part.resume, [(TableId(2), Some(1)), (TableId(3), Some(2))]);
    assert_eq!((part.add.as_slice(), part.abandon.as_slice()), (&[3][..], &[][..]));
}

#[test]
fn a_table_whose_target_was_emptied_is_loaded_anew() {
    use TableState::{Completed, Loading};
    let mut run = run(RunState::Running, HOUR, vec![table(1, "a", Completed), table(2, "b", Loading)]);
    run.parts.get_mut(DATABASE).expect("has a part").emptied = BTreeSet::from([TableId(1), TableId(2)]);
    let resumption = chosen(&[run], &["a", "b"]);
    let part = &resumption.databases[DATABASE];
    assert_eq!((part.add.as_slice(), part.replace.as_slice()), (&[0, 1][..], &[TableId(2)][..]));
    assert!(part.done.is_empty() && part.resume.is_empty(), "{part:?}");
}

#[test]
fn tables_that_were_never_planned_and_are_not_asked_for_do_not_keep_a_narrowed_call_waiting() {
    use TableState::{Planned, Planning};
    let tables = vec![table(1, "parent", Planning), table(2, "child", Planned)];
    let runs = [run(RunState::Running, HOUR, tables)];
    let narrowed = chosen(&runs, &["child"]);
    let part = &narrowed.databases[DATABASE];
    assert_eq!(
        (part.resume.as_slice(), part.abandon.as_slice()),
        (&[(TableId(2), Some(0))][..], &[TableId(1)][..])
    );
    assert!(narrowed.notes.iter().any(|note| note.starts_with("[parent] was never planned")), "{narrowed:?}");
    let whole = chosen(&runs, &["child", "parent"]);
    let part = &whole.databases[DATABASE];
    assert_eq!((part.unplanned.as_slice(), part.abandon.as_slice()), (&[1][..], &[][..]));
}

#[test]
fn a_fresh_execution_that_is_to_be_planned_is_planned_whoever_asks() {
    let mut gone = table(1, "parent", TableState::Planning);
    (gone.has_plan, gone.started) = (true, true);
    let runs = [run(RunState::Running, HOUR, vec![gone, table(2, "child", TableState::Planned)])];
    assert_eq!(chosen(&runs, &["child"]).databases[DATABASE].abandon, []);
}

#[test]
fn a_named_run_is_rid_of_tables_that_the_configuration_does_not_have_any_more() {
    use TableState::{Failed, Planning};
    let run = run(RunState::Running, 100 * HOUR, vec![table(1, "gone", Planning), table(2, "b", Failed)]);
    let entries = [wanted("b")];
    let choice = by_id(&run, &entries, &BTreeSet::new(), &|_, _, _| true);
    let Choice::Open(resumption) = choice else { panic!("{choice:?}") };
    let part = &resumption.databases[DATABASE];
    assert_eq!(
        (part.resume.as_slice(), part.abandon.as_slice()),
        (&[(TableId(2), Some(0))][..], &[TableId(1)][..])
    );
    assert!(resumption.leaves_unfinished);
}

#[test]
fn an_old_run_that_cannot_end_is_put_aside_by_the_next_one() {
    use TableState::{Completed, Loading, Planning};
    let stuck = || vec![table(1, "a", Completed), table(2, "gone", Planning)];
    let old = [run(RunState::Running, 13 * HOUR, stuck())];
    let next = chosen(&old, &["a"]);
    assert!(next.is_new);
    assert_eq!(next.databases[DATABASE].supersede, [old[0].id]);
    // Somebody may still go on with it.
    let young = [run(RunState::Running, HOUR, stuck())];
    assert_eq!(chosen(&young, &["a"]).databases[DATABASE].supersede, []);
    // Its workers end it.
    let planned = vec![table(1, "a", Completed), table(2, "gone", Loading)];
    let planned = [run(RunState::Running, 13 * HOUR, planned)];
    assert_eq!(chosen(&planned, &["a"]).databases[DATABASE].supersede, []);
}

#[test]
fn a_run_that_could_go_on_with_nothing_is_not_chosen_again_and_again() {
    // The newer run has the entry, too, but the older one holds its target.
    let newer = run(RunState::Partial, HOUR, vec![table(3, "a", TableState::Failed)]);
    let older = run(RunState::Running, 2 * HOUR, vec![table(1, "a", TableState::Loading)]);
    let runs = [newer, older];
    let resumption = chosen(&runs, &["a"]);
    assert_eq!((resumption.run, resumption.later.as_slice()), (runs[1].id, &[][..]));
}

#[test]
fn entries_that_two_runs_hold_take_two_rounds() {
    let newer = run(RunState::Running, HOUR, vec![table(3, "a", TableState::Loading)]);
    let older = run(RunState::Running, 2 * HOUR, vec![table(1, "b", TableState::Loading)]);
    let runs = [newer, older];
    let resumption = chosen(&runs, &["a", "b"]);
    assert_eq!((resumption.run, resumption.later.as_slice()), (runs[0].id, &[1][..]));
}

#[test]
fn an_entry_that_was_split_into_two_is_replaced_once() {
    let runs = [run(RunState::Failed, HOUR, vec![table(1, "a", TableState::Failed)])];
    let half = |number: u8| Wanted {
        entry: format!("half {number}"),
        hash: format!("hash {number}"),
        ..wanted("a")
    };
    let halves = [half(1), half(2)];
    let all = halves.iter().map(|half| (DATABASE.to_owned(), half.entry.clone())).collect();
    let choice = choose(&runs, &halves, &[0, 1], &all, LIMITS);
    let Choice::Open(resumption) = choice else { panic!("{choice:?}") };
    let part = &resumption.databases[DATABASE];
    assert_eq!((part.replace.as_slice(), part.add.as_slice()), (&[TableId(1)][..], &[0, 1][..]));
}
