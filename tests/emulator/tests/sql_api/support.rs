//! One emulator over a database of its own, and a client that only knows HTTP and JSON.

use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use thaw_harness::{Launch, Process, TestDatabase, wait};

/// A key pair as files and as what a token needs.
pub(crate) struct TestKey {
    pub(crate) public_pem: String,
    pub(crate) fingerprint: String,
    private_pem: String,
}

/// Two keys: the registered one and one nobody has registered. Made once, it takes a second.
pub(crate) static KEY: LazyLock<TestKey> = LazyLock::new(TestKey::generate);
pub(crate) static OTHER_KEY: LazyLock<TestKey> = LazyLock::new(TestKey::generate);

impl TestKey {
    fn generate() -> Self {
        let private = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
        let public = private.to_public_key();
        let der = public.to_public_key_der().unwrap();
        Self {
            public_pem: public.to_public_key_pem(LineEnding::LF).unwrap(),
            fingerprint: format!("SHA256:{}", STANDARD.encode(Sha256::digest(der.as_bytes()))),
            private_pem: private.to_pkcs8_pem(LineEnding::LF).unwrap().to_string(),
        }
    }

    /// Signs claims.
    pub(crate) fn sign(&self, algorithm: Algorithm, claims: &Value) -> String {
        let key = EncodingKey::from_rsa_pem(self.private_pem.as_bytes()).unwrap();
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    }
}

/// Claims of an honest token for `user`, valid for 55 minutes.
pub(crate) fn claims(key: &TestKey, user: &str) -> Value {
    let now = now_seconds();
    json!({
        "iss": format!("ACME.{user}.{}", key.fingerprint),
        "sub": format!("ACME.{user}"),
        "iat": now - 30,
        "exp": now + 3300,
    })
}

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "a client mints tokens by its wall clock")]
pub(crate) fn now_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// A served emulator: users LOADER and OTHER (key pair), OAUTH_USER and PAT_USER (tokens).
pub(crate) struct Served {
    pub(crate) database: TestDatabase,
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    admin: String,
    process: Process,
    http: reqwest::Client,
}

/// An HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// After Content-Encoding.
    pub(crate) text: String,
}

impl Answer {
    /// The body, which is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body's `code`.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The body's `statementHandle`.
    pub(crate) fn handle(&self) -> String {
        let body = self.json();
        body["statementHandle"].as_str().unwrap_or_else(|| panic!("no handle in {body}")).to_owned()
    }

    pub(crate) fn is_gzip(&self) -> bool {
        self.headers.get("content-encoding").is_some_and(|value| value == "gzip")
    }
}

impl Served {
    /// Calm, so that a test sees the protocol and not the weather.
    pub(crate) async fn calm() -> Self {
        Self::start(&["--calm"]).await
    }

