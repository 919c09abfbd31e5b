//! Reads the sections that say how to reach Snowflake, PostgreSQL and RabbitMQ. Nothing is connected here.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use crate::config::{PostgresConfig, RabbitConfig, SSL_MODES, SnowflakeAuth, SnowflakeConfig, SslMode};
use crate::defaults::{LOCK_TIMEOUT_SECONDS, POSTGRES_PORT, STATEMENT_TIMEOUT_SECONDS};
use crate::rsa_key;
use crate::scope::{Scope, Text};

/// The words of `auth`.
const AUTH: &[(&str, AuthKind)] =
    &[("keypair", AuthKind::KeyPair), ("oauth", AuthKind::OAuth), ("pat", AuthKind::Pat)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AuthKind {
    KeyPair,
    OAuth,
    Pat,
}

/// Reads `snowflake`; `None` where an error was reported.
pub(crate) fn snowflake(global: &Scope<'_>) -> Option<SnowflakeConfig> {
    let scope = open(global, "snowflake")?;
    let account = scope.required("account").and_then(|text| account(&scope, &text));
    let user = scope.required("user");
    let warehouse = scope.required("warehouse");
    let role = scope.optional("role");
    let url = match scope.optional("url") {
        Some(text) => base_url(&scope, &text),
        None => account.as_deref().and_then(default_url),
    };
    let auth = auth(&scope);
    let ca_file = certificates(&scope, "ca_file");
    let proxy = scope.optional("proxy").and_then(|text| proxy(&scope, &text));
    Some(SnowflakeConfig {
        account: account?,
        user: user?.value,
        warehouse: warehouse?.value,
        role: role.map(|text| text.value),
        url: url?,
        auth: auth?,
        ca_file,
        proxy,
    })
}

/// Reads `postgres`; `None` where an error was reported.
pub(crate) fn postgres(global: &Scope<'_>) -> Option<PostgresConfig> {
    let scope = open(global, "postgres")?;
    let host = scope.required("host");
    let user = scope.required("user");
    let port = scope.integer("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(POSTGRES_PORT);
    let password = scope.text("password").map(|text| text.value).unwrap_or_default();
    let named = scope.word("sslmode", SSL_MODES);
    let sslrootcert = certificates(&scope, "sslrootcert");
    let host = host.filter(|text| check_host(&scope, text))?.value.trim().to_owned();
    let local = is_local(&host);
    let sslmode = named.unwrap_or(if local { SslMode::Disable } else { SslMode::VerifyFull });
    if !local && matches!(sslmode, SslMode::Disable | SslMode::Prefer | SslMode::Require) {
        let message = "the server's certificate is not verified; use verify-full, and sslrootcert for a private authority";
        scope.cx.warn(&scope.at("sslmode"), message);
    }
    if sslmode == SslMode::Disable && sslrootcert.is_some() {
        scope.cx.warn(&scope.at("sslrootcert"), "has no effect with sslmode disable");
    }
    let seconds = |key: &str, default: u32| Duration::from_secs(scope.integer(key).unwrap_or(default).into());
    Some(PostgresConfig {
        host,
        port,
        user: user?.value,
        password: SecretString::from(password),
        sslmode,
        sslrootcert,
        statement_timeout: seconds("statement_timeout_seconds", STATEMENT_TIMEOUT_SECONDS),
        lock_timeout: seconds("lock_timeout_seconds", LOCK_TIMEOUT_SECONDS),
    })
}

/// Reads `rabbitmq`, or the variable `AMQP_URL` where the section has no url.
pub(crate) fn rabbitmq(global: &Scope<'_>) -> Option<RabbitConfig> {
    let scope = global.object("rabbitmq");
    let from_variable = || global.cx.environment.get("AMQP_URL").filter(|url| !url.trim().is_empty());
    let Some(scope) = scope else {
        let url = from_variable().filter(|_| global.node("rabbitmq").is_none())?;
        if let Err(message) = amqp_url(url.trim()) {
            global.cx.error(&global.at("rabbitmq"), format!("the variable AMQP_URL {message}"));
            return None;
        }
        return Some(RabbitConfig { url: SecretString::from(url.trim()), ca_file: None });
    };
    let ca_file = certificates(&scope, "ca_file");
    let place = scope.at("url");
    let (url, source) = if scope.node("url").is_some() {
        (scope.required("url").map(|text| text.value), "")
    } else {
        let url = from_variable();
        if url.is_none() {
            scope.cx.error(&place, "missing; give an amqp:// or amqps:// URL, or set the variable AMQP_URL");
        }
        (url, "the variable AMQP_URL ")
    };
    let url = url?.trim().to_owned();
    if let Err(message) = amqp_url(&url) {
        scope.cx.error(&place, format!("{source}{message}"));
        return None;
    }
    Some(RabbitConfig { url: SecretString::from(url), ca_file })
}

fn open<'a>(global: &Scope<'a>, key: &str) -> Option<Scope<'a>> {
    if global.node(key).is_none() {
        global.missing(key);
    }
    global.object(key)
}

