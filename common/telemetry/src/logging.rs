//! One structured stream of log lines on stderr. It reads no environment: level and format are arguments.

use std::str::FromStr;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Libraries that talk more than they say: only their warnings are ours to show, unless they are asked for by name.
const NOISY: &[&str] = &["h2", "hyper", "hyper_util", "lapin", "reqwest", "rustls"];

/// Libraries whose lines below a warning may hold statements, parameters or the server's words: never shown.
const INDISCREET: &[&str] = &["sqlparser", "tokio_postgres"];

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("`{0}` is no log level; use error, warn, info, debug, trace, or `info,thaw_worker=debug`")]
    Level(String),
    #[error("logging was started twice")]
    Twice,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("use text or json".to_owned()),
        }
    }
}

/// Starts logging for the process, once, and makes panics log lines.
///
/// `level` is a level or a list of directives such as `info,thaw_worker=debug`.
///
/// # Errors
/// A level that cannot be read, or a second call.
pub fn init(format: LogFormat, level: &str) -> Result<(), InitError> {
    let filter = filter(level)?;
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let layer = match format {
        LogFormat::Text => layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_current_span(true).boxed(),
    };
    let discreet = filter.and(filter_fn(is_discreet));
    tracing_subscriber::registry()
        .with(layer.with_filter(discreet))
        .try_init()
        .map_err(|_| InitError::Twice)?;
    crate::panic::log_panics();
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, InitError> {
    let quiet = NOISY.iter().map(|name| format!("{name}=warn,")).collect::<String>();
    let fault = || InitError::Level(level.to_owned());
    if level.trim().is_empty() {
        return Err(fault());
    }
    // `EnvFilter` takes any lone word for a target; only levels may stand alone here.
    for part in level.split(',').filter(|part| !part.contains(['=', '['])) {
        part.trim().parse::<LevelFilter>().map_err(|_| fault())?;
    }
    // Later directives win over earlier ones for the same target: what is asked for by name is shown.
    EnvFilter::builder().parse(format!("{quiet}{level}")).map_err(|_| fault())
}

fn is_discreet(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let crate_name = target.split("::").next().unwrap_or(target);
    *metadata.level() <= tracing::Level::WARN || !INDISCREET.contains(&crate_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_accepted_and_words_are_not() {
        for good in ["info", "WARN", "debug", "info,thaw_worker=debug", "thaw_queue=trace", "off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for bad in ["loud", "", "info,chatty", "info,=="] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_asked_for_by_name_breaks_the_silence_of_a_noisy_library() {
        assert!(filter("debug").expect("reads").to_string().contains("lapin=warn"));
        assert!(filter("debug,lapin=debug").expect("reads").to_string().contains("lapin=debug"));
    }
}
