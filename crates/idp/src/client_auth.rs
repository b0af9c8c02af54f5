use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use portcullis_jose::{constant_time_eq, sha256};

use crate::config::Client;
use crate::form::Params;
use crate::oauth_error::OAuthError;
use crate::provider::Provider;

/// The client that a request to the token, revocation or introspection endpoint comes from.
///
/// `client_secret_basic`, `client_secret_post`, or, for a public client, its `client_id` alone (RFC 6749 s2.3.1).
pub(crate) fn authenticate<'a>(
    provider: &'a Provider,
    headers: &HeaderMap,
    form: &Params,
) -> Result<&'a Client, OAuthError> {
    let basic = basic_credentials(headers)?;
    let posted_id = form.get("client_id");
    let (client_id, secret) = match (&basic, form.get("client_secret")) {
        // RFC 6749 s2.3: not more than one method in a request.
        (Some(_), Some(_)) => return Err(OAuthError::invalid_request("the client is authenticated in two ways")),
        (Some((id, _)), None) if posted_id.is_some_and(|posted| posted != id) => {
            return Err(OAuthError::invalid_request(
                "client_id is not the client that is authenticated",
            ));
        }
        (Some((id, secret)), None) => (id.as_str(), Some(secret.as_str())),
        (None, secret) => (posted_id.ok_or_else(OAuthError::invalid_client)?, secret),
    };
    let client = provider.registry.client(client_id);
    let expected = client.and_then(|client| client.secret.as_ref());
    // Digests have one length, so that the comparison tells nothing; an unknown client costs the same.
    let given = sha256(secret.unwrap_or_default().as_bytes());
    let matches = constant_time_eq(
        &given,
        &sha256(expected.map_or("", |expected| expected.expose()).as_bytes()),
    );
    match (client, expected, secret) {
        (Some(client), Some(_), Some(_)) if matches => Ok(client),
        (Some(client), None, None) => Ok(client),
        _ => Err(OAuthError::invalid_client()),
    }
}

fn basic_credentials(headers: &HeaderMap) -> Result<Option<(String, String)>, OAuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(OAuthError::invalid_request("there are two Authorization headers"));
    }
    let decoded = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Basic"))
        .and_then(|(_, credentials)| STANDARD.decode(credentials.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let decoded = decoded.ok_or_else(OAuthError::invalid_client)?;
    let (id, secret) = decoded.split_once(':').ok_or_else(OAuthError::invalid_client)?;
    // RFC 6749 s2.3.1: both are form-urlencoded first.
    Ok(Some((form_decode(id), form_decode(secret))))
}

fn form_decode(text: &str) -> String {
    // `=` and `&` separate pairs, so they are put out of the way; everything else is decoded as in a form.
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(key, _)| key.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_form_decoded() {
        for (encoded, plain) in [
            ("a%20b", "a b"),
            ("a+b", "a b"),
            ("a%2Bb", "a+b"),
            ("p%3A%25", "p:%"),
            ("a=b&c", "a=b&c"),
            ("", ""),
        ] {
            assert_eq!(form_decode(encoded), plain, "{encoded}");
        }
    }
}
