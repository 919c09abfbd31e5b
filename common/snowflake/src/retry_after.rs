//! The `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// No server means more than an hour.
const LONGEST: Duration = Duration::from_secs(3600);

/// The wait that the server asks for. A date is read against the server's own `Date` header, for our clock is
/// nobody's.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let until = http_date(text)?;
            let now = http_date(headers.get(DATE)?.to_str().ok()?.trim())?;
            Duration::try_from(until - now).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(LONGEST))
}

fn http_date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(retry: &'static str, date: Option<&'static str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates_are_read_and_limited() {
        assert_eq!(read("3", None), Some(Duration::from_secs(3)));
        assert_eq!(read("0.5", None), Some(Duration::from_millis(500)));
        assert_eq!(read("86400", None), Some(LONGEST));
        let date = Some("Mon, 23 Nov 2026 19:00:00 GMT");
        assert_eq!(read("Mon, 23 Nov 2026 19:00:07 GMT", date), Some(Duration::from_secs(7)));
        assert_eq!(read("Mon, 23 Nov 2026 18:00:00 GMT", date), Some(Duration::ZERO));
    }

    #[test]
    fn what_cannot_be_read_is_ignored() {
        for text in ["soon", "-1", "NaN", "inf", ""] {
            assert_eq!(read(text, None), None, "{text}");
        }
        assert_eq!(read("Mon, 23 Nov 2026 19:00:07 GMT", None), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
