//! `make bench`: what the machine it runs on makes of loading and of planning. `bench load`, `bench plan`: one of them.
//!
//! The numbers are of this machine, with source, target, broker, emulator and product on it at the same time.

mod load;
mod plan;

use std::io::{self, Write as _};

use anyhow::{Result, bail};
use thaw_harness::{PostgresOptions, PostgresServer, RabbitServer};

const MEGABYTE: u64 = 1024 * 1024;

/// The servers that are measured against.
struct Servers {
    postgres: PostgresServer,
    rabbit: RabbitServer,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let asked = std::env::args().nth(1);
    let (plans, loads) = match asked.as_deref() {
        None => (true, true),
        Some("plan") => (true, false),
        Some("load") => (false, true),
        Some(other) => bail!("there is no bench {other}: load, plan, or none for both"),
    };
    say("starting servers");
    let servers = Servers {
        postgres: PostgresServer::start(&PostgresOptions::default())?,
        rabbit: RabbitServer::start()?,
    };
    if loads {
        load::measure(&servers).await?;
    }
    if plans {
        plan::measure(&servers).await?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "rates for people: six digits are enough")]
fn count(number: i64) -> f64 {
    number as f64
}

fn megabytes(bytes: u64) -> Result<f64> {
    Ok(count(i64::try_from(bytes)?) / count(i64::try_from(MEGABYTE)?))
}

fn say(line: &str) {
    // Nobody reads a closed pipe.
    writeln!(io::stdout().lock(), "{line}").ok();
}
