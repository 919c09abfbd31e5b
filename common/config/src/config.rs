//! The configuration after validation: every default applied, every global resolved into its tables.
//!
//! Plain data for the planner and the workers. Nothing here implements `Serialize`, and `Debug` shows no secret:
//! secrets are `SecretString`. It does not know how a file spells any of this.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use thaw_model::plan::{BadRowPolicy, NulInText, OnBadRow};
use thaw_model::{PgIdent, SfIdent};
use url::Url;

/// A whole, valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub snowflake: SnowflakeConfig,
    pub postgres: PostgresConfig,
    /// `None`: no broker is configured, only `planner run --local` can load.
    pub rabbitmq: Option<RabbitConfig>,
    pub worker: WorkerConfig,
    /// Slots of `--local` and the default of `worker --concurrency`.
    pub parallel_threads: u16,
    /// Rows a chunk, where a table does not say otherwise.
    pub batch_size: u32,
    /// Rows a chunk in copy mode, where a table does not say otherwise; never `None` after resolution in a table.
    pub batch_size_copy_mode: u32,
    /// Counted failures after which a chunk is `failed`.
    pub max_retry_attempts: u16,
    /// `worker --max-runtime` takes no new chunk when less than this is left.
    pub lambda_timeout_buffer: Duration,
    /// In the order of the file, disabled ones included.
    pub sources: Vec<Source>,
}

/// How to reach Snowflake.
#[derive(Debug, Clone)]
pub struct SnowflakeConfig {
    /// As configured: `xy12345.us-east-1` or `org-account`.
    pub account: String,
    pub user: String,
    pub warehouse: String,
    pub role: Option<String>,
    /// Base URL without a path, `https://<account>.snowflakecomputing.com/` unless configured.
    pub url: Url,
    pub auth: SnowflakeAuth,
    /// PEM certificates to trust beside the system's; readable and holding at least one certificate when loaded.
    pub ca_file: Option<PathBuf>,
    /// HTTP proxy, credentials included where it has some.
    pub proxy: Option<SecretString>,
}

/// How to prove who we are to Snowflake.
#[derive(Debug, Clone)]
pub enum SnowflakeAuth {
    /// An RSA key of at least 2048 bits, always as unencrypted PKCS#8 PEM (`BEGIN PRIVATE KEY`) with line ends,
    /// however it was spelled in the file.
    KeyPair { private_key_pem: SecretString },
    /// An OAuth access token.
    OAuth { token: SecretString },
    /// A programmatic access token.
    Pat { token: SecretString },
}

/// How to reach PostgreSQL: one server, the databases are named by the sources.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// A host name, an address, or the folder of a Unix socket (starts with `/`).
    pub host: String,
    pub port: u16,
    pub user: String,
    /// Empty where none is configured (trust, peer).
    pub password: SecretString,
    pub sslmode: SslMode,
    pub sslrootcert: Option<PathBuf>,
    /// The longest statement, but for index builds; zero: as long as it takes.
    pub statement_timeout: Duration,
    /// How long a load waits for a lock.
    pub lock_timeout: Duration,
}

/// libpq's meaning of the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server offers it, unverified.
    Prefer,
    /// TLS, unverified.
    Require,
    /// TLS, the certificate must come from a trusted CA.
    VerifyCa,
    /// TLS, and the certificate must name the host.
    VerifyFull,
}

impl SslMode {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// How to reach RabbitMQ.
#[derive(Debug, Clone)]
pub struct RabbitConfig {
    /// `amqp://` or `amqps://`, credentials included.
    pub url: SecretString,
    /// PEM certificates to trust beside the system's; readable and holding at least one certificate when loaded.
    pub ca_file: Option<PathBuf>,
}

/// What the fleet agrees on, times first; stored with the run, so that every worker obeys the planner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerConfig {
    pub lease: Duration,
    pub heartbeat: Duration,
    pub redispatch: Duration,
    pub first_hint: Duration,
    pub shutdown_grace: Duration,
    pub halt_grace: Duration,
    /// Megabytes of rows that a process may hold; each process obeys its own configuration.
    pub memory_mb: u32,
    /// Megabytes of memory for one index build.
    pub index_memory_mb: u32,
    /// Parallel workers of one index build.
    pub index_workers: u32,
}

/// A pair of schemas and what is loaded between them.
#[derive(Debug, Clone)]
pub struct Source {
    /// `sources[0]`, for messages.
    pub path: String,
    pub name: String,
    pub enabled: bool,
    pub source_database: SfIdent,
    pub source_schema: SfIdent,
    /// The database as it is named in a connection: exact, never folded.
    pub target_database: String,
    pub target_schema: PgIdent,
    /// In the order of the file, disabled ones included.
    pub tables: Vec<TableEntry>,
}

