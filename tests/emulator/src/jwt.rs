//! Verification of key-pair tokens: form, names, key, signature, times.
//!
//! docs.snowflake.com/en/developer-guide/sql-api/authenticating says what a token holds;
//! "Key-pair authentication: troubleshooting" says which code each fault has.

use std::collections::HashMap;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use rsa::RsaPublicKey;
use rsa::pkcs8::DecodePublicKey;
use rsa::traits::PublicKeyParts;
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A token is refused this long after `iat`, whatever its `exp` says.
const LIFETIME_SECONDS_MAX: i64 = 3600;
/// How far in the future `iat` may be; undocumented, clients are told not to rely on it.
const SKEW_SECONDS: i64 = 60;

/// One public key of a user.
pub(crate) struct RegisteredKey {
    fingerprint: String,
    key: DecodingKey,
}

impl std::fmt::Debug for RegisteredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegisteredKey").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwtFault {
    /// Not a token, or `iss` and `sub` are not what the documents say (upper-case, same account and user).
    #[error("JWT_TOKEN_INVALID")]
    Malformed,
    /// The user is not known or has no key.
    #[error("JWT_TOKEN_INVALID_USER_IN_ISSUER")]
    UnknownUser,
    /// `iat` or `exp` is missing.
    #[error("JWT_TOKEN_MISSING_ISSUE_OR_EXPIRATION_TIME")]
    NoTimes,
    /// `iat` lies in the future or more than an hour back.
    #[error("JWT_TOKEN_INVALID_ISSUE_TIME")]
    IssueTime,
    /// `exp` is over.
    #[error("JWT_TOKEN_INVALID_EXPIRATION_TIME")]
    Expired,
    /// The fingerprint in `iss` is none of the user's keys.
    #[error("JWT_TOKEN_INVALID_PUBLIC_KEY_FINGERPRINT_MISMATCH")]
    FingerprintMismatch,
    /// Not RS256.
    #[error("JWT_TOKEN_INVALID_ALGORITHM")]
    Algorithm,
    /// The signature is not by the registered key.
    #[error("JWT_TOKEN_INVALID_SIGNATURE")]
    Signature,
    /// Another account's token.
    #[error("JWT_TOKEN_ACCOUNT_MISMATCH")]
    Account,
}

impl JwtFault {
    /// Snowflake's code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Malformed => "390144",
            Self::UnknownUser => "394300",
            Self::NoTimes => "394301",
            Self::IssueTime => "394302",
            Self::Expired => "394303",
            Self::FingerprintMismatch => "394304",
            Self::Algorithm => "394305",
            Self::Signature => "394306",
            Self::Account => "394307",
        }
    }
}

impl RegisteredKey {
    /// Reads a PEM `PUBLIC KEY`.
    ///
    /// # Errors
    /// When it is none, no RSA key, or shorter than 2048 bits.
    pub(crate) fn from_pem(pem: &[u8]) -> anyhow::Result<Self> {
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).context("no PEM block PUBLIC KEY")?;
        let public = RsaPublicKey::from_public_key_der(&der).context("not an RSA public key")?;
        ensure!(public.n().bits() >= 2048, "the key has {} bits, 2048 are the least", public.n().bits());
        let fingerprint = format!("SHA256:{}", STANDARD.encode(Sha256::digest(&der)));
        let key = DecodingKey::from_rsa_pem(pem).context("not an RSA public key")?;
        Ok(Self { fingerprint, key })
    }
}

/// The account part of tokens: upper-case; what is after the first dot of a locator is its region; of a `.global`
/// account what is after the first hyphen.
pub(crate) fn account_of_tokens(account: &str) -> String {
    let upper = account.to_uppercase();
    let cut = if upper.contains(".GLOBAL") { upper.split('-').next() } else { upper.split('.').next() };
    cut.unwrap_or_default().to_owned()
}

/// The user a token speaks for. `now` in seconds since 1970.
///
/// # Errors
/// Why it is refused; of several faults the first in the order account, user, times, key, signature.
pub(crate) fn verify(
    token: &str,
    account: &str,
    keys: &HashMap<String, Vec<RegisteredKey>>,
    now: i64,
) -> Result<String, JwtFault> {
    let (message, signature) = token.rsplit_once('.').ok_or(JwtFault::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(JwtFault::Malformed)?;
    let header = json_part(header)?;
    let claims = json_part(payload)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str).ok_or(JwtFault::Malformed);
    let (issuer, subject) = (text("iss")?, text("sub")?);
    let (names, fingerprint) = issuer.rsplit_once(".SHA256:").ok_or(JwtFault::Malformed)?;
    let (token_account, user) = subject.split_once('.').ok_or(JwtFault::Malformed)?;
    if names != subject || issuer_is_not_upper_case(names) || user.is_empty() {
        return Err(JwtFault::Malformed);
    }
    if token_account != account {
        return Err(JwtFault::Account);
    }
    let keys = keys.get(user).ok_or(JwtFault::UnknownUser)?;
    check_times(&claims, now)?;
    if header.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(JwtFault::Algorithm);
    }
    let key = keys
        .iter()
        .find(|key| key.fingerprint.strip_prefix("SHA256:") == Some(fingerprint))
        .ok_or(JwtFault::FingerprintMismatch)?;
    match jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, Algorithm::RS256) {
        Ok(true) => Ok(user.to_owned()),
        Ok(false) | Err(_) => Err(JwtFault::Signature),
    }
}

fn json_part(encoded: &str) -> Result<Value, JwtFault> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JwtFault::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| JwtFault::Malformed)
}

fn issuer_is_not_upper_case(names: &str) -> bool {
    names.chars().any(char::is_lowercase)
}

fn check_times(claims: &Value, now: i64) -> Result<(), JwtFault> {
    let issued = seconds(claims.get("iat")).ok_or(JwtFault::NoTimes)?;
    let expires = seconds(claims.get("exp")).ok_or(JwtFault::NoTimes)?;
    if issued > now + SKEW_SECONDS || issued < now - LIFETIME_SECONDS_MAX {
        return Err(JwtFault::IssueTime);
    }
    if expires <= now { Err(JwtFault::Expired) } else { Ok(()) }
}

/// Seconds are the standard; milliseconds are accepted too. Fractions are cut.
fn seconds(claim: Option<&Value>) -> Option<i64> {
    let claim = claim?;
    let number = claim.as_i64().or_else(|| claim.to_string().split('.').next()?.parse().ok())?;
    Some(if number > 100_000_000_000 { number / 1000 } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_part_follows_the_documents() {
        assert_eq!(account_of_tokens("xy12345"), "XY12345");
        assert_eq!(account_of_tokens("xy12345.us-east-1.aws"), "XY12345");
        assert_eq!(account_of_tokens("myorg-account1"), "MYORG-ACCOUNT1");
        assert_eq!(account_of_tokens("acme-123.global"), "ACME");
    }

    #[test]
    fn times_are_read_in_seconds_and_milliseconds() {
        for (value, expected) in
            [("1700000000", 1_700_000_000), ("1700000000123", 1_700_000_000), ("17.9", 17)]
        {
            assert_eq!(seconds(Some(&serde_json::from_str(value).unwrap())), Some(expected));
        }
        assert_eq!(seconds(Some(&Value::from("x"))), None);
    }
}
