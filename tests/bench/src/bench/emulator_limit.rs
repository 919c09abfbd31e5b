//! How fast the emulator gives its frozen bytes to a client that does nothing with them: no load can be faster.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::data_set::{DataSet, lineitem, mixed_250, orders, wide_text};
use crate::figure::{Figure, float, megabytes};
use crate::rig::{Rig, TOKEN};
use crate::rounds::Side;

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for set in [lineitem(rig.scale), orders(rig.scale), mixed_250(rig.scale), wide_text(rig.scale)] {
        rig.fill_source(&set).await?;
        // Executed once, then frozen.
        read(rig.emulator.url(), &set).await?;
        let (mut seconds, mut bytes) = (Side::default(), 0);
        for _ in 0..rig.rounds {
            let start = Instant::now();
            bytes = read(rig.emulator.url(), &set).await?;
            seconds.add(start.elapsed().as_secs_f64());
        }
        let rate = float(set.rows) / seconds.median()?;
        figures.push(Figure::new(format!("emulator_limit_{}", set.name), rate, "rows/s").note(format!(
            "{:.1} MB compressed in {:.2} s",
            megabytes(bytes),
            seconds.median()?
        )));
    }
    Ok(figures)
}

/// Submits the whole table and fetches every partition, without inflating it; returns the bytes.
async fn read(url: &str, set: &DataSet) -> Result<u64> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let statement = format!("select * from {}", set.source());
    let body = json!({"statement": statement, "parameters": {"client_result_chunk_size": 16}});
    let request = http.post(format!("{url}/api/v2/statements")).body(body.to_string());
    let text = authorized(request).send().await?.error_for_status()?.text().await?;
    let mut bytes = u64::try_from(text.len())?;
    let answer: Value = serde_json::from_str(&text)?;
    let handle = answer["statementHandle"].as_str().context("no handle")?;
    let partitions = answer["resultSetMetaData"]["partitionInfo"].as_array().map_or(0, Vec::len);
    for partition in 1..partitions {
        let request = http.get(format!("{url}/api/v2/statements/{handle}?partition={partition}"));
        bytes += u64::try_from(authorized(request).send().await?.error_for_status()?.bytes().await?.len())?;
    }
    Ok(bytes)
}

fn authorized(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request
        .bearer_auth(TOKEN)
        .header("X-Snowflake-Authorization-Token-Type", "PROGRAMMATIC_ACCESS_TOKEN")
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .header("User-Agent", "bench/1")
}
