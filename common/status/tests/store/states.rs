//! Diagram, CHECKs and enums say the same.

use std::collections::BTreeSet;
use std::path::Path;

use thaw_model::{ChunkState, RunState, TableState};

use crate::fixture::Store;

type Arrows = BTreeSet<(String, String)>;

/// The arrows of one section of the diagram with the files each names, and the files that make a row.
fn diagram(section: &str) -> Vec<(String, String, Vec<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/state-machine.md");
    let text = std::fs::read_to_string(path).expect("docs/state-machine.md is there");
    let body = text.split("\n## ").find(|part| part.starts_with(section)).expect("the section is there");
    body.lines()
        .filter_map(|line| {
            let (from, rest) = line.trim().split_once(" --> ")?;
            let (to, files) = rest.split_once(" : ").expect("every arrow names its file");
            Some((from.to_owned(), to.to_owned(), files.split(", ").map(str::to_owned).collect()))
        })
        .collect()
}

fn drawn(section: &str) -> Arrows {
    diagram(section).into_iter().filter(|(from, ..)| from != "[*]").map(|(from, to, _)| (from, to)).collect()
}

macro_rules! coded {
    ($state:ty) => {
        <$state>::ALL
            .iter()
            .flat_map(|from| from.successors().iter().map(|to| (from.to_string(), to.to_string())))
            .collect::<Arrows>()
    };
}

#[test]
fn the_diagram_draws_exactly_the_transitions_the_code_knows() {
    assert_eq!(drawn("Run"), coded!(RunState));
    assert_eq!(drawn("Table"), coded!(TableState));
    assert_eq!(drawn("Chunk"), coded!(ChunkState));
}

#[test]
fn every_arrow_names_a_file_that_says_it_performs_it() {
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql");
    for (section, kind) in [("Run", "run"), ("Table", "table"), ("Chunk", "chunk")] {
        for (from, to, files) in diagram(section) {
            for file in files {
                let text = std::fs::read_to_string(sql.join(&file))
                    .unwrap_or_else(|error| panic!("{from} --> {to} names {file}: {error}"));
                let head: String =
                    text.lines().take_while(|line| line.starts_with("--")).collect::<Vec<_>>().join("\n");
                if from == "[*]" {
                    assert!(
                        head.contains(&format!("{kind}: created as {to}")),
                        "{file} does not say it makes {to}"
                    );
                } else {
                    assert!(head.contains(&format!("-- {kind}:")), "{file} does not say it changes a {kind}");
                    assert!(head.contains(&format!("{from} -> {to}")), "{file} does not say {from} -> {to}");
                }
            }
        }
    }
}

#[test]
fn no_file_performs_a_transition_that_is_not_drawn() {
    let sql = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql");
    for (section, kind) in [("Run", "run"), ("Table", "table"), ("Chunk", "chunk")] {
        let arrows = diagram(section);
        for file in std::fs::read_dir(&sql).expect("src/sql is there") {
            let path = file.expect("lists").path();
            let name = path.file_name().expect("has a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("reads");
            let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("--")).collect();
            if !head.first().is_some_and(|line| line.starts_with(&format!("-- {kind}:"))) {
                continue;
            }
            let performed = head.iter().flat_map(|line| line.split([',', ':', '('])).filter_map(|part| {
                let (from, to) = part.trim_start_matches("--").trim().split_once(" -> ")?;
                Some((from.trim().to_owned(), to.split_whitespace().next()?.trim_end_matches(')').to_owned()))
            });
            for (from, to) in performed.filter(|(from, _)| !from.contains(' ')) {
                assert!(
                    arrows.iter().any(|(f, t, files)| *f == from && *t == to && files.contains(&name)),
                    "{name} says {from} -> {to}, the diagram does not"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_checks_of_the_database_allow_exactly_the_states_the_code_knows() {
    let store = Store::create().await;
    for (constraint, coded) in [
        ("run_status", RunState::ALL.iter().map(ToString::to_string).collect::<BTreeSet<_>>()),
        ("table_status", TableState::ALL.iter().map(ToString::to_string).collect()),
        ("chunk_status", ChunkState::ALL.iter().map(ToString::to_string).collect()),
    ] {
        let definition: String = store
            .one(&format!(
                "select pg_get_constraintdef(oid) from pg_constraint where conname = '{constraint}'"
            ))
            .await;
        let allowed: BTreeSet<String> =
            definition.split('\'').skip(1).step_by(2).map(ToOwned::to_owned).collect();
        assert_eq!(allowed, coded, "{constraint}: {definition}");
    }
}
