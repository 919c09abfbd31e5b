//! What every request must carry, and the order in which a lack is answered.
//!
//! The token is judged first: a caller who is nobody learns nothing else. `Accept` is required (391902, as real
//! accounts answer), `User-Agent` must be a product (RFC 7231), a `Content-Type` other than JSON is 415.

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, Method, StatusCode};

use crate::api::answers::Refusal;
use crate::auth::Identity;
use crate::state::Emulator;

/// Checks a request's headers; gives who is asking.
///
/// # Errors
/// The refusal to answer.
pub(crate) fn check(emulator: &Emulator, method: &Method, headers: &HeaderMap) -> Result<Identity, Refusal> {
    let identity = emulator.directory.authenticate(headers, emulator.clock.token_now_seconds())?;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if !accept.is_some_and(accepts_json) {
        let message = format!("Unsupported Accept header {} is specified.", accept.unwrap_or("null"));
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "391902", message));
    }
    if !headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).is_some_and(is_product) {
        let message = "The User-Agent header is missing or not of the form product/version.";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "391903", message));
    }
    // Without a Content-Type the payload is taken for JSON.
    let media_type = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    if *method == Method::POST && !media_type.is_none_or(is_json) {
        let message = "Unsupported Content-Type header is specified; application/json is the only one.";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "391904", message));
    }
    Ok(identity)
}

/// The client says that it can inflate gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|part| {
            let mut part = part.split(';').map(str::trim);
            part.next() == Some("gzip") && part.next() != Some("q=0")
        })
    })
}

fn accepts_json(accept: &str) -> bool {
    accept
        .split(',')
        .filter_map(|part| part.split(';').next())
        .any(|media| matches!(media.trim(), "application/json" | "application/*" | "*/*"))
}

fn is_json(media_type: &str) -> bool {
    media_type.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

/// RFC 7231, 5.5.3: a product token, optionally with `/version`.
fn is_product(agent: &str) -> bool {
    let token = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let first = agent.split(' ').next().unwrap_or_default();
    match first.split_once('/') {
        Some((product, version)) => token(product) && token(version),
        None => token(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents_are_products() {
        for good in ["thaw/0.1.0", "curl/8.5.0 (linux)", "app"] {
            assert!(is_product(good), "{good}");
        }
        for bad in ["", "/1", "a/", "(x)"] {
            assert!(!is_product(bad), "{bad}");
        }
    }

    #[test]
    fn accept_lists_are_understood() {
        assert!(accepts_json("text/html, application/json;q=0.9"));
        assert!(accepts_json("*/*"));
        assert!(!accepts_json("text/html"));
    }
}
