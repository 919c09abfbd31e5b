//! A database of its own for each test, on the shared PostgreSQL server.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tokio_postgres::{Client, NoTls};
use url::Url;
use uuid::Uuid;

use crate::{environment, search};

/// A fresh database, dropped (connections and all) when this value is.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    server: Url,
}

impl TestDatabase {
    /// Makes a database named by a UUID on the server of `THAW_TEST_POSTGRES`.
    ///
    /// # Panics
    /// When the variable is not set or the server does not answer: a test without servers fails with a sentence.
    pub async fn create() -> Self {
        let server = environment::require(environment::POSTGRES);
        Self::create_on(&server).await.expect("a database can be made on THAW_TEST_POSTGRES")
    }

    /// As [`TestDatabase::create`], on the server of `url`.
    ///
    /// # Errors
    /// The URL is none, or the server does not answer.
    pub async fn create_on(url: &str) -> Result<Self> {
        let server = Url::parse(url).context("the server's URL")?;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let admin = connect(server.as_str()).await?;
        admin.batch_execute(&format!("create database {name} template template0")).await?;
        Ok(Self { name, server })
    }

    /// A copy of a database that nobody is connected to.
    ///
    /// # Errors
    /// Somebody is, or the server does not answer.
    pub async fn copy_of(template: &Self) -> Result<Self> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let admin = connect(template.server.as_str()).await?;
        admin.batch_execute(&format!("create database {name} template {}", template.name)).await?;
        Ok(Self { name, server: template.server.clone() })
    }

    /// Its name: lower case, digits and underscores, needs no quotes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The superuser's libpq URL of this database.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.to_string()
    }

    #[must_use]
    pub fn host(&self) -> &str {
        self.server.host_str().unwrap_or("127.0.0.1")
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.server.port().unwrap_or(5432)
    }

    #[must_use]
    pub fn user(&self) -> &str {
        self.server.username()
    }

    #[must_use]
    pub fn password(&self) -> &str {
        self.server.password().unwrap_or_default()
    }

    /// Everything in it as pg_dump writes it: for comparisons, so without the random keys of newer releases.
    ///
    /// # Errors
    /// There is no pg_dump, or it fails.
    pub fn dump(&self) -> Result<String> {
        self.pg_dump(&["--no-owner"])
    }

    /// The definition of a table and of everything that belongs to it, as [`TestDatabase::dump`].
    ///
    /// # Errors
    /// As there.
    pub fn dump_definition(&self, table: &str) -> Result<String> {
        self.pg_dump(&["--schema-only", "--table", table])
    }

    /// Runs a script of an operator with psql, which stops at the first error.
    ///
    /// # Errors
    /// There is no psql, or the script fails; the message holds what it said.
    pub fn psql(&self, script: &Path, variables: &[&str], environment: &[(&str, &str)]) -> Result<()> {
        let mut psql = client_program("psql")?;
        psql.args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", &self.url()]);
        for variable in variables {
            psql.args(["-v", variable]);
        }
        let done = psql.envs(environment.iter().copied()).arg("-f").arg(script).output();
        let done = done.context("cannot run psql")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "{} failed: {said}", script.display());
        Ok(())
    }

    fn pg_dump(&self, arguments: &[&str]) -> Result<String> {
        let dumped = client_program("pg_dump")?
            .args(arguments)
            .args(["--dbname", &self.url()])
            .output()
            .context("cannot run pg_dump")?;
        ensure!(dumped.status.success(), "pg_dump failed: {}", String::from_utf8_lossy(&dumped.stderr));
        let text = String::from_utf8_lossy(&dumped.stdout);
        let lines =
            text.lines().filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"));
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }

    /// A connection of its own, driven by a task that ends with it.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn connect(&self) -> Result<Client> {
        connect(&self.url()).await
    }
}

/// Of the server's release where it lies beside it.
fn client_program(name: &str) -> Result<Command> {
    let beside_the_server = search::postgres_bin()?.join(name);
    Ok(Command::new(if beside_the_server.is_file() { beside_the_server } else { name.into() }))
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.to_string(), self.name.clone());
        // The test's own runtime may be shutting down: use another. A server that is gone took the database along.
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let admin = connect(&server).await?;
                admin.batch_execute(&format!("drop database if exists {name} with (force)")).await?;
                anyhow::Ok(())
            })
        });
        drop(dropped.join());
    }
}

/// Connects without TLS and drives the connection in a task.
///
/// # Errors
/// The server does not answer or refuses.
pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // The task ends with the client; what goes wrong on the connection is seen by the client's next call.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}
