//! Asking a worker, from outside, whether it is ready: the other end of `/readyz`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(5);
/// Of an answer; a reason is a sentence.
const ANSWER_BYTES: u64 = 16 * 1024;

/// Why a worker is not ready.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    #[error("the worker does not answer")]
    Unreachable(#[from] std::io::Error),
    /// In its own words.
    #[error("not ready: {0}")]
    NotReady(String),
}

/// What the worker says about itself, when it is ready.
///
/// # Errors
/// It is not, or nobody answers within seconds.
pub fn ask(address: SocketAddr) -> Result<String, HealthError> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    understand(&String::from_utf8_lossy(&answer))
}

/// The status decides; the body is one line.
fn understand(answer: &str) -> Result<String, HealthError> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let body = body.trim().to_owned();
    if head.split(' ').nth(1) == Some("200") { Ok(body) } else { Err(HealthError::NotReady(body)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_decides_and_the_reason_is_told() {
        assert_eq!(understand("HTTP/1.1 200 OK\r\na: b\r\n\r\nready\n").unwrap(), "ready");
        let refused = understand("HTTP/1.1 503 Service Unavailable\r\n\r\nhalted: disk full\n").unwrap_err();
        assert_eq!(refused.to_string(), "not ready: halted: disk full");
        assert!(understand("").is_err());
    }

    #[test]
    fn nobody_there_is_an_error_not_a_panic() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(matches!(ask(address), Err(HealthError::Unreachable(_))));
    }
}
