//! The bearer token of a request: made, cached and renewed.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, Header};
use reqwest::header::HeaderValue;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::account::token_account;
use super::{Auth, KeyPair};
use crate::error::SnowflakeError;

/// The server refuses a token an hour after `iat`, whatever `exp` says.
const LIFE_SECS: u64 = 59 * 60;
/// `iat` lies back, so that a server whose clock is behind ours does not find it in the future.
const SKEW_SECS: u64 = 30;
/// From `iat`; ten minutes before the end, so that a request in flight never outlives its token.
const RENEW_AFTER_SECS: u64 = 49 * 60;

/// Hands out the token of one user.
pub(crate) enum TokenSource {
    KeyPair(Box<Signer>),
    Fixed(Credential),
}

pub(crate) struct Signer {
    key: KeyPair,
    subject: String,
    cached: Mutex<Option<Minted>>,
}

struct Minted {
    credential: Credential,
    issued_at: u64,
}

/// The two headers of a request, and which token they carry.
#[derive(Clone)]
pub(crate) struct Credential {
    /// `Bearer <token>`; marked sensitive.
    pub(crate) authorization: HeaderValue,
    /// The value of `X-Snowflake-Authorization-Token-Type`.
    pub(crate) token_type: &'static str,
}

impl TokenSource {
    pub(crate) fn new(auth: &Auth, account: &str) -> Result<Self, SnowflakeError> {
        Ok(match auth {
            Auth::KeyPair { user, key } => Self::KeyPair(Box::new(Signer {
                key: key.clone(),
                subject: format!("{}.{}", token_account(account), user.to_uppercase()),
                cached: Mutex::new(None),
            })),
            Auth::OAuth(token) => Self::Fixed(Credential::new(token.expose_secret(), "OAUTH")?),
            Auth::ProgrammaticAccessToken(token) => {
                Self::Fixed(Credential::new(token.expose_secret(), "PROGRAMMATIC_ACCESS_TOKEN")?)
            }
        })
    }

    /// The token to send now.
    pub(crate) fn credential(&self) -> Result<Credential, SnowflakeError> {
        match self {
            Self::KeyPair(signer) => signer.credential(unix_seconds()),
            Self::Fixed(credential) => Ok(credential.clone()),
        }
    }

    /// Forgets a token that the server has rejected. `false`: there is no other one to try.
    pub(crate) fn reject(&self, rejected: &Credential) -> bool {
        match self {
            Self::KeyPair(signer) => {
                signer.reject(rejected);
                true
            }
            Self::Fixed(_) => false,
        }
    }
}

impl Signer {
    fn credential(&self, now: u64) -> Result<Credential, SnowflakeError> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(minted) = cached.as_ref()
            && minted.is_fresh(now)
        {
            return Ok(minted.credential.clone());
        }
        let issued_at = now.saturating_sub(SKEW_SECS);
        let claims = Claims {
            iss: format!("{}.{}", self.subject, self.key.fingerprint()),
            sub: &self.subject,
            iat: issued_at,
            exp: issued_at + LIFE_SECS,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key.signing_key())
            .map_err(SnowflakeError::Sign)?;
        let credential = Credential::new(&token, "KEYPAIR_JWT")?;
        *cached = Some(Minted { credential: credential.clone(), issued_at });
        Ok(credential)
    }

    /// Another request may have renewed the token meanwhile; that one is kept.
    fn reject(&self, rejected: &Credential) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.as_ref().is_some_and(|minted| minted.credential.authorization == rejected.authorization) {
            *cached = None;
        }
    }
}

impl Minted {
    /// Also stale when the clock was set back: the server would find the token in its future.
    fn is_fresh(&self, now: u64) -> bool {
        (self.issued_at..self.issued_at + RENEW_AFTER_SECS).contains(&now)
    }
}

impl Credential {
    fn new(token: &str, token_type: &'static str) -> Result<Self, SnowflakeError> {
        let token = token.trim();
        if token.is_empty() {
            return Err(SnowflakeError::InvalidToken);
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| SnowflakeError::InvalidToken)?;
        authorization.set_sensitive(true);
        Ok(Self { authorization, token_type })
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: String,
    sub: &'a str,
    iat: u64,
    exp: u64,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a token carries the wall clock's time; nothing is leased by it"
)]
fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn signer() -> Signer {
        let text = include_str!("../../tests/golden/rsa_key.p8").to_owned().into();
        Signer {
            key: KeyPair::parse(&text, None).unwrap(),
            subject: "MYORG-ACCT.LOADER".to_owned(),
            cached: Mutex::new(None),
        }
    }

    fn claims(credential: &Credential) -> serde_json::Value {
        let header = credential.authorization.to_str().unwrap();
        let payload = header.strip_prefix("Bearer ").unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }

    #[test]
    fn a_token_lives_less_than_an_hour_from_a_time_that_lies_back() {
        let claims = claims(&signer().credential(1_700_000_000).unwrap());
        assert_eq!(claims["iat"], 1_699_999_970);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3540);
        assert_eq!(claims["sub"], "MYORG-ACCT.LOADER");
        let issuer = claims["iss"].as_str().unwrap();
        assert!(issuer.starts_with("MYORG-ACCT.LOADER.SHA256:"), "{issuer}");
    }

    #[test]
    fn a_token_is_kept_until_well_before_its_end() {
        let signer = signer();
        let first = signer.credential(1_700_000_000).unwrap();
        let kept = signer.credential(1_700_000_000 + 48 * 60).unwrap();
        assert_eq!(first.authorization, kept.authorization);
        let renewed = signer.credential(1_700_000_000 + 49 * 60).unwrap();
        assert_ne!(first.authorization, renewed.authorization);
        let after_set_back = signer.credential(1_700_000_000 - 3600).unwrap();
        assert_ne!(renewed.authorization, after_set_back.authorization);
    }

    #[test]
    fn a_rejected_token_is_made_anew_and_a_newer_one_is_kept() {
        let signer = signer();
        let first = signer.credential(1_700_000_000).unwrap();
        signer.reject(&first);
        let second = signer.credential(1_700_000_001).unwrap();
        assert_ne!(first.authorization, second.authorization);
        signer.reject(&first);
        assert_eq!(signer.credential(1_700_000_002).unwrap().authorization, second.authorization);
    }

    #[test]
    fn a_token_never_shows_in_debug() {
        let credential = signer().credential(1_700_000_000).unwrap();
        assert_eq!(format!("{:?}", credential.authorization), "Sensitive");
    }
}
