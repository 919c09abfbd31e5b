//! TLS: a client with the CA gets in, one without does not.

use serde_json::json;

use crate::support::{Served, send, write_file};

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_served_with_the_given_certificate() {
    let certified =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let certificate = write_file(folder.path(), "tls.pem", &certified.cert.pem());
    let key = write_file(folder.path(), "tls.key", &certified.signing_key.serialize_pem());
    let served = Served::start(&["--calm", "--tls-cert", &certificate, "--tls-key", &key]).await;
    assert!(served.url.starts_with("https://"));
    let mut client = served.client();
    assert!(
        client.http.get(&served.url).send().await.is_err(),
        "a client that does not know the CA stays out"
    );
    let ca = reqwest::Certificate::from_pem(certified.cert.pem().as_bytes()).unwrap();
    client.http = reqwest::Client::builder().tls_certs_only([ca]).build().unwrap();
    let request =
        client.request(reqwest::Method::POST, "/api/v2/statements").json(&json!({"statement": "select 1"}));
    assert_eq!(send(request).await.unwrap().json()["data"], json!([["1"]]));
}
