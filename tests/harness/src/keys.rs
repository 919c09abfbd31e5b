//! Keys and certificates made for one test: never written into the repository.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};

/// A key pair for key-pair authentication.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// PKCS#8 PEM.
    pub private_pem: String,
    /// SubjectPublicKeyInfo PEM.
    pub public_pem: String,
}

impl KeyPair {
    /// A fresh RSA key of 2048 bits.
    ///
    /// # Errors
    /// The machine has no randomness.
    pub fn generate() -> Result<Self> {
        let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048)?;
        let private_pem = key.to_pkcs8_pem(LineEnding::LF)?.to_string();
        let public_pem = key.to_public_key().to_public_key_pem(LineEnding::LF)?;
        Ok(Self { private_pem, public_pem })
    }
}

/// A certificate for loopback, its key, and the authority to trust, as files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub authority: PathBuf,
}

impl TlsFiles {
    /// Makes an authority and a certificate for `localhost` and `127.0.0.1` in `folder`.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn generate(folder: &Path) -> Result<Self> {
        let authority_key = rcgen::KeyPair::generate()?;
        let mut authority = rcgen::CertificateParams::new(Vec::new())?;
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate()?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            anyhow::Ok(path)
        };
        Ok(Self {
            certificate: write("server.pem", &certificate.pem())?,
            key: write("server-key.pem", &key.serialize_pem())?,
            authority: write("authority.pem", &authority_pem)?,
        })
    }
}
