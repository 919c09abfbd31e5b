//! Who is asking: users with registered keys, and OAuth and programmatic access tokens known by value.
//!
//! Codes and messages: docs.snowflake.com, "Key-pair authentication: troubleshooting", and the drivers' tests
//! (394400). Roles and grants are the engine's business.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use uuid::Uuid;

use crate::api::answers::Refusal;
use crate::jwt::{self, JwtFault, RegisteredKey};

/// The kinds of token of `X-Snowflake-Authorization-Token-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// `KEYPAIR_JWT`
    KeyPairJwt,
    /// `OAUTH`
    OAuth,
    /// `PROGRAMMATIC_ACCESS_TOKEN`
    ProgrammaticAccessToken,
}

/// A token accepted by its value: `oauth:NAME=VALUE` or `pat:NAME=VALUE`.
#[derive(Clone)]
pub(crate) struct KnownToken {
    kind: TokenKind,
    user: String,
    value: String,
}

/// The one who asked.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Upper-case name.
    pub(crate) user: String,
    kind: TokenKind,
    token: String,
}

/// All accounts the server knows: one account, its users, their keys and tokens.
#[derive(Debug)]
pub(crate) struct Directory {
    account: String,
    keys: HashMap<String, Vec<RegisteredKey>>,
    tokens: Vec<KnownToken>,
    expired: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for KnownToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownToken")
            .field("kind", &self.kind)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl std::str::FromStr for KnownToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(kind, rest)| {
            let (user, value) = rest.split_once('=')?;
            let kind = match kind {
                "oauth" => TokenKind::OAuth,
                "pat" => TokenKind::ProgrammaticAccessToken,
                _ => return None,
            };
            (!user.is_empty() && !value.is_empty()).then(|| Self {
                kind,
                user: user.to_uppercase(),
                value: value.to_owned(),
            })
        });
        parsed.ok_or_else(|| "expected oauth:NAME=VALUE or pat:NAME=VALUE".to_owned())
    }
}

impl Directory {
    /// Reads the users' public keys. A name given twice has two keys, as RSA_PUBLIC_KEY and RSA_PUBLIC_KEY_2.
    ///
    /// # Errors
    /// When a file cannot be read or holds no RSA public key of 2048 bits or more.
    pub(crate) fn load(
        account: &str,
        users: &[(String, impl AsRef<Path>)],
        tokens: Vec<KnownToken>,
    ) -> anyhow::Result<Self> {
        let mut keys: HashMap<String, Vec<RegisteredKey>> = HashMap::new();
        for (name, path) in users {
            let path = path.as_ref();
            let pem = std::fs::read(path)
                .with_context(|| format!("cannot read the public key of {name}: {}", path.display()))?;
            let key = RegisteredKey::from_pem(&pem)
                .with_context(|| format!("the public key of {name} is unusable: {}", path.display()))?;
            keys.entry(name.to_uppercase()).or_default().push(key);
        }
        if keys.is_empty() && tokens.is_empty() {
            bail!("nobody could log in: give --user NAME=public.pem or --token oauth:NAME=VALUE");
        }
        let account = jwt::account_of_tokens(account);
        Ok(Self { account, keys, tokens, expired: Mutex::default() })
    }

    /// The account as tokens name it.
    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Judges the request's token. `now` in seconds, by the token clock.
    ///
    /// # Errors
    /// The 401 to answer.
    pub(crate) fn authenticate(&self, headers: &HeaderMap, now: i64) -> Result<Identity, Refusal> {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| unauthorized("390101", "Authorization header not found in the request data."))?;
        let kind = match headers.get("x-snowflake-authorization-token-type").map(|value| value.as_bytes()) {
            None => self.guess_kind(token),
            Some(b"KEYPAIR_JWT") => TokenKind::KeyPairJwt,
            Some(b"OAUTH") => TokenKind::OAuth,
            Some(b"PROGRAMMATIC_ACCESS_TOKEN") => TokenKind::ProgrammaticAccessToken,
            Some(_) => {
                let why =
                    "The value of X-Snowflake-Authorization-Token-Type is not supported by the emulator.";
                return Err(unauthorized("390144", why));
            }
        };
        let expired = self.expired.lock().unwrap_or_else(PoisonError::into_inner).contains(token);
        if expired {
            return Err(expired_refusal(kind));
        }
        let user = match kind {
            TokenKind::KeyPairJwt => {
                jwt::verify(token, &self.account, &self.keys, now).map_err(jwt_refusal)?
            }
            TokenKind::OAuth | TokenKind::ProgrammaticAccessToken => self
                .tokens
                .iter()
                .find(|known| known.kind == kind && known.value == token)
                .map(|known| known.user.clone())
                .ok_or_else(|| unknown_refusal(kind, token))?,
        };
        Ok(Identity { user, kind, token: token.to_owned() })
    }

    /// Declares the identity's token expired, for good, and gives the 401 that says so.
    pub(crate) fn expire(&self, identity: &Identity) -> Refusal {
        self.expired.lock().unwrap_or_else(PoisonError::into_inner).insert(identity.token.clone());
        expired_refusal(identity.kind)
    }

    /// The 401 of a user whose key or token has been taken away.
    pub(crate) fn revoked(identity: &Identity) -> Refusal {
        match identity.kind {
            TokenKind::KeyPairJwt => jwt_refusal(JwtFault::FingerprintMismatch),
            kind => unknown_refusal(kind, &identity.token),
        }
    }

    /// Forgets which tokens were declared expired.
    pub(crate) fn pardon(&self) {
        self.expired.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn guess_kind(&self, token: &str) -> TokenKind {
        match self.tokens.iter().find(|known| known.value == token) {
            Some(known) => known.kind,
            None if token.split('.').count() == 3 => TokenKind::KeyPairJwt,
            None => TokenKind::OAuth,
        }
    }
}

fn unauthorized(code: &str, message: &str) -> Refusal {
    Refusal::new(StatusCode::UNAUTHORIZED, code, message)
}

fn jwt_refusal(fault: JwtFault) -> Refusal {
    let message = format!("JWT token is invalid. [{}] {fault}", Uuid::new_v4());
    unauthorized(fault.code(), &message)
}

fn expired_refusal(kind: TokenKind) -> Refusal {
    match kind {
        TokenKind::KeyPairJwt => jwt_refusal(JwtFault::Expired),
        TokenKind::OAuth => unauthorized("390318", "OAuth access token expired."),
        TokenKind::ProgrammaticAccessToken => unauthorized("394400", "Programmatic access token is invalid."),
    }
}

fn unknown_refusal(kind: TokenKind, token: &str) -> Refusal {
    match kind {
        TokenKind::ProgrammaticAccessToken => unauthorized("394400", "Programmatic access token is invalid."),
        TokenKind::KeyPairJwt | TokenKind::OAuth => {
            // The documents show the token's last eight characters here.
            let tail: String = token.chars().skip(token.chars().count().saturating_sub(8)).collect();
            unauthorized("390303", &format!("Invalid OAuth access token. ...{tail}"))
        }
    }
}
