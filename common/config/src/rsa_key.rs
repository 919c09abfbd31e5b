//! Brings an RSA private key, however it is spelled, into one form: unencrypted PKCS#8 PEM.
//!
//! Accepted: the path of a file, a PEM (PKCS#8, encrypted PKCS#8, PKCS#1), a PEM whose line ends are literal `\n`, and
//! bare base64 of the DER with or without white space. No message holds any part of the key.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs8::{EncryptedPrivateKeyInfo, LineEnding};
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rsa::traits::PublicKeyParts;
use secrecy::SecretString;

use crate::defaults::RSA_BITS_MIN;

/// Why a text is no usable key. `Display` is what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error(
        "neither a key nor the path of a readable file ({0}); give a path, a PEM or base64 of an RSA private key"
    )]
    Unreadable(String),
    #[error("is a public key; give the private one (its PEM begins with BEGIN PRIVATE KEY)")]
    Public,
    #[error("is a certificate; give the private key (its PEM begins with BEGIN PRIVATE KEY)")]
    Certificate,
    #[error("is an OpenSSH key; convert it with: ssh-keygen -p -m PKCS8 -f <file>")]
    OpenSsh,
    #[error("is a key in OpenSSL's old encryption; convert it with: openssl pkcs8 -topk8 -in <file>")]
    LegacyEncryption,
    #[error("is encrypted; give snowflake.passphrase")]
    PassphraseMissing,
    #[error("cannot be decrypted; snowflake.passphrase is wrong or the encryption is not PBES2")]
    PassphraseWrong,
    #[error("is no RSA private key; make one with: openssl genrsa 2048 | openssl pkcs8 -topk8 -nocrypt")]
    NotAKey,
    #[error("has {0} bits; Snowflake takes {RSA_BITS_MIN} or more")]
    Short(usize),
}

/// A readable key.
pub(crate) struct RsaKey {
    pub(crate) pem: SecretString,
    /// A passphrase was needed.
    pub(crate) was_encrypted: bool,
}

/// Reads the key that `text` holds or names. Relative paths are looked for in `dirs`, in turn.
pub(crate) fn read(text: &str, passphrase: Option<&str>, dirs: &[PathBuf]) -> Result<RsaKey, KeyError> {
    let inline = text.replace("\\r", "").replace("\\n", "\n");
    if inline.contains("-----BEGIN ") {
        return read_pem(&inline, passphrase);
    }
    if let Some(der) = decode_base64(&inline) {
        return read_der(&der, passphrase);
    }
    let content = read_file(text.trim(), dirs)?;
    match String::from_utf8(content) {
        Ok(text) if text.contains("-----BEGIN ") => read_pem(&text.replace("\\n", "\n"), passphrase),
        Ok(text) => read_der(&decode_base64(&text).ok_or(KeyError::NotAKey)?, passphrase),
        Err(binary) => read_der(binary.as_bytes(), passphrase),
    }
}

fn read_file(path: &str, dirs: &[PathBuf]) -> Result<Vec<u8>, KeyError> {
    let mut first_error = None;
    for path in std::iter::once(PathBuf::from(path)).chain(dirs.iter().map(|dir| dir.join(path))) {
        match std::fs::read(&path) {
            Ok(content) => return Ok(content),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    let reason = first_error.map_or_else(|| "no path".to_owned(), |error| io_reason(&error));
    Err(KeyError::Unreadable(reason))
}

/// The kind alone: the text of an error may hold the path, which may be a mangled key.
fn io_reason(error: &std::io::Error) -> String {
    error.kind().to_string()
}

/// `None` where the text is no base64 of a DER sequence; a path is not.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    STANDARD.decode(dense).ok().filter(|der| der.first() == Some(&0x30) && der.len() > 64)
}

fn read_pem(text: &str, passphrase: Option<&str>) -> Result<RsaKey, KeyError> {
    let (label, body) = pem_block(text).ok_or(KeyError::NotAKey)?;
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => return Err(KeyError::Public),
        "CERTIFICATE" => return Err(KeyError::Certificate),
        "OPENSSH PRIVATE KEY" => return Err(KeyError::OpenSsh),
        _ if body.contains("ENCRYPTED") => return Err(KeyError::LegacyEncryption),
        _ => {}
    }
    let dense: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    read_der(&STANDARD.decode(dense).map_err(|_| KeyError::NotAKey)?, passphrase)
}

/// Label and body of the first block. Not `pem-rfc7468`: keys that went through a configuration store come with spaces
/// for line ends and lines of any length.
fn pem_block(text: &str) -> Option<(&str, &str)> {
    let (label, rest) = text.split_once("-----BEGIN ")?.1.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    Some((label.trim(), body))
}

fn read_der(der: &[u8], passphrase: Option<&str>) -> Result<RsaKey, KeyError> {
    if let Ok(encrypted) = EncryptedPrivateKeyInfo::try_from(der) {
        let passphrase = passphrase.ok_or(KeyError::PassphraseMissing)?;
        let plain = encrypted.decrypt(passphrase).map_err(|_| KeyError::PassphraseWrong)?;
        return finish(plain.as_bytes(), true);
    }
    finish(der, false)
}

fn finish(der: &[u8], was_encrypted: bool) -> Result<RsaKey, KeyError> {
    let key = RsaPrivateKey::from_pkcs8_der(der)
        .or_else(|_| RsaPrivateKey::from_pkcs1_der(der))
        .map_err(|_| KeyError::NotAKey)?;
    let bits = key.size() * 8;
    if bits < RSA_BITS_MIN {
        return Err(KeyError::Short(bits));
    }
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::NotAKey)?;
    Ok(RsaKey { pem: SecretString::from(pem.as_str()), was_encrypted })
}

/// Checks that a file holds at least one certificate: clients ignore what they cannot read, which would switch
/// a private authority off in silence. Returns the path that was found.
pub(crate) fn certificate_file(path: &str, dirs: &[PathBuf]) -> Result<PathBuf, String> {
    let candidates = std::iter::once(PathBuf::from(path)).chain(dirs.iter().map(|dir| dir.join(path)));
    let found = candidates.into_iter().find(|path| path.is_file()).unwrap_or_else(|| Path::new(path).into());
    let text =
        std::fs::read_to_string(&found).map_err(|error| format!("cannot be read: {}", io_reason(&error)))?;
    let blocks = text.matches("-----BEGIN CERTIFICATE-----").count();
    let mut rest = text.as_str();
    for _ in 0..blocks {
        let begin = rest.find("-----BEGIN CERTIFICATE-----").and_then(|at| rest.get(at..));
        let (label, body) = begin.and_then(pem_block).ok_or("holds a certificate without an end")?;
        let dense: String = body.chars().filter(|c| !c.is_whitespace()).collect();
        let der = STANDARD.decode(dense).map_err(|_| "holds a certificate that is no base64")?;
        if label != "CERTIFICATE" || der.first() != Some(&0x30) {
            return Err("holds a certificate that is none".to_owned());
        }
        rest = begin.and_then(|text| text.get(1..)).unwrap_or("");
    }
    if blocks == 0 {
        return Err("holds no certificate in PEM form (BEGIN CERTIFICATE)".to_owned());
    }
    Ok(found)
}
