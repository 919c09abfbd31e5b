//! Lineitem with its key into an empty target, against what a person writes: batches of 50,000 rows through a
//! temporary table and `insert ... on conflict`.
//!
//! An empty target is loaded by COPY, which is the planner's decision; the second figure takes that away by a row that
//! was there before, so that every row goes through the stage.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::data_set::{DataSet, lineitem_fifth};
use crate::figure::{Figure, Goal, float};
use crate::load::Load;
use crate::rig::{Rig, Start};
use crate::rounds::Side;

/// Rows of a person's batch.
const BATCH: usize = 50_000;

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let set = lineitem_fifth(rig.scale);
    let empty =
        against_handwritten(rig, &Load::keyed(&set, Start::Keyed), "upsert_insert_vs_handwritten").await?;
    let staged = Load::keyed(&set, Start::OneOther);
    let staged = against_handwritten(rig, &staged, "upsert_insert_staged_vs_handwritten").await?;
    Ok(vec![empty.goal(Goal::AtLeast(1.0)), staged.goal(Goal::AtLeast(1.0))])
}

/// Rows a second of a load over those of handwritten SQL by one psql.
///
/// # Errors
/// Either side fails.
pub(super) async fn against_handwritten(rig: &mut Rig, load: &Load, name: &str) -> Result<Figure> {
    rig.warm_up(load).await?;
    let files = split(&rig.csv(&load.set))?;
    let script = handwritten(&load.set, &files);
    let (mut thaw, mut hand) = (Side::default(), Side::default());
    for _ in 0..rig.rounds {
        hand.add(rig.psql(load, &script).await?);
        thaw.add(rig.load(load).await?.seconds);
    }
    for file in files {
        std::fs::remove_file(file)?;
    }
    let rows = float(load.set.rows);
    Ok(Figure::new(name, hand.median()? / thaw.median()?, "ratio")
        .note(format!("{rows} rows, one slot, {} a chunk", load.batch))
        .note(format!(
            "{:.0} rows/s ({} s) against {:.0} rows/s ({} s)",
            rows / thaw.median()?,
            thaw.spread(),
            rows / hand.median()?,
            hand.spread()
        )))
}

/// A transaction a batch: temporary table, COPY, INSERT ON CONFLICT.
fn handwritten(set: &DataSet, files: &[PathBuf]) -> String {
    let (table, is_key) = (set.name, |name: &str| set.keys.contains(&name));
    let keys: Vec<String> = set.keys.iter().map(|key| format!("\"{key}\"")).collect();
    let names = set.columns.iter().map(|(name, ..)| name.as_str());
    let sets: Vec<String> =
        names.filter(|name| !is_key(name)).map(|name| format!("\"{name}\" = excluded.\"{name}\"")).collect();
    let mut script = String::new();
    for file in files {
        script += &format!(
            "begin;\ncreate temporary table batch (like {table}) on commit drop;\n\
             \\copy batch from '{}' (format csv)\n\
             insert into {table} select * from batch on conflict ({}) do update set {};\ncommit;\n",
            file.display(),
            keys.join(", "),
            sets.join(", ")
        );
    }
    script
}

/// The file in pieces of a batch each; its rows have no line breaks inside.
fn split(csv: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut out: Option<BufWriter<File>> = None;
    for (number, line) in BufReader::new(File::open(csv)?).lines().enumerate() {
        if number % BATCH == 0 {
            if let Some(mut done) = out.take() {
                done.flush()?;
            }
            let file = csv.with_extension(format!("{}.csv", files.len()));
            out = Some(BufWriter::new(File::create(&file)?));
            files.push(file);
        }
        writeln!(out.as_mut().context("a batch is open")?, "{}", line?)?;
    }
    if let Some(mut done) = out {
        done.flush()?;
    }
    Ok(files)
}
