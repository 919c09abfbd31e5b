//! Awaiting a condition with a deadline, instead of sleeping and hoping.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const INTERVAL: Duration = Duration::from_millis(20);

/// Returns as soon as `condition` holds.
///
/// # Errors
/// The deadline passed (the message says `what` was awaited), or the condition itself failed.
pub async fn until<F>(what: &str, deadline: Duration, mut condition: F) -> Result<()>
where
    F: AsyncFnMut() -> Result<bool>,
{
    until_some(what, deadline, async || Ok(condition().await?.then_some(()))).await
}

/// Returns the value as soon as `condition` has one.
///
/// # Errors
/// The deadline passed (the message says `what` was awaited), or the condition itself failed.
pub async fn until_some<T, F>(what: &str, deadline: Duration, mut condition: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if start.elapsed() > deadline {
            bail!("waited {deadline:?} in vain: {what}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// As [`until`], for code outside an async runtime.
///
/// # Errors
/// The deadline passed, or the condition itself failed.
pub fn blocking(what: &str, deadline: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !condition()? {
        if start.elapsed() > deadline {
            bail!("waited {deadline:?} in vain: {what}");
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}
