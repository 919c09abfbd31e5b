//! Account identifiers: in a host name, and in a token.
//!
//! Sources: docs.snowflake.com/en/user-guide/admin-account-identifier and the sample clients of
//! docs.snowflake.com/en/developer-guide/sql-api/authenticating.

use url::Url;

use crate::error::SnowflakeError;

/// `https://<account>.snowflakecomputing.com`, or the url that the configuration names. The account becomes part
/// of a host name, so other characters than a host name's are refused.
pub(crate) fn base_url(account: &str, url: Option<&str>) -> Result<Url, SnowflakeError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = account.as_bytes();
    if !bytes.iter().copied().all(fits) || !edge(bytes.first()) || !edge(bytes.last()) {
        return Err(SnowflakeError::InvalidAccount(account.to_owned()));
    }
    let Some(text) = url else {
        // TLS certificates do not cover underscores; Snowflake serves the name with dashes too.
        let host = account.replace('_', "-").to_ascii_lowercase();
        let text = format!("https://{host}.snowflakecomputing.com/");
        return Url::parse(&text).map_err(|_| SnowflakeError::InvalidAccount(account.to_owned()));
    };
    let invalid = || SnowflakeError::InvalidUrl(without_userinfo(text));
    let url = Url::parse(text).map_err(|_| invalid())?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(invalid());
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err(SnowflakeError::InsecureUrl(text.to_owned())),
        _ => Err(invalid()),
    }
}

/// Whether the url's host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The account's part of a token's issuer and subject: upper case; a locator without its region and cloud, an
/// account of `.global` without what follows its first dash; `org.account` written `org-account`.
pub(crate) fn token_account(account: &str) -> String {
    let upper = account.to_ascii_uppercase();
    if let Some((name, rest)) = upper.split_once('.') {
        if rest.split('.').any(|part| part == "GLOBAL") {
            return name.split('-').next().unwrap_or(name).to_owned();
        }
        if is_region(rest) {
            return name.to_owned();
        }
        return format!("{name}-{rest}");
    }
    upper
}

/// What follows a locator: `us-east-1`, `us-east-1.aws`, `eu-central-1.privatelink`. Regions have a dash; the
/// second part of `org.account` cannot, for account names have none.
fn is_region(rest: &str) -> bool {
    let mut parts = rest.split('.');
    let first = parts.next().unwrap_or_default();
    first.contains('-') || parts.next().is_some() || first == "PRIVATELINK"
}

fn without_userinfo(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_the_account_without_region() {
        for (account, expected) in [
            ("xy12345", "XY12345"),
            ("xy12345.us-east-1", "XY12345"),
            ("xy12345.us-east-1.aws", "XY12345"),
            ("xy12345.east-us-2.azure", "XY12345"),
            ("xy12345.eu-central-1.privatelink", "XY12345"),
            ("xy12345.privatelink", "XY12345"),
            ("myorg-account123", "MYORG-ACCOUNT123"),
            ("myorg-my_account", "MYORG-MY_ACCOUNT"),
            ("myorg.account123", "MYORG-ACCOUNT123"),
            ("acct-ext1234.global", "ACCT"),
            ("acct-ext1234.global.snowflake", "ACCT"),
        ] {
            assert_eq!(token_account(account), expected, "{account}");
        }
    }

    #[test]
    fn the_address_comes_from_the_account_unless_a_url_is_given() {
        let url = |account, url| base_url(account, url).map(String::from);
        assert_eq!(url("MyOrg-My_Acct", None).unwrap(), "https://myorg-my-acct.snowflakecomputing.com/");
        assert_eq!(url("a", Some("http://127.0.0.1:8084")).unwrap(), "http://127.0.0.1:8084/");
        assert_eq!(url("a", Some("http://[::1]:1/")).unwrap(), "http://[::1]:1/");
        assert_eq!(url("a", Some("https://proxy.example")).unwrap(), "https://proxy.example/");
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for text in ["http://example.com", "http://10.0.0.1", "http://localhost.example.com"] {
            assert!(matches!(base_url("a", Some(text)), Err(SnowflakeError::InsecureUrl(_))), "{text}");
        }
        for text in ["ftp://localhost", "example.com", "https://user:secret@example.com"] {
            let error = base_url("a", Some(text)).unwrap_err();
            assert!(matches!(error, SnowflakeError::InvalidUrl(_)), "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn an_account_cannot_take_over_the_host() {
        for account in ["", "evil.com/", "evil.com#", "a b", "a@b", ".a", "a-"] {
            assert!(matches!(base_url(account, None), Err(SnowflakeError::InvalidAccount(_))), "{account}");
        }
    }
}
