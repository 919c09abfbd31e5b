//! The way to the broker: URL, TLS, connecting and closing under time limits.

use std::future::Future;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Connection, ConnectionProperties, ErrorKind};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::topology::QueueNames;
use super::{CLOSE_LIMIT, CONNECT_LIMIT, RabbitOptions};
use crate::error::QueueError;

/// Where the broker is and how to speak to it. `Debug` leaves the credentials out.
pub(super) struct Broker {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    names: QueueNames,
    connection_name: String,
    silence: Duration,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("address", &self.address())
            .field("vhost", &self.uri.vhost)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl Broker {
    pub(super) fn new(options: &RabbitOptions) -> Result<Self, QueueError> {
        let heartbeat = u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1);
        let uri = parse_url(options.url.expose_secret(), heartbeat)?;
        let cert_chain = options.ca_file.as_deref().map(read_ca_file).transpose()?;
        Ok(Self {
            uri,
            tls: OwnedTLSConfig { identity: None, cert_chain },
            names: QueueNames::new(&options.queue_prefix),
            connection_name: options.connection_name.clone(),
            silence: options.silence,
        })
    }

    pub(super) fn names(&self) -> &QueueNames {
        &self.names
    }

    /// How long an idle consumer hears nothing before it is made anew.
    pub(super) fn silence(&self) -> Duration {
        self.silence
    }

    /// `host:port`, for messages.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.uri.authority.host, self.uri.authority.port)
    }

    /// Opens a connection named `<connection name>/<role>`.
    ///
    /// A plain TCP connect goes first: each connect that lapin sees refused leaks two tasks, each abandoned one a
    /// thread, and a broker may be down for hours.
    pub(super) async fn connect(&self, role: &'static str) -> Result<Connection, QueueError> {
        timeout(CONNECT_LIMIT, self.knock())
            .await
            .map_err(|_| QueueError::TimedOut { doing: "accept a connection", limit: CONNECT_LIMIT })??;

        let name = format!("{}/{role}", self.connection_name);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let runtime = lapin::runtime::default_runtime()
            .map_err(|source| QueueError::Broker { doing: "start a connection", source })?;
        let connecting =
            Connection::connect_uri_with_config(self.uri.clone(), properties, self.tls.clone(), runtime);
        within("open a connection", CONNECT_LIMIT, connecting)
            .await
            .map_err(|error| self.or_login_refused(error))
    }

    async fn knock(&self) -> Result<(), QueueError> {
        let host = self.uri.authority.host.as_str();
        let found = tokio::net::lookup_host((host, self.uri.authority.port)).await;
        let found = found.map_err(|source| QueueError::Unresolved { host: host.to_owned(), source })?;
        let addresses: Vec<SocketAddr> = found.collect();
        match TcpStream::connect(addresses.as_slice()).await {
            Ok(_stream) => Ok(()),
            Err(source) => Err(QueueError::Unreachable { address: self.address(), source }),
        }
    }

    /// While a connection is opened, 403 is about the login; a permission that is missing comes later.
    fn or_login_refused(&self, error: QueueError) -> QueueError {
        let QueueError::Broker { source, .. } = &error else { return error };
        match source.kind() {
            ErrorKind::ProtocolError(refusal)
                if *refusal.kind() == AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) =>
            {
                QueueError::LoginRefused { user: self.uri.authority.userinfo.username.clone() }
            }
            _ => error,
        }
    }
}

/// Waits for a call to the broker, but not for ever: a blocked or wedged connection answers nothing at all.
pub(super) async fn within<T>(
    doing: &'static str,
    limit: Duration,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, QueueError> {
    match timeout(limit, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(QueueError::Broker { doing, source }),
        Err(_) => Err(QueueError::TimedOut { doing, limit }),
    }
}

/// Closes a connection under a time limit. An error leaves nothing to do: the broker requeues what was unsettled.
pub(super) async fn close(connection: &Connection) {
    let closing = connection.close(lapin::protocol::constants::REPLY_SUCCESS, "done".into());
    if let Err(error) = within("close the connection", CLOSE_LIMIT, closing).await {
        tracing::debug!(error = %error, "connection to the broker did not close cleanly");
    }
}

/// Reads the URL. No text of an error repeats any part of the URL, because a part may be the password.
fn parse_url(text: &str, heartbeat: u16) -> Result<AMQPUri, QueueError> {
    let refuse = |reason: &str| QueueError::Url(reason.to_owned());
    let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "amqp" | "amqps") {
        return Err(refuse("the scheme must be amqp or amqps"));
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refuse("it names no host"))?;
    let mut uri = AMQPUri::from_str(text)
        .map_err(|_| refuse("it is not amqp[s]://user:password@host:port/vhost?parameters"))?;
    // lapin's parser turns an IPv6 address into `localhost`.
    uri.authority.host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if uri.vhost.is_empty() {
        "/".clone_into(&mut uri.vhost);
    }
    uri.query.heartbeat = Some(heartbeat);
    if uri.scheme == AMQPScheme::AMQP && url.port().is_none() {
        uri.authority.port = AMQPScheme::AMQP.default_port();
    }
    Ok(uri)
}

/// Reads and checks a PEM file: the TLS layer below ignores what it cannot parse, which would end in a puzzling
/// "unknown issuer".
fn read_ca_file(path: &std::path::Path) -> Result<String, QueueError> {
    let refuse = |reason: String| QueueError::CaFile { path: path.display().to_string(), reason };
    let pem = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let mut store = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        store.add(certificate).map_err(|error| refuse(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(refuse("it holds no certificate in PEM form".to_owned()));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<AMQPUri, QueueError> {
        parse_url(text, 10)
    }

    #[test]
    fn the_heartbeat_is_forced_and_an_empty_vhost_is_the_default_one() {
        let uri = parsed("amqp://u:p@broker/?heartbeat=600").expect("valid");
        assert_eq!(uri.query.heartbeat, Some(10));
        assert_eq!(uri.vhost, "/");
        assert_eq!(uri.authority.port, 5672);
        assert_eq!(parsed("amqps://u:p@broker/v%2Fx").expect("valid").vhost, "v/x");
        assert_eq!(parsed("amqps://u:p@broker").expect("valid").authority.port, 5671);
    }

    #[test]
    fn an_ipv6_address_stays_what_it_is() {
        assert_eq!(parsed("amqp://u:p@[::1]:5673/v").expect("valid").authority.host, "::1");
        assert_eq!(parsed("amqp://u:p@127.0.0.1:5673/v").expect("valid").authority.host, "127.0.0.1");
    }

    #[test]
    fn no_error_about_a_url_repeats_its_password() {
        for text in [
            "amqp://user:hunter2@",
            "http://user:hunter2@host",
            "amqp://user:hunter2@host:99999/v",
            "amqp://user:hunter2@host/v?heartbeat=hunter2",
            "amqp:hunter2",
            "hunter2",
        ] {
            let error = parsed(text).expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, "not a certificate").expect("written");
        let error = read_ca_file(&path).expect_err("refused").to_string();
        assert!(error.contains("ca.pem"), "{error}");
        assert!(read_ca_file(&folder.path().join("missing.pem")).is_err());
    }
}
