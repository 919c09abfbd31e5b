//! How a server is reached. The configuration file's spelling of this is thaw-config's business.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

/// Where the server is and who we are there. One value serves every database of the server.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// A host name, an address, or the folder of a Unix socket (it starts with `/`).
    pub host: String,
    pub port: u16,
    pub user: String,
    /// `None` where the server needs none (trust, peer).
    pub password: Option<SecretString>,
    /// `None`: [`SslMode::default_for`] the host.
    pub sslmode: Option<SslMode>,
    /// A PEM file of certificates to trust instead of the operating system's.
    pub sslrootcert: Option<PathBuf>,
    /// What `pg_stat_activity` shows: `thaw/<worker>`.
    pub application_name: String,
    /// From the first packet to a session that is ready, TLS and authentication included.
    pub connect_timeout: Duration,
    /// Of every statement that has no limit of its own; zero: as long as it takes.
    pub statement_timeout: Duration,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
}

/// The modes of libpq (PostgreSQL manual, 34.19), in the order of what they protect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SslMode {
    /// Plain text.
    Disable,
    /// TLS where the server offers it, plain text otherwise; the certificate is not verified.
    Prefer,
    /// TLS or nothing; the certificate is verified only when `sslrootcert` is given (as `VerifyCa`), and its
    /// absence is warned about: somebody in the middle would not be noticed.
    Require,
    /// TLS with a certificate of a trusted authority, whatever name it bears.
    VerifyCa,
    /// TLS with a certificate of a trusted authority that bears the host's name.
    VerifyFull,
}

/// A mode that libpq does not have, or one we do not take (`allow`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown sslmode `{0}`: use disable, prefer, require, verify-ca or verify-full")]
pub struct UnknownSslMode(String);

impl SslMode {
    /// `Disable` on the machine itself, `VerifyFull` everywhere else.
    #[must_use]
    pub fn default_for(host: &str) -> Self {
        if is_this_machine(host) { Self::Disable } else { Self::VerifyFull }
    }

    /// As libpq spells it.
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

impl FromStr for SslMode {
    type Err = UnknownSslMode;

    fn from_str(text: &str) -> Result<Self, UnknownSslMode> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return Err(UnknownSslMode(text.to_owned())),
        })
    }
}

impl PostgresSettings {
    /// Settings with the usual port, no password, the default mode and time limits of 15 seconds (connecting), 30 seconds
    /// (locks) and 6 hours (statements).
    #[must_use]
    pub fn new(host: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: 5432,
            user: user.into(),
            password: None,
            sslmode: None,
            sslrootcert: None,
            application_name: "thaw".to_owned(),
            connect_timeout: Duration::from_secs(15),
            statement_timeout: Duration::from_secs(6 * 3600),
            lock_timeout: Duration::from_secs(30),
        }
    }

    /// The mode that will be used.
    #[must_use]
    pub fn effective_sslmode(&self) -> SslMode {
        self.sslmode.unwrap_or_else(|| SslMode::default_for(&self.host))
    }

    /// The host is the folder of a Unix socket; TLS does not exist there.
    #[must_use]
    pub fn is_unix_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

/// Loopback by name or by address, or a Unix socket.
fn is_this_machine(host: &str) -> bool {
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verification_is_the_default_off_the_machine() {
        for host in ["localhost", "127.0.0.1", "127.3.2.1", "::1", "/var/run/postgresql"] {
            assert_eq!(SslMode::default_for(host), SslMode::Disable, "{host}");
        }
        for host in ["db.example.org", "10.0.0.1", "localhost.example.org", "postgres"] {
            assert_eq!(SslMode::default_for(host), SslMode::VerifyFull, "{host}");
        }
    }

    #[test]
    fn every_mode_reads_back_and_others_are_refused() {
        for mode in
            [SslMode::Disable, SslMode::Prefer, SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull]
        {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert!("allow".parse::<SslMode>().is_err());
        assert!("VERIFY-FULL".parse::<SslMode>().is_err());
    }

    #[test]
    fn settings_do_not_print_the_password() {
        let mut settings = PostgresSettings::new("localhost", "thaw");
        settings.password = Some("hunter2".to_owned().into());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
