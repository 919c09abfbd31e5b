//! RSA private keys in the forms that people keep them in.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

/// A private key and its public key's fingerprint.
#[derive(Clone)]
pub struct KeyPair {
    fingerprint: Arc<str>,
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// Why a text is no usable private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("text is neither PEM nor base64 of a key")]
    NotAKey,
    #[error("the PEM block is a public key or certificate, not a private key")]
    NotPrivate,
    #[error("the private key is not an RSA key in PKCS#8 or PKCS#1 form")]
    NotRsa,
    #[error("the private key is encrypted and no passphrase is given")]
    PassphraseMissing,
    #[error("the passphrase does not open the private key")]
    PassphraseWrong,
    #[error("the private key is encrypted in the old PEM way (DEK-Info); convert it to PKCS#8")]
    LegacyEncryption,
    #[error("the RSA key has {0} bits; snowflake wants 2048 or more")]
    TooShort(usize),
}

impl KeyPair {
    /// Reads a private key: PEM of PKCS#8 (also encrypted) or PKCS#1, with real or literal `\n` line ends, or the
    /// bare base64 of the same DER.
    ///
    /// # Errors
    /// See [`KeyError`]; no part of the key is shown.
    pub fn parse(_text: &SecretString, _passphrase: Option<&SecretString>) -> Result<Self, KeyError> {
        Err(KeyError::NotAKey)
    }

    /// `SHA256:<base64>`, as `DESC USER` prints `RSA_PUBLIC_KEY_FP`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
