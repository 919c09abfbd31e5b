//! Every metric of the product, by name, unit and meaning.
//!
//! Names are `thaw_<noun>_<unit>[_total]`. No label ever holds a table, a chunk or a run: their number is unbounded.

use std::time::Duration;

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

/// Seconds. From an empty chunk's commit (milliseconds) to a warehouse that resumes first (minutes).
const STAGE_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0];

/// Why the registry could not be built; a fault of this file.
#[derive(Debug, thiserror::Error)]
#[error("a metric could not be registered or rendered")]
pub struct MetricsError(#[from] prometheus::Error);

/// A phase of a chunk's life, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading and acting on a message.
    Receive,
    Claim,
    Fetch,
    Decode,
    Load,
    Commit,
    Settle,
    Finalize,
}

impl Stage {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Claim => "claim",
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Load => "load",
            Self::Commit => "commit",
            Self::Settle => "settle",
            Self::Finalize => "finalize",
        }
    }
}

/// The metrics of one process. Share it behind an `Arc`; every method is cheap and takes `&self`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    chunks_settled: IntCounterVec,
    rows_loaded: IntCounter,
    rows: IntCounterVec,
    rows_doubtful: IntCounterVec,
    bytes_copied: IntCounterVec,
    stage_duration: HistogramVec,
    errors: IntCounterVec,
    redispatched: IntCounterVec,
    finalize_duration: HistogramVec,
    /// Chunks whose lease or fence was found to be lost.
    pub leases_lost: IntCounter,
    /// Chunks this process is loading now.
    pub inflight_chunks: IntGauge,
    /// Bytes of rows between source and target.
    pub inflight_bytes: IntGauge,
    /// Bytes that they may be.
    pub memory_budget_bytes: IntGauge,
    /// Times that a slot waited for room in the budget.
    pub memory_waits: IntCounter,
    /// Slots of this process.
    pub slots: IntGauge,
    /// 1 while deliveries are consumed, 0 while halted, draining or without a broker.
    pub ready: IntGauge,
    /// Reconnections to the broker.
    pub queue_reconnects: IntCounter,
    /// Messages confirmed by the broker.
    pub jobs_published: IntCounter,
    /// Requests to the source that may be in flight: it falls while the account asks for patience.
    pub source_request_limit: IntGauge,
    /// Requests to the source that are in flight, bodies being read included.
    pub source_requests: IntGauge,
    /// Answers of the source that asked for patience (429, 503 with `Retry-After`).
    pub source_throttled: IntCounter,
}

