//! Whether a consumer can receive, as others may watch it.

use std::fmt;

/// The state of a consumer's connection. The reason never holds the URL's password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkState {
    /// Deliveries can arrive (or could, were consuming not paused).
    Connected,
    /// No deliveries arrive; the consumer keeps trying.
    Disconnected { reason: String },
    /// As before, and nothing will change until a person mends the credentials.
    LoginRefused { reason: String },
}

impl LinkState {
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self, Self::Connected)
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected { reason } | Self::LoginRefused { reason } => {
                write!(f, "disconnected: {reason}")
            }
        }
    }
}
