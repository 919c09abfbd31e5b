//! What a key means when it is absent, and why just that.

/// Slots of one process. The old script ran six threads; six chunks in flight also keep a small warehouse busy.
pub const PARALLEL_THREADS: u16 = 6;
/// Rows a chunk. Small enough that a lost chunk costs seconds, large enough that its fixed costs (one statement,
/// one transaction) vanish: about a second of COPY.
pub const BATCH_SIZE: u32 = 50_000;
/// The largest chunk that is accepted. A chunk is one transaction and is redone as a whole after a failure.
pub const BATCH_SIZE_MAX: u32 = 10_000_000;
/// Counted failures of a chunk. Three tell a passing fault from a standing one.
pub const MAX_RETRY_ATTEMPTS: u16 = 3;
/// Seconds before the end of `--max-runtime` in which no new chunk is taken: the old script's figure.
pub const LAMBDA_TIMEOUT_BUFFER_SECONDS: u32 = 120;

/// Seconds a claim lasts without a heartbeat. A dead worker's chunk is free again after a minute.
pub const LEASE_SECONDS: u32 = 60;
/// Three heartbeats may be lost in a row before a lease lapses: lease / 4.
pub const HEARTBEATS_PER_LEASE: u32 = 4;
/// Seconds between two looks at what needs work.
pub const REDISPATCH_SECONDS: u32 = 5;
/// Seconds without any claim in a table before its never-claimed chunks are published again.
pub const FIRST_HINT_SECONDS: u32 = 60;
/// Seconds to finish or hand back at SIGTERM: what Kubernetes gives a pod by default.
pub const SHUTDOWN_GRACE_SECONDS: u32 = 30;
/// Seconds a worker waits for rejected credentials or a full disk to mend before it exits.
pub const HALT_GRACE_SECONDS: u32 = 900;
/// Megabytes of rows that one process holds. Narrow rows need some 2 MB a slot; this is for those with documents in them.
pub const MEMORY_MB: u32 = 256;
/// Megabytes for one index build: the server may hold several of them at a time.
pub const INDEX_MEMORY_MB: u32 = 512;
/// Parallel workers of one index build; `max_parallel_workers` of a default server is 8.
pub const INDEX_WORKERS: u32 = 4;

/// The registered port of PostgreSQL.
pub const POSTGRES_PORT: u16 = 5432;
/// Seconds of one statement: far above any chunk, far below for ever.
pub const STATEMENT_TIMEOUT_SECONDS: u32 = 21_600;
/// Seconds a load waits for a lock: it has fetched its first rows by then, so that giving way costs a statement of the
/// source.
pub const LOCK_TIMEOUT_SECONDS: u32 = 30;
/// The session time zone: the only one whose days all have 24 hours.
pub const TIMEZONE: &str = "UTC";
/// Quarantined rows after which a table fails: beyond it the fault is the table's, not some rows'.
pub const MAX_BAD_ROWS: u32 = 1000;
/// OFFSET chunks for one value; each of them scans and sorts that value's rows again.
pub const OFFSET_SUB_CHUNKS_MAX: u32 = 32;
/// Bits of an RSA key: Snowflake refuses less.
pub const RSA_BITS_MIN: usize = 2048;