    /// With further arguments of `serve`.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        // The second test of a process finds it installed.
        drop(rustls::crypto::ring::default_provider().install_default());
        let database = TestDatabase::create().await;
        let folder = tempfile::tempdir().unwrap();
        let public = folder.path().join("public.pem");
        std::fs::write(&public, &KEY.public_pem).unwrap();
        let ports = folder.path().join("ports.json");
        let process = Launch::bin("snowflake-emulator", "emulator", folder.path())
            .unwrap()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--account", "acme"])
            .args(["--postgres", &database.url(), "--port-file"])
            .arg(&ports)
            .args([
                "--user",
                &format!("LOADER={}", public.display()),
                "--user",
                &format!("other={}", public.display()),
            ])
            .args(["--token", "oauth:OAUTH_USER=secret-oauth", "--token", "pat:PAT_USER=secret-pat"])
            .args(arguments)
            .spawn()
            .unwrap();
        wait::until("the emulator is ready", Duration::from_secs(30), async || Ok(ports.exists()))
            .await
            .unwrap();
        let addresses: Value = serde_json::from_str(&std::fs::read_to_string(&ports).unwrap()).unwrap();
        let text = |name: &str| addresses[name].as_str().unwrap().to_owned();
        Self {
            url: text("url"),
            admin: text("admin_url"),
            database,
            folder,
            process,
            http: reqwest::Client::new(),
        }
    }

    /// Base URL of the admin endpoint.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin
    }

    /// A client of LOADER.
    pub(crate) fn client(&self) -> Client {
        self.client_of("LOADER")
    }

    /// A client with a key-pair token of `user`.
    pub(crate) fn client_of(&self, user: &str) -> Client {
        self.client_with("KEYPAIR_JWT", &KEY.sign(Algorithm::RS256, &claims(&KEY, user)))
    }

    /// A client with this token.
    pub(crate) fn client_with(&self, kind: &str, token: &str) -> Client {
        Client {
            http: reqwest::Client::new(),
            url: self.url.clone(),
            token: token.to_owned(),
            kind: kind.to_owned(),
        }
    }

    /// An admin request.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.admin));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let body: Value = response.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    /// Statements executed through the admin endpoint.
    pub(crate) async fn sql(&self, statements: &[&str]) -> Value {
        let body = json!({"sql": statements, "database": "SALES", "schema": "PUBLIC"});
        self.admin(Method::POST, "/sql", Some(body)).await
    }

    /// Database SALES with T(ID NUMBER(38,0), NAME VARCHAR, AT TIMESTAMP_NTZ): three rows.
    pub(crate) async fn small_table(&self) {
        self.sql(&[
            "create database if not exists sales",
            "create schema if not exists sales.public",
            "create table sales.public.t (id number(38,0) not null, name varchar(20), at timestamp_ntz(9))",
            "insert into sales.public.t (id, name, at) values (1, 'one', '2024-01-10 12:00:00.123456789'), \
             (2, NULL, NULL), (3, 'dreißig \"x\" \\\\ 😀', '1969-12-31 23:59:59.5')",
        ])
        .await;
    }

    /// SALES.PUBLIC.ORDERS with `rows` rows of TPC-H.
    pub(crate) async fn orders(&self, rows: u64) {
        let finished = self
            .load(&[
                "--tpch",
                "orders",
                "--scale",
                "1",
                "--rows",
                &rows.to_string(),
                "--table",
                "SALES.PUBLIC.ORDERS",
            ])
            .await;
        assert_eq!(finished.0, 0, "{}", finished.1);
    }

    /// `snowflake-emulator load`: exit code and standard error.
    pub(crate) async fn load(&self, arguments: &[&str]) -> (i32, String) {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap();
        let finished = Launch::bin("snowflake-emulator", "load", folder.path())
            .unwrap()
            .args(["load", "--postgres", &self.database.url()])
            .args(arguments)
            .run(Duration::from_secs(120))
            .await
            .unwrap();
        (finished.code, finished.stderr)
    }

    /// Adds a fault rule.
    pub(crate) async fn fault(&self, matches: Value, action: Value) {
        self.admin(Method::POST, "/faults", Some(json!({"match": matches, "action": action}))).await;
    }

    /// Moves the virtual clock of results.
    pub(crate) async fn advance_hours(&self, hours: i64) {
        self.admin(Method::POST, "/clock", Some(json!({"advance_seconds": hours * 3600}))).await;
    }

    /// The statement log.
    pub(crate) async fn log(&self) -> Vec<Value> {
        self.admin(Method::GET, "/statements", None).await.as_array().unwrap().clone()
    }

    /// Ends it as an operator would; its exit code.
    pub(crate) async fn terminate(mut self) -> i32 {
        self.process.terminate(Duration::from_secs(20)).await.unwrap()
    }
}

/// Speaks the SQL API, minimally.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) kind: String,
}

