//! A TCP proxy that a test owns: it can cut, stall, and cut after a number of bytes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    /// Nothing moves, nothing is closed.
    Stall,
    /// Connections are closed and new ones refused (accepted, then closed).
    Cut,
}

/// A proxy on a free port of loopback; gone with this value.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Bytes the server may still answer before every connection is cut.
    budget: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    listener: JoinHandle<()>,
}

impl TcpProxy {
    /// Forwards to `port` on loopback.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, crate::port::free())).await?;
        let address = listener.local_addr()?;
        let (mode, watcher) = watch::channel(Mode::Pass);
        let (budget, answered) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
        let counters = (Arc::clone(&budget), Arc::clone(&answered));
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { continue };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let watcher = watcher.clone();
                let (budget, answered) = (Arc::clone(&counters.0), Arc::clone(&counters.1));
                tokio::spawn(async move {
                    let unlimited = Arc::new(AtomicU64::new(u64::MAX));
                    let unseen = Arc::new(AtomicU64::new(0));
                    tokio::select! {
                        () = forward(from_client, to_server, watcher.clone(), unlimited, unseen) => {}
                        () = forward(from_server, to_client, watcher, budget, answered) => {}
                    }
                });
            }
        });
        Ok(Self { address, mode, budget, answered, listener })
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Bytes the server has answered so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    /// Lets everything pass again.
    pub fn pass(&self) {
        self.budget.store(u64::MAX, Ordering::SeqCst);
        self.mode.send_replace(Mode::Pass);
    }

    /// Holds all bytes back without closing anything.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stall);
    }

    /// Closes all connections, and every new one at once.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Closes each connection on which the server answers, once it has answered `bytes` more bytes in all.
    pub fn cut_after(&self, bytes: u64) {
        self.budget.store(bytes, Ordering::SeqCst);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.cut();
        self.listener.abort();
    }
}

async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<Mode>,
    budget: Arc<AtomicU64>,
    passed: Arc<AtomicU64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let now = *mode.borrow_and_update();
        let read = match now {
            Mode::Cut => return,
            Mode::Stall => {
                if mode.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Mode::Pass => tokio::select! {
                read = from.read(&mut buffer) => read,
                changed = mode.changed() => {
                    if changed.is_err() { return }
                    continue;
                }
            },
        };
        let Ok(count @ 1..) = read else { return };
        let left = budget.load(Ordering::SeqCst);
        let allowed = usize::try_from(left).unwrap_or(usize::MAX).min(count);
        if left != u64::MAX {
            budget.fetch_sub(u64::try_from(allowed).unwrap_or(0), Ordering::SeqCst);
        }
        let Some(bytes) = buffer.get(..allowed) else { return };
        passed.fetch_add(u64::try_from(allowed).unwrap_or(0), Ordering::SeqCst);
        if to.write_all(bytes).await.is_err() || allowed < count {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    drop(tokio::io::copy(&mut read, &mut write).await);
                });
            }
        });
        port
    }

    #[tokio::test]
    async fn bytes_pass_until_they_are_cut() {
        let proxy = TcpProxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
        let mut answer = [0; 5];
        stream.write_all(b"hello").await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!((&answer, proxy.answered()), (b"hello", 5));
        proxy.cut_after(2);
        stream.write_all(b"again").await.unwrap();
        assert_eq!(stream.read_exact(&mut answer[..2]).await.unwrap(), 2);
        assert_eq!(stream.read(&mut answer).await.unwrap_or(0), 0);
    }

    #[tokio::test]
    async fn a_stalled_connection_stays_open_and_goes_on() {
        let proxy = TcpProxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await.unwrap();
        proxy.stall();
        stream.write_all(b"later").await.unwrap();
        let mut answer = [0; 5];
        let silent = tokio::time::timeout(std::time::Duration::from_millis(200), stream.read(&mut answer));
        assert!(silent.await.is_err());
        proxy.pass();
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"later");
    }
}
