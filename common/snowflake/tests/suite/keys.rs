//! Private keys in every form that people keep them in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thaw_snowflake::auth::{KeyError, KeyPair};

const PKCS8: &str = include_str!("../golden/rsa_key.p8");
const PKCS1: &str = include_str!("../golden/rsa_key.pkcs1.pem");
const AES: &str = include_str!("../golden/rsa_key.aes256.p8");
const DES3: &str = include_str!("../golden/rsa_key.des3.p8");
const SHA1: &str = include_str!("../golden/rsa_key.sha1.p8");
const FINGERPRINT: &str = include_str!("../golden/rsa_key.fingerprint");

fn parse(text: &str, passphrase: Option<&str>) -> Result<KeyPair, KeyError> {
    KeyPair::parse(&text.to_owned().into(), passphrase.map(|text| text.to_owned().into()).as_ref())
}

fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with("-----")).collect()
}

#[test]
fn every_form_gives_the_fingerprint_that_openssl_computes() {
    let expected = format!("SHA256:{}", FINGERPRINT.trim());
    let literal = PKCS8.trim().replace('\n', "\\n");
    let windows = PKCS8.replace('\n', "\r\n");
    let one_line = format!("-----BEGIN PRIVATE KEY-----{}-----END PRIVATE KEY-----", body(PKCS8));
    for (name, text) in [
        ("pkcs8", PKCS8),
        ("pkcs1", PKCS1),
        ("literal line ends", &literal),
        ("windows line ends", &windows),
        ("one line", &one_line),
        ("bare base64 of pkcs8", &body(PKCS8)),
        ("bare base64 of pkcs1", &body(PKCS1)),
        ("base64 of the file", &STANDARD.encode(PKCS8)),
        ("white space around", &format!("\n  {PKCS8}\n\n")),
    ] {
        let key = parse(text, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.fingerprint(), expected, "{name}");
    }
    for (name, text) in
        [("aes-256", AES), ("3des, as the documents say", DES3), ("sha-1", SHA1), ("bare base64", &body(AES))]
    {
        let key = parse(text, Some("open-sesame")).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(key.fingerprint(), expected, "{name}");
    }
}

#[test]
fn what_is_no_usable_key_is_named() {
    let public = include_str!("../golden/rsa_key.pub");
    let legacy = include_str!("../golden/rsa_key.dek.pem");
    let elliptic = include_str!("../golden/ec_key.p8");
    let short = include_str!("../golden/rsa_key.1024.p8");
    for (text, passphrase, expected) in [
        (AES, None, KeyError::PassphraseMissing),
        (AES, Some("wrong"), KeyError::PassphraseWrong),
        (public, None, KeyError::NotPrivate),
        (legacy, Some("open-sesame"), KeyError::LegacyEncryption),
        (elliptic, None, KeyError::NotRsa),
        (short, None, KeyError::TooShort(1024)),
        ("", None, KeyError::NotAKey),
        ("/run/secrets/key.p8", None, KeyError::NotAKey),
        ("-----BEGIN PRIVATE KEY-----", None, KeyError::NotAKey),
        ("aGVsbG8=", None, KeyError::NotRsa),
    ] {
        assert_eq!(parse(text, passphrase).unwrap_err(), expected);
    }
}

#[test]
fn a_key_never_shows_in_debug() {
    let shown = format!("{:?}", parse(PKCS8, None).unwrap());
    assert!(shown.contains("SHA256:"));
    assert!(!shown.contains(body(PKCS8).get(40..60).unwrap()));
    assert!(shown.len() < 120, "{shown}");
}
