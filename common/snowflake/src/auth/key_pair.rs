//! RSA private keys in the forms that people keep them in.
//!
//! Source: docs.snowflake.com/en/user-guide/key-pair-auth (PKCS#8 PEM, encrypted or not; RSA of 2048 bits or more).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPrivateKey as _};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _, EncryptedPrivateKeyInfo};
use rsa::traits::PublicKeyParts as _;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::{Digest as _, Sha256};

const BITS_MIN: usize = 2048;

/// A private key and its public key's fingerprint.
#[derive(Clone)]
pub struct KeyPair {
    /// PKCS#1 DER, the form that the signer takes.
    pkcs1: Arc<SecretSlice<u8>>,
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
    #[error("the PEM block is not a private key")]
    NotPrivate,
    #[error("the private key is not an RSA key in PKCS#8 or PKCS#1 form")]
    NotRsa,
    #[error("the private key is encrypted and no passphrase is given")]
    PassphraseMissing,
    #[error("the passphrase does not open the private key, or its cipher is unknown")]
    PassphraseWrong,
    #[error("the private key is encrypted in the old PEM way (DEK-Info); convert it to PKCS#8")]
    LegacyEncryption,
    #[error("the RSA key has {0} bits; snowflake wants 2048 or more")]
    TooShort(usize),
    #[error("the RSA key is inconsistent")]
    Damaged,
}

impl KeyPair {
    /// Reads a private key: PEM of PKCS#8 (also encrypted) or PKCS#1, with real or literal `\n` line ends, or the
    /// bare base64 of the same DER or of such a PEM. A passphrase that an unencrypted key does not need is ignored.
    ///
    /// # Errors
    /// See [`KeyError`]; no part of the key is shown.
    pub fn parse(text: &SecretString, passphrase: Option<&SecretString>) -> Result<Self, KeyError> {
        let text = with_line_ends(text.expose_secret());
        let (label, der) = match pem_block(&text)? {
            Some(block) => block,
            None => {
                let decoded = decode_base64(&text)?;
                // The base64 of a whole PEM file is how some secret stores hand it out.
                match str::from_utf8(&decoded).ok().map(pem_block).transpose()?.flatten() {
                    Some(block) => block,
                    None => (Label::Unknown, decoded),
                }
            }
        };
        let key = decode_der(label, &der, passphrase)?;
        Self::from_rsa(&key)
    }

    fn from_rsa(key: &RsaPrivateKey) -> Result<Self, KeyError> {
        let bits = key.size() * 8;
        if bits < BITS_MIN {
            return Err(KeyError::TooShort(bits));
        }
        key.validate().map_err(|_| KeyError::Damaged)?;
        let public = key.to_public_key().to_public_key_der().map_err(|_| KeyError::Damaged)?;
        let digest = STANDARD.encode(Sha256::digest(public.as_bytes()));
        let pkcs1 = key.to_pkcs1_der().map_err(|_| KeyError::Damaged)?;
        Ok(Self {
            pkcs1: Arc::new(SecretSlice::from(pkcs1.as_bytes().to_vec())),
            fingerprint: format!("SHA256:{digest}").into(),
        })
    }

    /// `SHA256:<base64>`, as `DESC USER` prints `RSA_PUBLIC_KEY_FP`.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn signing_key(&self) -> jsonwebtoken::EncodingKey {
        jsonwebtoken::EncodingKey::from_rsa_der(self.pkcs1.expose_secret())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    Pkcs8,
    EncryptedPkcs8,
    Pkcs1,
    Unknown,
}

/// A key in an environment variable often has `\n` as two characters.
fn with_line_ends(text: &str) -> String {
    text.trim().replace("\\r", "").replace("\\n", "\n")
}

/// The first PEM block, whatever its line lengths; `None` where there is none.
fn pem_block(text: &str) -> Result<Option<(Label, Vec<u8>)>, KeyError> {
    let Some((_, after)) = text.split_once("-----BEGIN ") else { return Ok(None) };
    let (name, after) = after.split_once("-----").ok_or(KeyError::NotAKey)?;
    let (body, _) = after.split_once("-----END ").ok_or(KeyError::NotAKey)?;
    let label = match name {
        "PRIVATE KEY" => Label::Pkcs8,
        "ENCRYPTED PRIVATE KEY" => Label::EncryptedPkcs8,
        "RSA PRIVATE KEY" => Label::Pkcs1,
        _ => return Err(KeyError::NotPrivate),
    };
    if body.contains("DEK-Info") {
        return Err(KeyError::LegacyEncryption);
    }
    Ok(Some((label, decode_base64(body)?)))
}

fn decode_base64(text: &str) -> Result<Vec<u8>, KeyError> {
    let compact: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    if compact.is_empty() {
        return Err(KeyError::NotAKey);
    }
    STANDARD.decode(compact).map_err(|_| KeyError::NotAKey)
}

fn decode_der(
    label: Label,
    der: &[u8],
    passphrase: Option<&SecretString>,
) -> Result<RsaPrivateKey, KeyError> {
    match label {
        Label::Pkcs8 => RsaPrivateKey::from_pkcs8_der(der).map_err(|_| KeyError::NotRsa),
        Label::Pkcs1 => RsaPrivateKey::from_pkcs1_der(der).map_err(|_| KeyError::NotRsa),
        Label::EncryptedPkcs8 => {
            let sealed = EncryptedPrivateKeyInfo::try_from(der).map_err(|_| KeyError::NotRsa)?;
            decrypt(&sealed, passphrase)
        }
        Label::Unknown => {
            if let Ok(sealed) = EncryptedPrivateKeyInfo::try_from(der) {
                return decrypt(&sealed, passphrase);
            }
            RsaPrivateKey::from_pkcs8_der(der)
                .or_else(|_| RsaPrivateKey::from_pkcs1_der(der))
                .map_err(|_| KeyError::NotRsa)
        }
    }
}

fn decrypt(
    sealed: &EncryptedPrivateKeyInfo<'_>,
    passphrase: Option<&SecretString>,
) -> Result<RsaPrivateKey, KeyError> {
    let passphrase = passphrase.ok_or(KeyError::PassphraseMissing)?;
    let opened = sealed.decrypt(passphrase.expose_secret()).map_err(|_| KeyError::PassphraseWrong)?;
    RsaPrivateKey::from_pkcs8_der(opened.as_bytes()).map_err(|_| KeyError::NotRsa)
}