impl Client {
    /// A request with all headers an honest client sends.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("X-Snowflake-Authorization-Token-Type", &self.kind)
            .header("Accept", "application/json")
            .header("User-Agent", "emulator-tests/1.0")
    }

    /// Submits `sql` in SALES.PUBLIC; `query` is what stands behind the question mark.
    pub(crate) async fn submit(&self, sql: &str, query: &str) -> Answer {
        self.submit_body(&json!({"statement": sql, "database": "SALES", "schema": "PUBLIC"}), query).await
    }

    /// Submits a body of one's own.
    pub(crate) async fn submit_body(&self, body: &Value, query: &str) -> Answer {
        send(self.request(Method::POST, &format!("/api/v2/statements?{query}")).json(body)).await.unwrap()
    }

    /// Gets a handle's state, or with `?partition=N` behind it a partition.
    pub(crate) async fn get(&self, handle: &str) -> Answer {
        self.try_get(handle).await.unwrap()
    }

    /// As [`Self::get`], with the transport's error.
    pub(crate) async fn try_get(&self, handle: &str) -> Result<Answer, String> {
        send(self.request(Method::GET, &format!("/api/v2/statements/{handle}"))).await
    }

    /// Cancels a handle.
    pub(crate) async fn cancel(&self, handle: &str) -> Answer {
        send(self.request(Method::POST, &format!("/api/v2/statements/{handle}/cancel"))).await.unwrap()
    }

    /// Polls until the statement has ended.
    pub(crate) async fn until_ended(&self, handle: &str) -> Answer {
        let mut last = None;
        wait::until("the statement ends", Duration::from_secs(60), async || {
            let answer = self.get(handle).await;
            let running = answer.status == StatusCode::ACCEPTED;
            last = Some(answer);
            Ok(!running)
        })
        .await
        .unwrap();
        last.unwrap()
    }

    /// All rows of a statement, read as a client must: poll, then every partition, counts checked.
    pub(crate) async fn rows(&self, body: &Value) -> Vec<Vec<Option<String>>> {
        let mut first = self.submit_body(body, "").await;
        if first.status == StatusCode::ACCEPTED {
            first = self.until_ended(&first.handle()).await;
        }
        assert_eq!(first.status, StatusCode::OK, "{}", first.text);
        let first_body = first.json();
        let metadata = &first_body["resultSetMetaData"];
        let partitions = metadata["partitionInfo"].as_array().unwrap();
        let mut rows = decode_rows(&first_body["data"]);
        assert_eq!(rows.len() as u64, partitions[0]["rowCount"].as_u64().unwrap());
        for (number, partition) in partitions.iter().enumerate().skip(1) {
            let answer = self.get(&format!("{}?partition={number}", first.handle())).await;
            let more = decode_rows(&answer.json()["data"]);
            assert_eq!(more.len() as u64, partition["rowCount"].as_u64().unwrap());
            rows.extend(more);
        }
        assert_eq!(rows.len() as u64, metadata["numRows"].as_u64().unwrap());
        rows
    }
}

/// Rows of a `data` member.
pub(crate) fn decode_rows(data: &Value) -> Vec<Vec<Option<String>>> {
    serde_json::from_value(data.clone()).unwrap_or_else(|error| panic!("{error}: {data}"))
}

/// Sends a request; inflates the answer where it says that it is gzip.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(|error| format!("{error:?}"))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.map_err(|error| format!("{error:?}"))?;
    let mut text = String::new();
    if headers.get("content-encoding").is_some_and(|value| value == "gzip") {
        let mut gzip = flate2::read::GzDecoder::new(bytes.as_ref());
        gzip.read_to_string(&mut text).map_err(|error| format!("gzip: {error}"))?;
    } else {
        text = String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?;
    }
    Ok(Answer { status, headers, text })
}

/// A statement that runs for minutes on 1500 rows of ORDERS.
pub(crate) const ENDLESS: &str = "select count(*) from orders a, orders b, orders c \
    where a.o_custkey + b.o_custkey * c.o_custkey = 7";

/// PostgreSQL has stopped working for a statement that is over.
pub(crate) async fn no_query_is_left(served: &Served) {
    let connection = served.database.connect().await.unwrap();
    let query = "select count(*) from pg_stat_activity where application_name = 'snowflake-emulator' \
                 and datname = current_database() and state = 'active'";
    wait::until("PostgreSQL is idle", Duration::from_secs(20), async || {
        Ok(connection.query_one(query, &[]).await?.get::<_, i64>(0) == 0)
    })
    .await
    .unwrap();
}

/// Writes a file into a folder, gives its path as text.
pub(crate) fn write_file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}
