//! The pool of connections: TLS, trust, proxy.

use std::sync::Arc;

use reqwest::{Certificate, NoProxy, Proxy, redirect};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::auth::is_loopback;
use crate::client::ClientConfig;
use crate::error::SnowflakeError;

const USER_AGENT: &str = concat!("thaw/", env!("CARGO_PKG_VERSION"));

/// Builds the pool that all clones of a client share.
pub(crate) fn http_client(config: &ClientConfig, base: &Url) -> Result<reqwest::Client, SnowflakeError> {
    install_tls_provider();
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(config.timeouts.connect)
        .tcp_nodelay(true)
        // A redirect would carry the token to another host.
        .redirect(redirect::Policy::none())
        // The environment is the configuration's business alone.
        .no_proxy();
    if let Some(proxy) = config.proxy.as_ref().filter(|_| !is_loopback(base)) {
        let proxy = Proxy::all(proxy.expose_secret()).map_err(|_| SnowflakeError::InvalidProxy)?;
        builder = builder.proxy(proxy.no_proxy(NoProxy::from_string("localhost,127.0.0.0/8,::1")));
    }
    builder = match &config.ca_file {
        Some(path) => builder.tls_certs_merge(certificates(path)?),
        // Plain http on loopback needs no trust, and a machine without root certificates can still have it.
        None if base.scheme() == "http" => builder.tls_certs_only([]),
        None => builder,
    };
    builder.build().map_err(SnowflakeError::Setup)
}

fn certificates(path: &std::path::Path) -> Result<Vec<Certificate>, SnowflakeError> {
    let name = path.display().to_string();
    let pem = std::fs::read(path).map_err(|source| SnowflakeError::CaFile { path: name.clone(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(SnowflakeError::CaFileEmpty(name)),
    }
}

/// Once a process; whoever was first is right.
fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // The error says that another thread was faster.
        drop::<Result<(), Arc<_>>>(rustls::crypto::ring::default_provider().install_default());
    }
}
