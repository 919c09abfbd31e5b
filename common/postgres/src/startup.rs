//! The session settings of every connection: what ends a dead or frozen owner's transaction, and what makes two
//! sessions read and write values alike.
//!
//! They travel as the startup packet's `options`. A pooler in transaction mode (PgBouncer) refuses or ignores
//! that packet's options: there they belong in the role, where deploy/postgres/grants.sql sets the same.

use std::fmt::Write as _;

use crate::settings::PostgresSettings;

/// Setting and value, as `SET` would take them.
///
/// - The keepalives end the session of a vanished host, which would otherwise stay for two hours inside COPY.
/// - `client_connection_check_interval` ends a statement whose client was killed (needs a Linux server).
/// - `idle_in_transaction_session_timeout` ends a frozen client between two statements. Nothing but
///   `pg_terminate_backend` ends one that is frozen inside COPY.
/// - The rest pins what a role or a database might have set otherwise: isolation, zone, the text form of dates.
const SETTINGS: [(&str, &str); 8] = [
    ("tcp_keepalives_idle", "30"),
    ("tcp_keepalives_interval", "10"),
    ("tcp_keepalives_count", "3"),
    ("client_connection_check_interval", "10s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("default_transaction_isolation", "read committed"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
];

/// The `options` of the startup packet, the limits of `settings` among them: what a role or a database says of
/// `statement_timeout` is meant for other programs. Spaces inside a value are escaped with a backslash.
#[must_use]
pub(crate) fn options(settings: &PostgresSettings) -> String {
    let mut text = String::new();
    for (name, limit) in
        [("lock_timeout", settings.lock_timeout), ("statement_timeout", settings.statement_timeout)]
    {
        // Writing into a String cannot fail.
        write!(text, "-c {name}={} ", limit.as_millis()).ok();
    }
    for (name, value) in SETTINGS {
        let escaped = value.replace('\\', "\\\\").replace(' ', "\\ ");
        write!(text, "-c {name}={escaped} ").ok();
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_escape_the_spaces_of_values() {
        let text = options(&PostgresSettings::new("localhost", "thaw"));
        assert!(text.starts_with("-c lock_timeout=30000 -c statement_timeout=21600000 -c tcp_"), "{text}");
        assert!(text.contains("-c default_transaction_isolation=read\\ committed -c TimeZone=UTC"));
    }
}