/// The account is put into a host name and a token's issuer: nothing but what an account may be made of.
fn account(scope: &Scope<'_>, text: &Text) -> Option<String> {
    let account = text.value.trim();
    let lower = account.to_ascii_lowercase();
    if lower.contains(".snowflakecomputing.") || lower.contains("://") {
        let message = "is an address; give the account identifier alone, and the address as snowflake.url";
        scope.cx.error(&text.place, message);
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins_well = account.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !account.chars().all(is_plain) || !begins_well || account.contains("..") || account.ends_with('.') {
        let message = format!(
            "{} is no account identifier such as `xy12345.us-east-1` or `organization-account`",
            text.shown()
        );
        scope.cx.error(&text.place, message);
        return None;
    }
    Some(account.to_owned())
}

/// Underscores of an account are hyphens in its host name, and accounts in China have a domain of their own.
/// Source: docs.snowflake.com/en/user-guide/admin-account-identifier.
fn default_url(account: &str) -> Option<Url> {
    let host = account.to_ascii_lowercase().replace('_', "-");
    let domain = if host.split('.').any(|part| part.starts_with("cn-")) { "cn" } else { "com" };
    Url::parse(&format!("https://{host}.snowflakecomputing.{domain}/")).ok()
}

fn base_url(scope: &Scope<'_>, text: &Text) -> Option<Url> {
    let message = match Url::parse(text.value.trim()) {
        Err(_) => "is no URL such as https://xy12345.snowflakecomputing.com",
        Ok(url) if url.host().is_none() || !matches!(url.scheme(), "https" | "http") => {
            "must begin with https://"
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "holds a user or a password; use snowflake.user and snowflake.auth"
        }
        Ok(url) if url.path() != "/" || url.query().is_some() || url.fragment().is_some() => {
            "must end after the host and the port"
        }
        Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
            "plain http is for this machine only; use https://"
        }
        Ok(url) => return Some(url),
    };
    scope.cx.error(&text.place, message);
    None
}

fn proxy(scope: &Scope<'_>, text: &Text) -> Option<SecretString> {
    let url = text.value.trim();
    let valid = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !valid {
        let message = "is no URL of an HTTP proxy such as http://proxy.example:3128; write special characters of a password as %XX";
        scope.cx.error(&text.place, message);
        return None;
    }
    Some(SecretString::from(url))
}

/// Says what is wrong without showing the URL.
fn amqp_url(text: &str) -> Result<(), &'static str> {
    let Ok(url) = Url::parse(text) else {
        return Err(
            "is no URL such as amqps://user:password@host:5671/vhost; write special characters of a password as %XX",
        );
    };
    if !matches!(url.scheme(), "amqp" | "amqps") {
        return Err("must begin with amqp:// or amqps://");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("names no host");
    }
    // `amqp://user:p#ss@host` parses, with `user` for the host.
    if url.fragment().is_some()
        || url.path().contains('@')
        || url.query().is_some_and(|query| query.contains('@'))
    {
        return Err("has a special character in user or password; write # as %23, / as %2F, ? as %3F");
    }
    Ok(())
}

