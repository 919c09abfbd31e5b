//! How a request proves who sends it.
//!
//! Source: docs.snowflake.com/en/developer-guide/sql-api/authenticating.

mod account;
pub mod key_pair;
mod token;

pub(crate) use account::{base_url, is_loopback};
pub use key_pair::{KeyError, KeyPair};
use secrecy::SecretString;
pub(crate) use token::TokenSource;

/// The credentials of one service user. Secrets never show in `Debug`.
#[derive(Debug, Clone)]
pub enum Auth {
    /// A token signed with the user's private key, made anew before it ends.
    KeyPair { user: String, key: KeyPair },
    /// An access token of Snowflake OAuth or External OAuth.
    OAuth(SecretString),
    /// A programmatic access token.
    ProgrammaticAccessToken(SecretString),
}
