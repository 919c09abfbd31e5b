//! A server that speaks just enough HTTP/1.1 to replay answers of the documents. It knows no SQL.
//!
//! A test gives a script: for each request, in the order of arrival, what to answer. The requests are kept.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What the server received.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With the query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let url = url::Url::parse(&format!("http://x{}", self.target)).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub(crate) fn is_submit(&self) -> bool {
        self.method == "POST" && self.target.starts_with("/api/v2/statements?")
    }

    pub(crate) fn is_cancel(&self) -> bool {
        self.method == "POST" && self.target.ends_with("/cancel")
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Whole {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Closes without an answer.
    Cut,
    /// Announces the whole body, sends a part and closes.
    CutBody {
        body: Vec<u8>,
        sent: usize,
    },
    /// Announces the whole body, sends a part and no more.
    StallBody {
        body: Vec<u8>,
        sent: usize,
    },
    /// Says nothing.
    Hang,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Whole { status, headers: vec![("Content-Type", "application/json".into())], body: body.into() }
    }

    pub(crate) fn bytes(status: u16, body: Vec<u8>) -> Self {
        Self::Whole { status, headers: Vec::new(), body }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Whole { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

type Script = dyn Fn(usize, &Request) -> Answer + Send + Sync;

pub(crate) struct Replay {
    pub(crate) url: String,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    script: Box<Script>,
    requests: Mutex<Vec<Request>>,
    arrived: Notify,
}

impl Replay {
    /// Answers the n-th request with `script(n, request)`.
    pub(crate) async fn start(script: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state =
            Arc::new(State { script: Box::new(script), requests: Mutex::default(), arrived: Notify::new() });
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(Arc::clone(&shared), stream));
            }
        });
        Self { url, state, task }
    }

    /// Answers with each of `answers` in turn, and the last one for ever.
    pub(crate) async fn in_turn(answers: Vec<Answer>) -> Self {
        Self::start(move |n, _| answers[n.min(answers.len() - 1)].clone()).await
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Waits until a request fits.
    pub(crate) async fn until(&self, fits: impl Fn(&Request) -> bool) {
        let wait = async {
            loop {
                let arrived = self.state.arrived.notified();
                if self.requests().iter().any(&fits) {
                    return;
                }
                arrived.await;
            }
        };
        within(wait).await;
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A test that hangs fails instead.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("within 20 s")
}

async fn serve(state: Arc<State>, mut stream: TcpStream) {
    let Some(request) = receive(&mut stream).await else { return };
    let answer = {
        let mut requests = state.requests.lock().unwrap();
        requests.push(request.clone());
        (state.script)(requests.len() - 1, &request)
    };
    state.arrived.notify_waiters();
    let (status, headers, body, sent) = match answer {
        Answer::Whole { status, headers, body } => (status, headers, body.clone(), body.len()),
        Answer::CutBody { body, sent } | Answer::StallBody { body, sent, .. } if sent > body.len() => {
            panic!("{sent} of {}", body.len())
        }
        Answer::CutBody { body, sent } => (200, Vec::new(), body, sent),
        Answer::StallBody { body, sent } => {
            drop(send(&mut stream, 200, &[], &body, sent).await);
            return std::future::pending().await;
        }
        Answer::Cut => return,
        Answer::Hang => return std::future::pending().await,
    };
    // The client may have gone meanwhile.
    drop(send(&mut stream, status, &headers, &body, sent).await);
}

async fn send(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
    sent: usize,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body[..sent]).await?;
    stream.flush().await
}

async fn receive(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..head_end].to_vec()).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let mut request = Request { method, target, headers, body: String::new() };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    request.body = String::from_utf8(bytes[head_end + 4..].to_vec()).ok()?;
    Some(request)
}