fn auth(scope: &Scope<'_>) -> Option<SnowflakeAuth> {
    let key = scope.optional("rsa_key");
    let token = scope.optional("token");
    let passphrase = scope.text("passphrase").filter(|text| !text.value.is_empty());
    let named = scope.word("auth", AUTH);
    let is_broken = named.is_none() && scope.node("auth").is_some()
        || key.is_none() && scope.optional_was_given("rsa_key")
        || token.is_none() && scope.optional_was_given("token");
    if is_broken {
        return None;
    }
    if named.is_none() && key.is_none() && token.is_some() {
        scope.cx.error(&scope.at("auth"), "missing; with a token and no rsa_key, say oauth or pat");
        return None;
    }
    let kind = named.unwrap_or(AuthKind::KeyPair);
    let unused: &[&str] = if kind == AuthKind::KeyPair { &["token"] } else { &["rsa_key", "passphrase"] };
    for key in unused.iter().filter(|key| scope.node(key).is_some()) {
        let word = AUTH.iter().find(|(_, auth)| *auth == kind).map_or("", |(word, _)| word);
        scope.cx.warn(&scope.at(key), format!("has no effect with auth {word}"));
    }
    match kind {
        AuthKind::KeyPair => key_pair(scope, key, passphrase),
        AuthKind::OAuth => Some(SnowflakeAuth::OAuth { token: required_token(scope, token)? }),
        AuthKind::Pat => Some(SnowflakeAuth::Pat { token: required_token(scope, token)? }),
    }
}

fn required_token(scope: &Scope<'_>, token: Option<Text>) -> Option<SecretString> {
    let Some(token) = token else {
        scope.missing("token");
        return None;
    };
    // It goes into a header.
    if !token.value.trim().bytes().all(|byte| byte.is_ascii_graphic()) {
        scope.cx.error(&token.place, "holds white space or characters that no token has; copy it again");
        return None;
    }
    Some(SecretString::from(token.value.trim()))
}

fn key_pair(scope: &Scope<'_>, key: Option<Text>, passphrase: Option<Text>) -> Option<SnowflakeAuth> {
    let Some(key) = key else {
        scope.missing("rsa_key");
        return None;
    };
    let secret = passphrase.as_ref().map(|text| text.value.as_str());
    match rsa_key::read(&key.value, secret, &scope.dirs()) {
        Ok(read) => {
            if let Some(passphrase) = passphrase.filter(|_| !read.was_encrypted) {
                scope.cx.warn(&passphrase.place, "is not needed: the key is not encrypted");
            }
            Some(SnowflakeAuth::KeyPair { private_key_pem: read.pem })
        }
        Err(error) => {
            scope.cx.error(&key.place, error.to_string());
            None
        }
    }
}

fn certificates(scope: &Scope<'_>, key: &str) -> Option<PathBuf> {
    let text = scope.optional(key)?;
    match rsa_key::certificate_file(text.value.trim(), &scope.dirs()) {
        Ok(path) => Some(path),
        Err(message) => {
            scope.cx.error(&text.place, format!("the file {message}"));
            None
        }
    }
}

fn check_host(scope: &Scope<'_>, text: &Text) -> bool {
    let host = text.value.trim();
    let plain = host.starts_with('/')
        || host.parse::<IpAddr>().is_ok()
        || host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !plain {
        let message = "is no host name, address or folder of a socket; a port belongs into postgres.port";
        scope.cx.error(&text.place, message);
    }
    plain
}

/// On this machine: loopback, or a Unix socket.
fn is_local(host: &str) -> bool {
    host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