impl Metrics {
    /// A registry of its own with every metric in it.
    ///
    /// # Errors
    /// Two metrics of one name: a fault of this file.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            chunks_settled: counters(r, "thaw_chunks_settled_total", "chunks settled", "outcome")?,
            rows: counters(
                r,
                "thaw_rows_total",
                "rows read and committed, by what became of them",
                "outcome",
            )?,
            rows_doubtful: counters(
                r,
                "thaw_rows_doubtful_total",
                "rows committed that the source or the target makes doubtful, by why; of thaw_rows_total",
                "reason",
            )?,
            rows_loaded: counter(r, "thaw_rows_loaded_total", "rows inserted or updated and committed")?,
            bytes_copied: counters(
                r,
                "thaw_bytes_copied_total",
                "bytes read (fetch), written (load)",
                "stage",
            )?,
            stage_duration: histograms(
                r,
                "thaw_stage_duration_seconds",
                "seconds spent in a stage",
                "stage",
            )?,
            errors: error_counters(r)?,
            redispatched: counters(r, "thaw_redispatched_total", "jobs published again", "reason")?,
            finalize_duration: histograms(
                r,
                "thaw_finalize_duration_seconds",
                "seconds spent in a step of finalize",
                "step",
            )?,
            leases_lost: counter(r, "thaw_leases_lost_total", "chunks whose lease or fence was lost")?,
            inflight_chunks: gauge(r, "thaw_inflight_chunks", "chunks being loaded now")?,
            inflight_bytes: gauge(r, "thaw_inflight_bytes", "bytes of rows between source and target")?,
            memory_budget_bytes: gauge(
                r,
                "thaw_memory_budget_bytes",
                "bytes of rows this process may hold (worker.memory_mb)",
            )?,
            memory_waits: counter(
                r,
                "thaw_memory_waits_total",
                "times a slot waited for room in the memory budget",
            )?,
            slots: gauge(r, "thaw_slots", "chunks this process may load at once")?,
            ready: gauge(r, "thaw_ready", "1 while this process consumes jobs")?,
            queue_reconnects: counter(r, "thaw_queue_reconnects_total", "reconnections to the broker")?,
            jobs_published: counter(r, "thaw_jobs_published_total", "jobs confirmed by the broker")?,
            source_request_limit: gauge(r, "thaw_source_request_limit", "requests to the source at once")?,
            source_requests: gauge(r, "thaw_source_requests", "requests to the source in flight")?,
            source_throttled: counter(r, "thaw_source_throttled_total", "answers that asked for patience")?,
            registry,
        };
        Ok(metrics)
    }

    /// A chunk was settled; `outcome` is a chunk state or a disposition.
    pub fn chunk_settled(&self, outcome: &str) {
        self.chunks_settled.with_label_values(&[outcome]).inc();
    }

    /// Rows that were inserted or updated, after the commit.
    pub fn rows_loaded(&self, rows: u64) {
        self.rows_loaded.inc_by(rows);
    }

    /// Rows that were read, after the commit; `outcome` is a word of the accounting.
    pub fn rows_accounted(&self, outcome: &str, rows: u64) {
        self.rows.with_label_values(&[outcome]).inc_by(rows);
    }

    /// Rows that were committed and that somebody should look at; `reason` is a word of the accounting.
    pub fn rows_doubtful(&self, reason: &str, rows: u64) {
        self.rows_doubtful.with_label_values(&[reason]).inc_by(rows);
    }

    /// Bytes that passed a stage.
    pub fn bytes_copied(&self, stage: Stage, bytes: u64) {
        self.bytes_copied.with_label_values(&[stage.as_str()]).inc_by(bytes);
    }

    /// A stage of a chunk took this long.
    pub fn stage_took(&self, stage: Stage, elapsed: Duration) {
        self.stage_duration.with_label_values(&[stage.as_str()]).observe(elapsed.as_secs_f64());
    }

    /// A step of finalize took this long.
    pub fn finalize_took(&self, step: &str, elapsed: Duration) {
        self.finalize_duration.with_label_values(&[step]).observe(elapsed.as_secs_f64());
    }

    /// An error was handled; `disposition` is its stable word.
    pub fn error(&self, stage: Stage, disposition: &str) {
        self.errors.with_label_values(&[stage.as_str(), disposition]).inc();
    }

    /// Jobs were published again, and why: `lease`, `due`, `start`, `finalize`, `first_hint`.
    pub fn redispatched(&self, reason: &str, jobs: u64) {
        self.redispatched.with_label_values(&[reason]).inc_by(jobs);
    }

    /// Everything in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// A metric that cannot be rendered: a fault of this file.
    pub fn render(&self) -> Result<String, MetricsError> {
        let mut buffer = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut buffer)?;
        String::from_utf8(buffer).map_err(|error| MetricsError(prometheus::Error::Msg(error.to_string())))
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntCounterVec, MetricsError> {
    let counters = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn error_counters(registry: &Registry) -> Result<IntCounterVec, MetricsError> {
    let options = Opts::new("thaw_errors_total", "errors handled");
    let counters = IntCounterVec::new(options, &["stage", "disposition"])?;
    registry.register(Box::new(counters.clone()))?;
    Ok(counters)
}

fn histograms(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<HistogramVec, MetricsError> {
    let options = HistogramOpts::new(name, help).buckets(STAGE_BUCKETS.to_vec());
    let histograms = HistogramVec::new(options, &[label])?;
    registry.register(Box::new(histograms.clone()))?;
    Ok(histograms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_rendered_with_its_labels() {
        let metrics = Metrics::new().expect("registers");
        metrics.chunk_settled("completed");
        metrics.rows_loaded(50_000);
        metrics.rows_accounted("kept", 7);
        metrics.rows_doubtful("tied", 1);
        metrics.bytes_copied(Stage::Load, 4096);
        metrics.stage_took(Stage::Fetch, Duration::from_millis(1500));
        metrics.finalize_took("analyze", Duration::from_millis(20));
        metrics.error(Stage::Load, "retry");
        metrics.redispatched("lease", 2);
        metrics.leases_lost.inc();
        metrics.inflight_chunks.set(3);

        let text = metrics.render().expect("renders");
        for line in [
            "thaw_chunks_settled_total{outcome=\"completed\"} 1",
            "thaw_rows_loaded_total 50000",
            "thaw_rows_total{outcome=\"kept\"} 7",
            "thaw_rows_doubtful_total{reason=\"tied\"} 1",
            "thaw_bytes_copied_total{stage=\"load\"} 4096",
            "thaw_stage_duration_seconds_count{stage=\"fetch\"} 1",
            "thaw_finalize_duration_seconds_count{step=\"analyze\"} 1",
            "thaw_errors_total{disposition=\"retry\",stage=\"load\"} 1",
            "thaw_redispatched_total{reason=\"lease\"} 2",
            "thaw_leases_lost_total 1",
            "thaw_inflight_chunks 3",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
    }
}