/// One entry (source, filter, target), globals resolved into it.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// `sources[0].tables[3]`, for messages.
    pub path: String,
    pub enabled: bool,
    pub source: SfIdent,
    pub target: PgIdent,
    /// As written, trimmed; a blank one is absent.
    pub source_filter: Option<String>,
    /// The first makes the ranges, the others only order.
    pub chunking_columns: Vec<ChunkingColumn>,
    /// Exact names as the source spells them; translated by the column mapping on the target's side.
    pub uniqueness_columns: Vec<SfIdent>,
    pub source_watermark: Option<SfIdent>,
    pub target_watermark: Option<PgIdent>,
    /// Source column to target column; the pair of watermarks is in it when their names differ.
    pub column_mapping: BTreeMap<SfIdent, PgIdent>,
    pub truncate_onstart: bool,
    pub insert_only: bool,
    pub disable_index: bool,
    /// The table's own cap across the fleet; `None`: no cap. The global key never caps a table.
    pub parallel_threads: Option<u16>,
    pub batch_size: u32,
    pub batch_size_copy_mode: u32,
    pub strategy: Strategy,
    /// The session time zone of every statement.
    pub timezone: String,
    /// `false`: `timezone` is the default (UTC), which is not enough for a mixed pair on a non-empty target.
    pub timezone_is_set: bool,
    pub watermark_lookback: Lookback,
    pub bad_rows: BadRowPolicy,
    /// Columns (either side's exact name) whose numbers may lose digits.
    pub lossy: Vec<String>,
    pub allow_empty_source: bool,
    pub append: bool,
    pub offset_sub_chunks_max: u32,
}

impl TableEntry {
    /// The target column a source column is loaded into by configuration; `None`: by its own name.
    #[must_use]
    pub fn mapped(&self, source: &SfIdent) -> Option<&PgIdent> {
        self.column_mapping.get(source)
    }
}

/// A column of `chunking_columns` with the type the file declares for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkingColumn {
    pub name: SfIdent,
    pub declared_type: Option<DeclaredType>,
}

/// A word of `chunking_column_types`. The introspected type wins; only `VarcharNumeric` changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredType {
    Int,
    Bigint,
    Integer,
    Number,
    Numeric,
    Date,
    Timestamp,
    TimestampNtz,
    TimestampLtz,
    TimestampTz,
    Uuid,
    Varchar,
    String,
    Text,
    /// Numbers kept as text, compared as numbers.
    VarcharNumeric,
}

/// How a table is cut into chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// By the first chunking column.
    Auto,
    SingleChunk,
    NumericRange,
    GroupedValues,
    DateRange,
    DateRangeOffset,
    OffsetBased,
    ResultPartitions,
}

/// How far below the greatest value seen the next run begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookback {
    /// By the watermark's type: an hour for timestamps, a day for dates, 0 for numbers; nothing without keys.
    Default,
    /// Exactly this; for a numeric watermark the number of seconds is the number subtracted.
    Exactly(Duration),
}

/// The words of `on_bad_row`, as the file spells them.
pub(crate) const ON_BAD_ROW: &[(&str, OnBadRow)] =
    &[("fail", OnBadRow::Fail), ("quarantine", OnBadRow::Quarantine), ("null", OnBadRow::Null)];

/// The words of `nul_in_text`.
pub(crate) const NUL_IN_TEXT: &[(&str, NulInText)] =
    &[("fail", NulInText::Fail), ("strip", NulInText::Strip), ("replace", NulInText::Replace)];

/// The words of `sslmode`. libpq's `allow` is left out: it prefers an unencrypted connection.
pub(crate) const SSL_MODES: &[(&str, SslMode)] = &[
    ("disable", SslMode::Disable),
    ("prefer", SslMode::Prefer),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// The words of `strategy`.
pub(crate) const STRATEGIES: &[(&str, Strategy)] = &[
    ("auto", Strategy::Auto),
    ("single_chunk", Strategy::SingleChunk),
    ("numeric_range", Strategy::NumericRange),
    ("grouped_values", Strategy::GroupedValues),
    ("date_range", Strategy::DateRange),
    ("date_range_offset", Strategy::DateRangeOffset),
    ("offset_based", Strategy::OffsetBased),
    ("result_partitions", Strategy::ResultPartitions),
];

/// The words of `chunking_column_types`, without case.
pub(crate) const DECLARED_TYPES: &[(&str, DeclaredType)] = &[
    ("int", DeclaredType::Int),
    ("bigint", DeclaredType::Bigint),
    ("integer", DeclaredType::Integer),
    ("number", DeclaredType::Number),
    ("numeric", DeclaredType::Numeric),
    ("date", DeclaredType::Date),
    ("timestamp", DeclaredType::Timestamp),
    ("timestamp_ntz", DeclaredType::TimestampNtz),
    ("timestamp_ltz", DeclaredType::TimestampLtz),
    ("timestamp_tz", DeclaredType::TimestampTz),
    ("uuid", DeclaredType::Uuid),
    ("varchar", DeclaredType::Varchar),
    ("string", DeclaredType::String),
    ("text", DeclaredType::Text),
    ("varchar_numeric", DeclaredType::VarcharNumeric),
];

impl DeclaredType {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        DECLARED_TYPES.iter().find(|(_, kind)| *kind == self).map_or("unknown", |(word, _)| word)
    }
}

impl Strategy {
    /// The word of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        STRATEGIES.iter().find(|(_, strategy)| *strategy == self).map_or("auto", |(word, _)| word)
    }
}
