//! `snowflake-emulator serve`: puts the parts together, says when it is ready, ends cleanly.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use emulator_engine::{Engine, EngineOptions};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::adversity::Adversity;
use crate::api::router::router;
use crate::auth::Directory;
use crate::cli::ServeArgs;
use crate::listener;
use crate::partitions::PartitionLimits;
use crate::spool::Spool;
use crate::state::{Emulator, Parts, Settings};

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// What kept it from starting.
pub(crate) async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(listener::tls_acceptor(certificate, key)?),
        _ => None,
    };
    let emulator = Arc::new(emulator(&args).await?);
    let api = bind(args.listen).await?;
    let admin = match args.admin {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    let stop = CancellationToken::new();
    let addresses = Addresses {
        api: api.local_addr()?,
        admin: admin.as_ref().map(TcpListener::local_addr).transpose()?,
        tls: tls.is_some(),
    };
    let api = tokio::spawn(listener::serve(api, tls, router(Arc::clone(&emulator)), stop.clone()));
    let admin = admin.map(|listener| {
        let router = crate::admin::router(Arc::clone(&emulator));
        tokio::spawn(listener::serve(listener, None, router, stop.clone()))
    });
    addresses.announce(args.port_file.as_deref())?;
    wait_for_signal().await?;
    tracing::info!("stopping");
    stop.cancel();
    emulator.statements.cancel_all();
    emulator.executions.close();
    emulator.executions.wait().await;
    api.await?;
    if let Some(admin) = admin {
        admin.await?;
    }
    Ok(())
}

async fn emulator(args: &ServeArgs) -> anyhow::Result<Emulator> {
    let directory = Directory::load(&args.account, &args.users, args.tokens.clone())?;
    let folder = args.spool.clone().unwrap_or_else(std::env::temp_dir);
    let spool = Spool::open(&folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    let options = EngineOptions { seed: args.seed, connections: args.connections };
    let engine =
        Engine::connect(&args.postgres, options).await.context("cannot open the emulator's database")?;
    let commit_visibility = if args.calm { 0 } else { args.commit_visibility_seconds.as_millis() };
    let settings = Settings {
        sync_wait: args.sync_wait_seconds,
        result_lifetime_ms: i64::from(args.result_hours) * 3_600_000,
        commit_visibility_ms: i64::try_from(commit_visibility)
            .context("--commit-visibility-seconds is too long")?,
        freeze: args.freeze,
    };
    let partition_limits =
        PartitionLimits { bytes: args.partition_bytes, rows: args.partition_rows, grow: true };
    let adversity = Adversity::new(args.seed, args.calm, !args.no_shuffle);
    Ok(Emulator::new(Parts { engine, directory, adversity, spool, settings, partition_limits }))
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

struct Addresses {
    api: SocketAddr,
    admin: Option<SocketAddr>,
    tls: bool,
}

impl Addresses {
    /// The ready line on stdout, and the port file, written whole or not at all.
    fn announce(&self, port_file: Option<&Path>) -> anyhow::Result<()> {
        let scheme = if self.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.api);
        let admin_url = self.admin.map(|address| format!("http://{address}"));
        if let Some(path) = port_file {
            let text = json!({
                "url": url,
                "port": self.api.port(),
                "admin_url": admin_url,
                "admin_port": self.admin.map(|address| address.port()),
            });
            let draft = path.with_extension("draft");
            std::fs::write(&draft, format!("{text}\n"))
                .and_then(|()| std::fs::rename(&draft, path))
                .with_context(|| format!("cannot write the port file {}", path.display()))?;
        }
        let admin = admin_url.map(|url| format!(" admin={url}")).unwrap_or_default();
        print_ready(&format!("snowflake-emulator ready url={url}{admin}"));
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "the ready line is this program's output, not a log")]
fn print_ready(line: &str) {
    println!("{line}");
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
