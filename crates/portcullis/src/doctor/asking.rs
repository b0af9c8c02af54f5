//! Asking a provider: the client that its configuration asks for, and the time by its clock.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::header::{ACCEPT, DATE};
use http::{HeaderMap, Response};
use portcullis_jose::{Clock, UnixTime};
use portcullis_oidc::{HttpClient, HttpsUrl, HyperClient};

use crate::config::ProviderSettings;
use crate::gateway::provider_settings;

/// A discovery document is bounded so in `portcullis-oidc` too.
pub(super) const LIMIT: usize = 512 * 1024;
/// How often a clock is asked: whoever answers slowly once is outvoted.
const SAMPLES: usize = 3;

/// A client that trusts what the provider's configuration trusts.
pub(super) fn client(provider: &ProviderSettings) -> Result<HyperClient, String> {
    let client = match &provider.ca_file {
        None => HyperClient::new().map_err(|error| error.to_string()),
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            HyperClient::with_ca(&pem).map_err(|error| format!("{}: {error}", path.display()))
        }
    };
    let told = provider_settings(&provider.issuer, provider).map_err(|error| error.to_string())?;
    Ok(client?.beside(&told.hosts()))
}

/// The address of the provider's discovery document.
pub(super) fn discovery(provider: &ProviderSettings) -> Result<HttpsUrl, String> {
    let base = provider
        .discovery
        .as_ref()
        .map_or(provider.issuer.as_str(), url::Url::as_str);
    let base = base.strip_suffix('/').unwrap_or(base);
    HttpsUrl::parse(&format!("{base}/.well-known/openid-configuration")).map_err(|error| error.to_string())
}

pub(super) async fn get(client: &HyperClient, url: &HttpsUrl) -> Result<Response<Bytes>, String> {
    let request = http::Request::get(url.as_str())
        .header(ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|error| error.to_string())?;
    client.send(request, LIMIT).await.map_err(|error| error.to_string())
}

/// By how many seconds our clock is ahead of the one that wrote the header `Date` (RFC 9110 s6.6.1).
pub(super) fn ahead(headers: &HeaderMap, now: UnixTime) -> Option<i64> {
    let date = headers.get(DATE)?.to_str().ok()?;
    let date = httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(now.since(UnixTime::from_secs(i64::try_from(date.as_secs()).ok()?)))
}

/// The middle one of several.
pub(super) fn median(mut samples: Vec<i64>) -> Option<i64> {
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied()
}

/// By how many seconds our clock is ahead of the provider's, where it says the time at all.
pub(crate) async fn clock_ahead(provider: &ProviderSettings, clock: &dyn Clock) -> Option<i64> {
    let (client, url) = (client(provider).ok()?, discovery(provider).ok()?);
    let mut samples = Vec::new();
    for _ in 0..SAMPLES {
        let answer = get(&client, &url).await.ok()?;
        samples.extend(ahead(answer.headers(), clock.now()));
    }
    median(samples)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_date_of_an_answer_tells_the_other_clock() {
        let mut headers = HeaderMap::new();
        let now = UnixTime::from_secs(784_111_777 + 90);
        assert_eq!(ahead(&headers, now), None);
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(ahead(&headers, now), Some(90));
        headers.insert(DATE, HeaderValue::from_static("yesterday"));
        assert_eq!(ahead(&headers, now), None);
    }

    #[test]
    fn one_slow_answer_does_not_count() {
        assert_eq!(median(vec![0, 9, 1]), Some(1));
        assert_eq!(median(vec![]), None);
    }
}
