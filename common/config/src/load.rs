//! From files to a `Config`, or to everything that is wrong with them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::Config;
use crate::connections;
use crate::defaults::{LAMBDA_TIMEOUT_BUFFER_SECONDS, MAX_RETRY_ATTEMPTS, PARALLEL_THREADS};
use crate::environment::{Environment, Lookup, process_variable};
use crate::finding::{ConfigErrors, Finding, Severity};
use crate::json;
use crate::keys::GLOBAL;
use crate::scope::{Context, Place, Scope};
use crate::shared::Shared;
use crate::{entries, sources, times};

/// Which files to read and how strictly.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    pub config_path: PathBuf,
    /// `None`: `.env` in the working directory or beside the configuration, where there is one.
    pub env_file: Option<PathBuf>,
    /// Warnings are errors.
    pub strict: bool,
}

/// A valid configuration and what a person should still look at.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Vec<Finding>,
}

/// Reads and validates a configuration. Nothing is connected and nothing is written.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigErrors> {
    load_with(options, &process_variable)
}

/// `load`, with the process's environment as a function.
pub(crate) fn load_with(options: &LoadOptions, process: Lookup<'_>) -> Result<Loaded, ConfigErrors> {
    let path = options.config_path.as_path();
    let refuse = |findings| ConfigErrors { file: path.display().to_string(), findings };
    let root = read_json(path).map_err(|finding| refuse(vec![finding]))?;
    let config_dir = path.parent().unwrap_or(Path::new("")).to_owned();
    let (environment, env_fault) = Environment::read(process, options.env_file.as_deref(), &config_dir);
    let cx = Context::new(environment, config_dir);
    let config = read(&cx, &root);
    let mut findings = cx.into_findings();
    if let Some(message) = env_fault {
        findings.insert(0, file_fault(message, None));
    }
    if options.strict {
        for finding in &mut findings {
            finding.severity = Severity::Error;
        }
    }
    let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
    match config {
        Some(config) if !has_errors => Ok(Loaded { config, warnings: findings }),
        _ => Err(refuse(findings)),
    }
}

fn file_fault(message: String, line: Option<u32>) -> Finding {
    Finding { severity: Severity::Error, path: String::new(), line, message }
}

fn read_json(path: &Path) -> Result<json::Node, Finding> {
    let bytes = std::fs::read(path).map_err(|error| {
        let hint =
            if error.kind() == std::io::ErrorKind::NotFound { "; name the file with --config" } else { "" };
        file_fault(format!("the configuration cannot be read: {error}{hint}"), None)
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        file_fault("is not UTF-8; save the file in that encoding".to_owned(), u32::try_from(line).ok())
    })?;
    json::parse(&text).map_err(|error| {
        let message =
            format!("broken JSON at line {}, column {}: {}", error.line, error.column, error.message);
        file_fault(message, None)
    })
}

/// `None` only where an error was reported.
fn read(cx: &Context<'_>, root: &json::Node) -> Option<Config> {
    let place = Place { path: String::new(), line: root.line };
    let global = Scope::open(cx, &GLOBAL, place, root)?;
    let snowflake = connections::snowflake(&global);
    let postgres = connections::postgres(&global);
    let rabbitmq = connections::rabbitmq(&global);
    let worker = times::worker(&global);
    let small = |key: &str, default: u16| {
        global.integer(key).and_then(|number| u16::try_from(number).ok()).unwrap_or(default)
    };
    let parallel_threads = small("parallel_threads", PARALLEL_THREADS);
    let max_retry_attempts = small("max_retry_attempts", MAX_RETRY_ATTEMPTS);
    let buffer = global.integer("lambda_timeout_buffer_seconds").unwrap_or(LAMBDA_TIMEOUT_BUFFER_SECONDS);
    let shared = Shared::read(&global, &Shared::defaults());
    let sources = sources::sources(&global, &shared);
    entries::check(&global, &sources);
    Some(Config {
        snowflake: snowflake?,
        postgres: postgres?,
        rabbitmq,
        worker,
        parallel_threads,
        batch_size: shared.batch_size,
        batch_size_copy_mode: shared.batch_size_copy_mode.unwrap_or(shared.batch_size),
        max_retry_attempts,
        lambda_timeout_buffer: Duration::from_secs(buffer.into()),
        sources,
    })
}
