//! Keys, tokens and certificates in every spelling.

use std::sync::OnceLock;

use pkcs8::LineEnding;
use pkcs8::pkcs5::pbes2::{EncryptionScheme, Parameters, Pbkdf2Params};
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Files, valid};
use crate::SnowflakeAuth;

/// One key for all tests: making one takes a while.
fn key() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| RsaPrivateKey::new(&mut rand_core::OsRng, 2048).expect("a key"))
}

pub(super) fn pkcs8_pem() -> String {
    key().to_pkcs8_pem(LineEnding::LF).expect("encodes").to_string()
}

fn config(rsa_key: &str, passphrase: Option<&str>) -> Value {
    let mut config = valid();
    config["snowflake"] = json!({
        "account": "a", "user": "U", "warehouse": "W", "rsa_key": rsa_key, "passphrase": passphrase
    });
    config
}

fn encrypted_pem(parameters: Parameters<'_>) -> String {
    let der = key().to_pkcs8_der().expect("encodes");
    let plain = pkcs8::PrivateKeyInfo::try_from(der.as_bytes()).expect("reads");
    let encrypted = plain.encrypt_with_params(parameters, "open sesame").expect("encrypts");
    encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).expect("encodes").to_string()
}

/// The key that was read, or the one message.
fn read(files: &Files, rsa_key: &str, passphrase: Option<&str>) -> Result<String, String> {
    match files.load(&config(rsa_key, passphrase).to_string(), &[]) {
        Ok(loaded) => match loaded.config.snowflake.auth {
            SnowflakeAuth::KeyPair { private_key_pem } => Ok(private_key_pem.expose_secret().to_owned()),
            other => panic!("{other:?}"),
        },
        Err(refused) => {
            assert_eq!(refused.findings.len(), 1, "{refused}");
            assert_eq!(refused.findings[0].path, "snowflake.rsa_key");
            Err(refused.findings[0].message.clone())
        }
    }
}

#[test]
fn a_key_may_be_a_path_a_pem_or_base64_and_comes_out_as_one_form() {
    let files = Files::new();
    let pem = pkcs8_pem();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let pkcs1 = key().to_pkcs1_pem(LineEnding::LF).expect("encodes").to_string();
    let path = files.write("key.p8", &pem);
    files.write("key.b64", &base64);
    std::fs::write(files.path().join("key.der"), key().to_pkcs8_der().expect("encodes").as_bytes())
        .expect("written");
    for spelling in [
        pem.clone(),
        pem.replace('\n', "\\n"),
        pem.replace('\n', " "),
        pem.replace('\n', "\r\n"),
        base64.clone(),
        base64.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect(),
        pkcs1,
        path,
        "key.p8".to_owned(),
        "key.b64".to_owned(),
        "key.der".to_owned(),
    ] {
        assert_eq!(read(&files, &spelling, None).as_deref(), Ok(pem.as_str()));
    }
}

#[test]
fn an_encrypted_key_takes_its_passphrase() {
    let files = Files::new();
    let salt = [7; 16];
    // As `openssl pkcs8 -topk8` does it today, and with `-v2 des3` as Snowflake's instructions have it.
    let aes = Parameters::pbkdf2_sha256_aes256cbc(2048, &salt, &[9; 16]).expect("parameters");
    let kdf = Pbkdf2Params::hmac_with_sha256(2048, &salt).expect("parameters");
    let triple_des = Parameters { kdf: kdf.into(), encryption: EncryptionScheme::DesEde3Cbc { iv: &[9; 8] } };
    for parameters in [aes, triple_des.clone()] {
        let encrypted = encrypted_pem(parameters);
        assert_eq!(read(&files, &encrypted, Some("open sesame")), Ok(pkcs8_pem()));
    }
    let encrypted = encrypted_pem(triple_des);
    assert!(read(&files, &encrypted, None).expect_err("is refused").contains("give snowflake.passphrase"));
    assert!(read(&files, &encrypted, Some("wrong")).expect_err("is refused").contains("passphrase is wrong"));
    let loaded = files.load(&config(&pkcs8_pem(), Some("needless")).to_string(), &[]).expect("is valid");
    assert_eq!(loaded.warnings[0].path, "snowflake.passphrase");
}

#[test]
fn what_is_no_key_says_what_it_is() {
    let files = Files::new();
    let public = key().to_public_key().to_public_key_pem(LineEnding::LF).expect("encodes");
    let short = RsaPrivateKey::new(&mut rand_core::OsRng, 1024).expect("a key");
    let short = short.to_pkcs8_pem(LineEnding::LF).expect("encodes").to_string();
    let cut: String = pkcs8_pem().chars().take(900).collect();
    files.write("notes.txt", "not a key");
    for (text, part) in [
        (public.as_str(), "public key"),
        (short.as_str(), "1024 bits"),
        (cut.as_str(), "no RSA private key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "ssh-keygen"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "certificate"),
        ("notes.txt", "no RSA private key"),
        ("missing.p8", "entity not found"),
        (".", "is a directory"),
    ] {
        let message = read(&files, text, None).expect_err("is refused");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_way_to_authenticate_must_fit_what_is_given() {
    let files = Files::new();
    let paths = |snowflake: Value| {
        let mut config = valid();
        for (key, value) in snowflake.as_object().expect("an object") {
            config["snowflake"][key] = value.clone();
        }
        match files.load(&config.to_string(), &[]) {
            Ok(loaded) => loaded.warnings.into_iter().map(|f| (f.severity, f.path)).collect::<Vec<_>>(),
            Err(errors) => errors.findings.into_iter().map(|f| (f.severity, f.path)).collect(),
        }
    };
    use crate::Severity::{Error, Warning};
    let one = |severity, path: &str| vec![(severity, path.to_owned())];
    assert_eq!(paths(json!({ "auth": null })), one(Error, "snowflake.auth"));
    assert_eq!(paths(json!({ "auth": "oauth", "token": null })), one(Error, "snowflake.token"));
    assert_eq!(paths(json!({ "token": "two\nlines" })), one(Error, "snowflake.token"));
    assert_eq!(paths(json!({ "auth": "keypair", "token": null })), one(Error, "snowflake.rsa_key"));
    assert_eq!(paths(json!({ "auth": "password" })), one(Error, "snowflake.auth"));
    assert_eq!(paths(json!({ "auth": "oauth", "rsa_key": "x.p8" })), one(Warning, "snowflake.rsa_key"));
    assert_eq!(paths(json!({ "auth": "oauth" })), []);
}

#[test]
fn a_file_of_certificates_must_hold_some() {
    let files = Files::new();
    let good = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    files.write("good.pem", &format!("# two\n{good}{good}"));
    files.write("bad.pem", &format!("{good}-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"));
    files.write("empty.pem", "");
    for (name, is_good) in [("good.pem", true), ("bad.pem", false), ("empty.pem", false), ("none.pem", false)]
    {
        for (section, key) in [("snowflake", "ca_file"), ("rabbitmq", "ca_file"), ("postgres", "sslrootcert")]
        {
            let mut config = valid();
            config["rabbitmq"] = json!({ "url": "amqps://localhost" });
            config["postgres"]["sslmode"] = json!("verify-ca");
            config[section][key] = json!(name);
            let result = files.load(&config.to_string(), &[]);
            assert_eq!(result.is_ok(), is_good, "{name} {section}");
            if let Err(refused) = result {
                assert_eq!(refused.findings[0].path, format!("{section}.{key}"));
            }
        }
    }
}
