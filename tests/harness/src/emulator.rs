//! The Snowflake emulator as a process of its own, and its admin endpoint.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::TestDatabase;
use crate::keys::{KeyPair, TlsFiles};
use crate::process::{Launch, Process};
use crate::wait;

const START: Duration = Duration::from_secs(60);
/// Generating and copying a million rows takes seconds; a busy machine may take minutes.
const LOAD: Duration = Duration::from_secs(600);
pub const ACCOUNT: &str = "TESTORG-THAW";
pub const USER: &str = "LOADER";

/// How the emulator is to behave.
#[derive(Debug, Clone, Default)]
pub struct EmulatorOptions {
    /// Serve https with a certificate of an authority of its own ([`Emulator::authority`]).
    pub tls: Tls,
    /// More arguments of `snowflake-emulator serve`: `--seed 7`, `--calm`, `--token pat:LOADER=secret`.
    pub arguments: Vec<String>,
    /// Where its log goes; a folder of its own if absent.
    pub log_folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tls {
    #[default]
    Off,
    On,
}

/// A running emulator over a database of its own.
#[derive(Debug)]
pub struct Emulator {
    process: Process,
    url: String,
    admin_url: String,
    key: KeyPair,
    key_file: PathBuf,
    authority: Option<PathBuf>,
    http: reqwest::Client,
    database: TestDatabase,
    folder: TempDir,
}

impl Emulator {
    /// Starts an emulator whose account is kept in `database`.
    ///
    /// # Errors
    /// The binary has not been built, or does not come up.
    pub async fn start(database: TestDatabase, options: &EmulatorOptions) -> Result<Self> {
        let folder = TempDir::with_prefix("thaw-emulator-")?;
        let key = KeyPair::generate()?;
        let (public, key_file) = (folder.path().join("public.pem"), folder.path().join("key.pem"));
        fs::write(&public, &key.public_pem)?;
        fs::write(&key_file, &key.private_pem)?;
        let port_file = folder.path().join("ports.json");
        let logs = options.log_folder.clone().unwrap_or_else(|| folder.path().to_owned());
        let mut launch = Launch::bin("snowflake-emulator", "emulator", &logs)?
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--account", ACCOUNT])
            .args(["--postgres", &database.url(), "--user", &format!("{USER}={}", public.display())])
            .arg("--port-file")
            .arg(&port_file)
            .args(&options.arguments);
        let mut authority = None;
        if options.tls == Tls::On {
            let tls = TlsFiles::generate(folder.path())?;
            launch = launch.arg("--tls-cert").arg(tls.certificate).arg("--tls-key").arg(tls.key);
            authority = Some(tls.authority);
        }
        let mut process = launch.spawn()?;
        let ports = await_ports(&mut process, &port_file).await?;
        let text =
            |name: &str| ports[name].as_str().map(str::to_owned).context("the port file is incomplete");
        let (url, admin_url) = (text("url")?, text("admin_url")?);
        // The client is built with a TLS provider though the admin endpoint is plain.
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { process, url, admin_url, key, key_file, authority, http, database, folder })
    }

    /// The SQL API's base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The user's private key, as a file and as PEM.
    #[must_use]
    pub fn key_file(&self) -> &Path {
        &self.key_file
    }

    #[must_use]
    pub fn key(&self) -> &KeyPair {
        &self.key
    }

    /// The authority that signed the certificate, when TLS is on.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// The database that holds the account: for comparisons by SQL.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    #[must_use]
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A folder that lives as long as the emulator.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Loads a TPC-H table (`orders`, `lineitem` ...) as `table`, at most `rows` rows of the scale.
    ///
    /// # Errors
    /// The loader fails; the message holds its log.
    pub async fn load_tpch(&self, tpch: &str, table: &str, scale: f64, rows: Option<u64>) -> Result<()> {
        let mut launch = Launch::bin("snowflake-emulator", &format!("load-{tpch}"), self.folder.path())?
            .args(["load", "--postgres", &self.database.url(), "--table", table, "--tpch", tpch])
            .args(["--scale", &scale.to_string()]);
        if let Some(rows) = rows {
            launch = launch.args(["--rows", &rows.to_string()]);
        }
        let finished = launch.run(LOAD).await?;
        if finished.code != 0 {
            bail!("loading {tpch} failed:\n{}{}", finished.stdout, finished.stderr);
        }
        Ok(())
    }

    /// Executes Snowflake statements as an administrator, committed six hours ago, visible to everybody at once.
    /// Returns the last one's `{"columns": [..], "rows": [[..]], "changed": ..}`.
    ///
    /// # Errors
    /// A statement is refused.
    pub async fn sql(&self, statements: &[&str]) -> Result<Value> {
        self.sql_committed(statements, 6.0 * 3600.0).await
    }

    /// As [`Emulator::sql`], committed so many seconds ago.
    ///
    /// # Errors
    /// A statement is refused.
    pub async fn sql_committed(&self, statements: &[&str], seconds_ago: f64) -> Result<Value> {
        self.post("sql", &json!({"sql": statements, "seconds_ago": seconds_ago})).await
    }

