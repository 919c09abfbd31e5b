//! Every key of the file: its kind, range, default and meaning, once. The reader, the "did you mean", the JSON Schema
//! and the tests of the documentation all look here.

use crate::config::{DECLARED_TYPES, NUL_IN_TEXT, ON_BAD_ROW, SSL_MODES, STRATEGIES};
use crate::defaults::BATCH_SIZE_MAX;

/// One object of the file.
#[derive(Debug)]
pub(crate) struct Section {
    /// As a person calls it: `sources[]`.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Groups, because some keys are the same in two places.
    groups: &'static [&'static [Key]],
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
    /// One clause, lower case.
    pub(crate) about: &'static str,
}

/// What a key holds.
#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    /// Text that is never printed.
    Secret,
    Flag,
    Integer {
        min: u32,
        max: u32,
    },
    /// One of a few words.
    Word(fn() -> Vec<&'static str>),
    /// A list of names; one name may stand without its list.
    Names,
    /// Types of the chunking columns, a list like `Names`.
    Types(fn() -> Vec<&'static str>),
    /// Source name to target name.
    Mapping,
    /// Seconds, or a number with a unit: `90s 15m 1h 1d 1w`.
    Span,
    Object(&'static Section),
    List(&'static Section),
    /// Accepted and without effect.
    Dead,
}

/// What happens where the key is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    /// The words describe the default.
    Optional(&'static str),
}

use Need::{Optional, Required};

impl Section {
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }
}

const fn key(name: &'static str, kind: Kind, need: Need, about: &'static str) -> Key {
    Key { name, kind, need, about }
}

fn words<T>(table: &'static [(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}

const THREADS: Kind = Kind::Integer { min: 1, max: 256 };
const ROWS: Kind = Kind::Integer { min: 1, max: BATCH_SIZE_MAX };
const SECONDS: Kind = Kind::Integer { min: 1, max: 86_400 };
const SECONDS_OR_NONE: Kind = Kind::Integer { min: 0, max: 86_400 };

/// The whole file.
pub(crate) static GLOBAL: Section = Section {
    name: "the top level",
    about: "the configuration of planner and worker",
    groups: &[
        &[
            key("snowflake", Kind::Object(&SNOWFLAKE), Required, "the source account"),
            key("postgres", Kind::Object(&POSTGRES), Required, "the target server"),
            key(
                "rabbitmq",
                Kind::Object(&RABBITMQ),
                Optional("none: only `planner run --local` can load"),
                "the broker between planner and workers",
            ),
            key("worker", Kind::Object(&WORKER), Optional("the defaults below"), "times of the fleet"),
            key(
                "parallel_threads",
                THREADS,
                Optional("6"),
                "slots of `planner run --local` and default of `worker --concurrency`",
            ),
            key(
                "max_retry_attempts",
                Kind::Integer { min: 1, max: 100 },
                Optional("3"),
                "counted failures of a chunk until it is failed",
            ),
            key(
                "lambda_timeout_buffer_seconds",
                SECONDS_OR_NONE,
                Optional("120"),
                "with `worker --max-runtime`: no new chunk is taken when less time than this is left",
            ),
            key("sources", Kind::List(&SOURCE), Required, "what is loaded; at least one"),
        ],
        &SHARED,
    ],
};

/// The Snowflake account.
pub(crate) static SNOWFLAKE: Section = Section {
    name: "snowflake",
    about: "how to reach the source account",
    groups: &[&[
        key(
            "account",
            Kind::Text,
            Required,
            "account identifier: `xy12345.us-east-1` or `organization-account`",
        ),
        key(
            "user",
            Kind::Text,
            Required,
            "user the statements run as; one for the whole fleet, results belong to their user",
        ),
        key("warehouse", Kind::Text, Required, "virtual warehouse"),
        key("role", Kind::Text, Optional("the user's default role"), "role of every statement"),
        key(
            "url",
            Kind::Text,
            Optional("https://<account>.snowflakecomputing.com"),
            "base URL of the SQL API; plain http only to this machine",
        ),
        key(
            "auth",
            Kind::Word(|| vec!["keypair", "oauth", "pat"]),
            Optional("keypair"),
            "how to authenticate: RSA key pair, OAuth token, programmatic access token",
        ),
        key(
            "rsa_key",
            Kind::Secret,
            Optional("none; required with `auth: keypair`"),
            "RSA private key: a path, a PEM, a PEM with literal \\n, or bare base64",
        ),
        key("passphrase", Kind::Secret, Optional("none"), "passphrase of an encrypted `rsa_key`"),
        key("token", Kind::Secret, Optional("none; required with `auth: oauth` and `pat`"), "the token"),
        key(
            "ca_file",
            Kind::Text,
            Optional("the system's certificates"),
            "PEM file of certificates to trust as well, of a proxy for example",
        ),
        key(
            "proxy",
            Kind::Secret,
            Optional("none"),
            "URL of an HTTP proxy, with credentials where it needs some",
        ),
    ]],
};

/// The PostgreSQL server.
pub(crate) static POSTGRES: Section = Section {
    name: "postgres",
    about: "how to reach the target server; the sources name its databases",
    groups: &[&[
        key("host", Kind::Text, Required, "host name, address, or folder of a Unix socket"),
        key("port", Kind::Integer { min: 1, max: 65_535 }, Optional("5432"), "port"),
        key("user", Kind::Text, Required, "role that loads"),
        key("password", Kind::Secret, Optional("none"), "its password"),
        key(
            "sslmode",
            Kind::Word(|| words(SSL_MODES)),
            Optional("verify-full; disable on this machine"),
            "TLS as libpq means it",
        ),
        key(
            "sslrootcert",
            Kind::Text,
            Optional("the system's certificates"),
            "PEM file of certificates to trust",
        ),
        key(
            "statement_timeout_seconds",
            Kind::Integer { min: 0, max: 604_800 },
            Optional("21600"),
            "longest statement on the target, whatever the role or the database say; 0: as long as it takes",
        ),
        key(
            "lock_timeout_seconds",
            Kind::Integer { min: 1, max: 3600 },
            Optional("30"),
            "how long a load waits for a lock that somebody else holds before it gives way and comes back later",
        ),
    ]],
};

/// The broker.
pub(crate) static RABBITMQ: Section = Section {
    name: "rabbitmq",
    about: "how to reach the broker",
    groups: &[&[
        key(
            "url",
            Kind::Secret,
            Optional("the variable AMQP_URL"),
            "`amqp://` or `amqps://` URL with user, password and virtual host",
        ),
        key(
            "ca_file",
            Kind::Text,
            Optional("the system's certificates"),
            "PEM file of certificates to trust as well",
        ),
    ]],
};

/// Times of the fleet.
pub(crate) static WORKER: Section = Section {
    name: "worker",
    about: "times of the fleet and means of its index builds, stored with the run so that every worker agrees",
    groups: &[&[
        key(
            "lease_seconds",
            Kind::Integer { min: 1, max: 3600 },
            Optional("60"),
            "how long a claimed chunk belongs to a silent worker, and a run to a silent planner",
        ),
        key(
            "heartbeat_seconds",
            Kind::Integer { min: 1, max: 1800 },
            Optional("lease_seconds / 4"),
            "time between two extensions of a lease; at most half of it",
        ),
        key(
            "redispatch_seconds",
            Kind::Integer { min: 1, max: 3600 },
            Optional("5"),
            "time between two looks at what needs work",
        ),
        key(
            "first_hint_seconds",
            SECONDS,
            Optional("60"),
            "time without a claim in a table after which its untouched chunks are published again",
        ),
        key(
            "shutdown_grace_seconds",
            SECONDS_OR_NONE,
            Optional("30"),
            "time to finish or hand back after SIGTERM",
        ),
        key(
            "halt_grace_seconds",
            SECONDS_OR_NONE,
            Optional("900"),
            "time a worker waits for refused credentials or a full disk to mend before it exits",
        ),
        key(
            "memory_mb",
            Kind::Integer { min: 1, max: 1_048_576 },
            Optional("256"),
            "megabytes of rows that one process may hold between source and target, over all its slots",
        ),
        key(
            "index_memory_mb",
            Kind::Integer { min: 1, max: 1_048_576 },
            Optional("512"),
            "megabytes of PostgreSQL's maintenance_work_mem for an index that is built again",
        ),
        key(
            "index_workers",
            Kind::Integer { min: 0, max: 64 },
            Optional("4"),
            "PostgreSQL's parallel workers for an index that is built again; its own limits hold as well",
        ),
    ]],
};

/// A pair of schemas.
pub(crate) static SOURCE: Section = Section {
    name: "sources[]",
    about: "a source schema, a target schema, and the tables between them",
    groups: &[&[
        key("source_name", Kind::Text, Required, "name for `--source` and for messages"),
        key("enabled", Kind::Flag, Optional("true"), "false leaves the source out"),
        key(
            "source_sf_database",
            Kind::Text,
            Required,
            "Snowflake database; folds to upper case unless quoted",
        ),
        key("source_sf_schema", Kind::Text, Required, "Snowflake schema; folds to upper case unless quoted"),
        key("target_pg_database", Kind::Text, Required, "PostgreSQL database, exact"),
        key("target_pg_schema", Kind::Text, Required, "PostgreSQL schema; folds to lower case unless quoted"),
        key("tables", Kind::List(&TABLE), Required, "the tables"),
    ]],
};

/// A table.
pub(crate) static TABLE: Section = Section {
    name: "sources[].tables[]",
    about: "one entry: source, filter, target",
    groups: &[
        &[
            key("enabled", Kind::Flag, Optional("true"), "false leaves the table out"),
            key(
                "source",
                Kind::Text,
                Required,
                "Snowflake table; folds to upper case unless quoted: `\"\\\"mixed\\\"\"`",
            ),
            key("target", Kind::Text, Required, "PostgreSQL table; folds to lower case unless quoted"),
            key(
                "source_filter",
                Kind::Text,
                Optional("every row"),
                "a condition in Snowflake's SQL, without WHERE",
            ),
            key(
                "chunking_columns",
                Kind::Names,
                Optional("none"),
                "columns that chunks are cut by: the first makes the ranges, the others only order",
            ),
            key(
                "chunking_column_types",
                Kind::Types(|| words(DECLARED_TYPES)),
                Optional("the source's types"),
                "their types; the source's own type wins, `varchar_numeric` alone changes the comparison",
            ),
            key(
                "uniqueness_columns",
                Kind::Names,
                Optional("none"),
                "the key that decides which row an upsert replaces, in the source's spelling",
            ),
            key(
                "sort_columns",
                Kind::Dead,
                Optional("none"),
                "no longer used: the strategy decides the order",
            ),
            key(
                "source_watermark",
                Kind::Text,
                Optional("none"),
                "source column that grows with every change",
            ),
            key(
                "target_watermark",
                Kind::Text,
                Optional("the column source_watermark is loaded into"),
                "the same column at the target",
            ),
            key(
                "column_mapping",
                Kind::Mapping,
                Optional("columns of the same name"),
                "source column to target column, where their names differ",
            ),
            key("truncate_onstart", Kind::Flag, Optional("false"), "empty the target before it is loaded"),
            key(
                "disable_index",
                Kind::Flag,
                Optional("false"),
                "drop plain indexes while loading, where that pays, and rebuild them",
            ),
            key(
                "parallel_threads",
                THREADS,
                Optional("no cap"),
                "chunks of this table that are loaded at once across the fleet",
            ),
        ],
        &SHARED,
    ],
};

/// Keys of a table that may stand at the top level for all tables.
static SHARED: [Key; 14] = [
    key("batch_size", ROWS, Optional("50000"), "rows a chunk"),
    key("batch_size_copy_mode", ROWS, Optional("batch_size"), "rows a chunk in copy mode"),
    key("insert_only_mode", Kind::Flag, Optional("false"), "never change a row that is there"),
    key(
        "strategy",
        Kind::Word(|| words(STRATEGIES)),
        Optional("auto"),
        "how chunks are cut; auto goes by the first chunking column",
    ),
    key("timezone", Kind::Text, Optional("UTC"), "session time zone of every statement, an IANA name"),
    key(
        "watermark_lookback",
        Kind::Span,
        Optional("with keys 1 hour, 1 day for dates, 0 for numbers; else none"),
        "how far below the last watermark reading begins: seconds, or 90s 15m 1h 1d 1w",
    ),
    key(
        "on_bad_row",
        Kind::Word(|| words(ON_BAD_ROW)),
        Optional("fail"),
        "what to do with a row that the target cannot hold",
    ),
    key(
        "nul_in_text",
        Kind::Word(|| words(NUL_IN_TEXT)),
        Optional("fail"),
        "what to do with the character U+0000 in text",
    ),
    key(
        "max_bad_rows",
        Kind::Integer { min: 0, max: 1_000_000 },
        Optional("1000"),
        "quarantined rows after which the table fails",
    ),
    key(
        "quarantine_values",
        Kind::Flag,
        Optional("false"),
        "keep the keys and values of quarantined rows in the status tables",
    ),
    key("lossy", Kind::Names, Optional("none"), "columns whose numbers may lose digits"),
    key(
        "allow_empty_source",
        Kind::Flag,
        Optional("false"),
        "let truncate_onstart empty the target although the source has no row",
    ),
    key("append", Kind::Flag, Optional("false"), "load without keys into a table that is not empty"),
    key(
        "offset_sub_chunks_max",
        Kind::Integer { min: 1, max: 10_000 },
        Optional("32"),
        "OFFSET chunks for one value above which the plan names a better strategy",
    ),
];

/// Every section, the top level first.
pub(crate) static SECTIONS: [&Section; 7] =
    [&GLOBAL, &SNOWFLAKE, &POSTGRES, &RABBITMQ, &WORKER, &SOURCE, &TABLE];

/// The known key that was probably meant.
pub(crate) fn nearest(section: &Section, unknown: &str) -> Option<&'static str> {
    nearest_word(section.keys().map(|key| key.name), unknown)
}

/// The word that was probably meant: equal but for case, `-` and `_`, or a slip of the fingers away.
pub(crate) fn nearest_word(words: impl Iterator<Item = &'static str>, unknown: &str) -> Option<&'static str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(unknown);
    let distance = |word: &&'static str| strsim::damerau_levenshtein(&plain(word), &wanted);
    let slips = match wanted.chars().count() {
        0..=2 => 0,
        3..=6 => 1,
        7..=11 => 2,
        _ => 3,
    };
    words.filter(|word| distance(word) <= slips).min_by_key(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        assert_eq!(nearest(&TABLE, "traget"), Some("target"));
        assert_eq!(nearest(&TABLE, "chunkingColumns"), Some("chunking_columns"));
        assert_eq!(nearest(&POSTGRES, "usr"), Some("user"));
        assert_eq!(nearest(&RABBITMQ, "uri"), Some("url"));
        assert_eq!(nearest(&GLOBAL, "batchsize"), Some("batch_size"));
        assert_eq!(nearest(&GLOBAL, "max_retry_attempt"), Some("max_retry_attempts"));
        for stranger in ["database", "authenticator", "auth_method", "port", "schema", "host"] {
            assert_eq!(nearest(&SNOWFLAKE, stranger), None, "{stranger}");
        }
    }

    #[test]
    fn described_defaults_are_the_real_ones() {
        use crate::defaults as d;
        let described = [
            (&GLOBAL, "parallel_threads", u32::from(d::PARALLEL_THREADS)),
            (&GLOBAL, "max_retry_attempts", u32::from(d::MAX_RETRY_ATTEMPTS)),
            (&GLOBAL, "lambda_timeout_buffer_seconds", d::LAMBDA_TIMEOUT_BUFFER_SECONDS),
            (&GLOBAL, "batch_size", d::BATCH_SIZE),
            (&GLOBAL, "max_bad_rows", d::MAX_BAD_ROWS),
            (&GLOBAL, "offset_sub_chunks_max", d::OFFSET_SUB_CHUNKS_MAX),
            (&POSTGRES, "port", u32::from(d::POSTGRES_PORT)),
            (&POSTGRES, "statement_timeout_seconds", d::STATEMENT_TIMEOUT_SECONDS),
            (&POSTGRES, "lock_timeout_seconds", d::LOCK_TIMEOUT_SECONDS),
            (&WORKER, "lease_seconds", d::LEASE_SECONDS),
            (&WORKER, "redispatch_seconds", d::REDISPATCH_SECONDS),
            (&WORKER, "first_hint_seconds", d::FIRST_HINT_SECONDS),
            (&WORKER, "shutdown_grace_seconds", d::SHUTDOWN_GRACE_SECONDS),
            (&WORKER, "halt_grace_seconds", d::HALT_GRACE_SECONDS),
            (&WORKER, "memory_mb", d::MEMORY_MB),
            (&WORKER, "index_memory_mb", d::INDEX_MEMORY_MB),
            (&WORKER, "index_workers", d::INDEX_WORKERS),
        ];
        for (section, name, number) in described {
            let need = section.key(name).map(|key| key.need);
            assert_eq!(need, Some(Optional(number.to_string().leak())), "{name}");
        }
    }

    #[test]
    fn no_section_has_a_key_twice() {
        for section in SECTIONS {
            let mut names: Vec<_> = section.keys().map(|key| key.name).collect();
            names.sort_unstable();
            let count = names.len();
            names.dedup();
            assert_eq!(count, names.len(), "{}", section.name);
        }
    }
}
