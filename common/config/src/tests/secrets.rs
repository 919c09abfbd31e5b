//! A canary in every secret key must be found in no message and no debug output, however it got there.

use serde_json::json;

use super::{Files, valid};
use crate::keys::{Kind, SECTIONS};
use crate::load::Loaded;

const CANARY: &str = "canary-s3cr3t";

/// Forms in which a secret may be wrong: a token with a space, a bad URL, a broken PEM, a path that is none.
fn forms() -> Vec<String> {
    vec![
        CANARY.to_owned(),
        format!("/{CANARY}"),
        format!("{CANARY} {CANARY}"),
        format!("https://{CANARY}:{CANARY}@{CANARY}/{CANARY}"),
        format!("amqp://u:{CANARY}@{CANARY}/{CANARY}"),
        format!("amqp://u:{CANARY}#x@host"),
        format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"),
        format!("-----BEGIN {CANARY}-----\n{CANARY}"),
        format!("${{{CANARY}}}"),
    ]
}

/// Everything a person or a log could see.
fn shown(result: &Result<Loaded, crate::ConfigErrors>) -> String {
    match result {
        Ok(loaded) => format!("{:?} {:?}", loaded.config, loaded.warnings),
        Err(errors) => format!("{errors} {errors:?}"),
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let files = Files::new();
    let mut checked = 0;
    for section in SECTIONS {
        for key in section.keys().filter(|key| matches!(key.kind, Kind::Secret)) {
            for form in forms() {
                for auth in ["keypair", "pat", "oauth"] {
                    let mut config = valid();
                    config["snowflake"]["auth"] = json!(auth);
                    config[section.name][key.name] = json!(form);
                    let direct = files.load(&config.to_string(), &[]);
                    assert!(
                        !shown(&direct).contains(CANARY),
                        "{}.{}: {}",
                        section.name,
                        key.name,
                        shown(&direct)
                    );
                    config[section.name][key.name] = json!("${SECRET}");
                    let through = files.load(&config.to_string(), &[("SECRET", &form)]);
                    assert!(
                        !shown(&through).contains(CANARY),
                        "{}.{}: {}",
                        section.name,
                        key.name,
                        shown(&through)
                    );
                    checked += 2;
                }
            }
        }
    }
    assert_eq!(checked, 6 * 9 * 3 * 2, "the list of secrets changed");
}

#[test]
fn a_variable_is_never_shown_even_in_a_key_that_is_no_secret() {
    let files = Files::new();
    for path in crate::key_paths() {
        let pointer = super::documents::pointer(&path);
        let mut config = valid();
        config["worker"] = json!({});
        config["rabbitmq"] = json!({ "url": "amqp://localhost" });
        super::set(&mut config, &pointer, json!("${V}"));
        let errors = files.load(&config.to_string(), &[("V", "canary value/@:")]);
        if let Err(errors) = errors {
            assert!(!errors.to_string().contains("canary"), "{errors}");
        }
    }
}

#[test]
fn a_url_from_amqp_url_is_never_shown() {
    let files = Files::new();
    for form in forms() {
        let result = files.load(&valid().to_string(), &[("AMQP_URL", &form)]);
        assert!(!shown(&result).contains(CANARY), "{}", shown(&result));
    }
}
