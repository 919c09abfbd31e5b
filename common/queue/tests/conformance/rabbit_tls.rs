//! TLS with a certificate authority of our own.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use thaw_harness::RabbitServer;
use thaw_queue::rabbitmq::{RabbitOptions, RabbitQueue};
use url::Url;

use crate::rigs::options;

/// Writes `ca.pem`, `server.pem` and `server.key` for 127.0.0.1 and localhost.
fn write_certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let authority_certificate = authority.self_signed(&authority_key).expect("self-signed");
    let issuer = Issuer::new(authority, authority_key);
    let server_key = KeyPair::generate().expect("a key");
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server =
        CertificateParams::new(names).expect("parameters").signed_by(&server_key, &issuer).expect("signed");
    for (name, pem) in [
        ("ca.pem", authority_certificate.pem()),
        ("server.pem", server.pem()),
        ("server.key", server_key.serialize_pem()),
    ] {
        std::fs::write(folder.join(name), pem).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_a_private_authority_is_trusted_by_its_ca_file_only() {
    let folder = TempDir::new().expect("a folder");
    write_certificates(folder.path());
    let port = thaw_harness::port::free();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let server = RabbitServer::start_with(&[
        &format!("listeners.ssl.1 = 127.0.0.1:{port}"),
        &format!("ssl_options.cacertfile = {}", file("ca.pem")),
        &format!("ssl_options.certfile = {}", file("server.pem")),
        &format!("ssl_options.keyfile = {}", file("server.key")),
    ])
    .expect("a broker with TLS");
    // `set_scheme` refuses to leave a scheme it does not know.
    let mut url = Url::parse(&server.url().replacen("amqp:", "amqps:", 1)).expect("a URL");
    url.set_port(Some(port)).expect("a port");

    let trusting = RabbitOptions { ca_file: Some(folder.path().join("ca.pem")), ..options(url.as_str()) };
    RabbitQueue::new(&trusting).expect("usable options").check().await.expect("trusted");

    let doubting = RabbitQueue::new(&options(url.as_str())).expect("usable options");
    let error = doubting.check().await.expect_err("nobody vouches for it");
    let text = thaw_model::ErrorReport::of(&error).text;
    assert!(text.to_lowercase().contains("certificate"), "{text}");
}