    /// Adds a fault, for example `{"match": {"kind": "partition"}, "action": "cut_connection"}`; returns its id.
    ///
    /// # Errors
    /// The rule is refused.
    pub async fn fault(&self, rule: Value) -> Result<u64> {
        self.post("faults", &rule).await?["id"].as_u64().context("the fault has no id")
    }

    /// The faults in force, with how often each has struck.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn faults(&self) -> Result<Value> {
        self.get("faults").await
    }

    /// Removes all faults.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn clear_faults(&self) -> Result<()> {
        self.http.delete(format!("{}/faults", self.admin_url)).send().await?.error_for_status()?;
        Ok(())
    }

    /// Answers statements that contain `sql_contains` with the rows of another statement: what an aggregate would find in
    /// a table that no test machine holds.
    ///
    /// # Errors
    /// The request is refused.
    pub async fn answer(&self, sql_contains: &str, sql: &str) -> Result<()> {
        self.post("answers", &json!({"sql_contains": sql_contains, "sql": sql})).await.map(drop)
    }

    /// Forgets what [`Emulator::answer`] prepared.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn clear_answers(&self) -> Result<()> {
        self.http.delete(format!("{}/answers", self.admin_url)).send().await?.error_for_status()?;
        Ok(())
    }

    /// Hides a table from a role, as if it did not exist there.
    ///
    /// # Errors
    /// The request is refused.
    pub async fn deny(&self, role: &str, database: &str, schema: &str, table: &str) -> Result<()> {
        let what = json!({"role": role, "database": database, "schema": schema, "table": table});
        self.post("deny", &what).await.map(drop)
    }

    /// What dbt does at night: CREATE OR REPLACE with the same rows. Time Travel before it is 000707 from now on.
    ///
    /// # Errors
    /// The request is refused.
    pub async fn replace(&self, database: &str, schema: &str, table: &str) -> Result<()> {
        let what = json!({"database": database, "schema": schema, "table": table});
        self.post("replace", &what).await.map(drop)
    }

    /// Moves the virtual clock, for example `{"advance_seconds": 90000}`.
    ///
    /// # Errors
    /// The request is refused.
    pub async fn advance_clock(&self, by: Value) -> Result<Value> {
        self.post("clock", &by).await
    }

    /// The statements it has been sent whose text contains `part`, oldest first.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn statements(&self, part: &str) -> Result<Vec<Value>> {
        let mut url = url::Url::parse(&self.admin_url)?.join("statements")?;
        url.query_pairs_mut().append_pair("sql_contains", part);
        let log: Value = answer(self.http.get(url).send().await?).await?;
        log.as_array().cloned().context("the statement log is no list")
    }

    /// The same with `rows_scanned`: the rows of the tables each statement reads, without pruning.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn scan_costs(&self, part: &str) -> Result<Vec<Value>> {
        let mut url = url::Url::parse(&self.admin_url)?.join("statements")?;
        url.query_pairs_mut().append_pair("sql_contains", part).append_pair("scan_cost", "true");
        let log: Value = answer(self.http.get(url).send().await?).await?;
        log.as_array().cloned().context("the statement log is no list")
    }

    /// Throws away the results of ended statements whose text contains `part`; says how many.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn expire(&self, part: &str) -> Result<u64> {
        let expired = self.post("expire", &json!({"sql_contains": part})).await?;
        expired["expired"].as_u64().context("no count")
    }

    /// Sets the account's limits, for example `{"partition_rows": 3}`; `{}` takes them back.
    ///
    /// # Errors
    /// The request is refused.
    pub async fn limits(&self, limits: Value) -> Result<Value> {
        self.post("limits", &limits).await
    }

    /// The account's limits, and how many requests for partitions they have refused.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn limits_in_force(&self) -> Result<Value> {
        self.get("limits").await
    }

    /// Forgets the statements so far.
    ///
    /// # Errors
    /// The emulator does not answer.
    pub async fn clear_statements(&self) -> Result<()> {
        self.http.delete(format!("{}/statements", self.admin_url)).send().await?.error_for_status()?;
        Ok(())
    }

    async fn get(&self, path: &str) -> Result<Value> {
        answer(self.http.get(format!("{}/{path}", self.admin_url)).send().await?).await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.http.post(format!("{}/{path}", self.admin_url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        answer(request.send().await?).await
    }
}

async fn answer(response: reqwest::Response) -> Result<Value> {
    let (status, body) = (response.status(), response.text().await?);
    if !status.is_success() {
        bail!("the emulator refuses ({status}): {body}");
    }
    Ok(serde_json::from_str(&body)?)
}

async fn await_ports(process: &mut Process, file: &Path) -> Result<Value> {
    wait::until_some("the emulator's ports", START, async || {
        if process.status()?.is_some() {
            bail!("the emulator ended:\n{}", process.stderr()?);
        }
        let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
        Ok(Some(serde_json::from_str(&text)?))
    })
    .await
}
