//! Clients: whether they may ask for tokens, and whether a login could come back.

use bytes::Bytes;
use http::header::LOCATION;
use http::{Request, Response, StatusCode};
use portcullis_jose::UnixTime;
use portcullis_oidc::login::LoginRequest;
use portcullis_oidc::{Client, HttpClient, ProviderError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::time::UNIX_EPOCH;
use url::Url;

use super::certificate::{SOON, first_end};
use crate::config::{ClientAuth, ClientSecret, ClientSettings, FrontendSettings, SecretSource, Settings};
use crate::doctor::finding::{Area, Finding};
use crate::doctor::token::Decoded;
use crate::doctor::words::{duration, relative, tidy};
use crate::doctor::{asking, problems};

/// The way that the client proves itself, and whether a token is given to it.
pub(crate) async fn client(
    name: &str,
    configured: &ClientSettings,
    client: &Client,
    auth_methods: Option<&[String]>,
    now: UnixTime,
) -> Vec<Finding> {
    let mut area = Area::new(format!("client {name}"));
    let method = method(&configured.auth);
    match auth_methods {
        None => area.skipped("method", "the provider's metadata could not be had"),
        Some(listed) if listed.iter().any(|listed| listed == method) => area.fine("method", method),
        Some(listed) => {
            area.warning("method", &problems::AUTH_METHOD, method)
                .expected(tidy(&listed.join(", ")))
                .at(["client", name, "auth"]);
        }
    }
    credentials(&mut area, name, &configured.auth, now);
    if matches!(configured.auth, ClientAuth::None) {
        area.skipped("credentials", "a public client has none to try");
        return area.into_findings();
    }
    if auth_methods.is_none() {
        area.skipped("credentials", "the provider could not be asked");
        return area.into_findings();
    }
    let at = ["client", name, "secret"];
    match client.client_credentials(&[], None).await {
        Ok(answer) => {
            let token = Decoded::of(answer.access_token.expose());
            let lives = answer.expires_in.map_or_else(|| "an unknown time".to_owned(), duration);
            let audiences = token.audiences().join(", ");
            let whom = if audiences.is_empty() {
                "no audience that can be read".to_owned()
            } else {
                audiences
            };
            area.fine("credentials", format!("a token for {}, for {lives}", tidy(&whom)));
        }
        Err(ProviderError::OAuth(error)) if error.error == "invalid_client" => {
            area.broken(
                "credentials",
                &problems::CLIENT_REFUSED,
                format!("status {}, invalid_client", error.status),
            )
            .at(at);
        }
        // RFC 6749 s5.2: the client was authenticated, and what it asked for is another matter.
        Err(ProviderError::OAuth(error)) => area.fine(
            "credentials",
            format!("accepted; a token of its own is not for it ({})", tidy(&error.error)),
        ),
        Err(error) => {
            area.broken("credentials", &problems::CLIENT_UNANSWERED, tidy(&error.to_string()))
                .at(at);
        }
    }
    area.into_findings()
}

/// How old each secret, key or certificate is, and when it ends, as far as that is known.
fn credentials(area: &mut Area, name: &str, auth: &ClientAuth, now: UnixTime) {
    let (word, secrets) = match auth {
        ClientAuth::Basic(secrets) | ClientAuth::Post(secrets) => ("secret", secrets),
        ClientAuth::PrivateKeyJwt { keys, .. } => ("key", keys),
        ClientAuth::Tls { cert, .. } => {
            let chain: Result<Vec<CertificateDer<'static>>, _> =
                CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
            let end = chain.ok().and_then(|chain| first_end(&chain));
            ends(area, name, "certificate", &cert.display().to_string(), end, now, true);
            return;
        }
        ClientAuth::OwnKeys(_) | ClientAuth::AssertionFile(_) | ClientAuth::None => return,
    };
    let alive = |secret: &&ClientSecret| secret.expires.is_none_or(|end| end > now);
    // While another is good, the end of one breaks nothing.
    let last = secrets.iter().filter(alive).count() <= 1;
    for secret in secrets {
        let age = age(&secret.source, now)
            .map(|age| format!(", {} old", duration(age)))
            .unwrap_or_default();
        ends(
            area,
            name,
            word,
            &format!("{}{age}", secret.source),
            secret.expires,
            now,
            last,
        );
    }
}

fn ends(
    area: &mut Area,
    name: &str,
    check: &'static str,
    what: &str,
    end: Option<UnixTime>,
    now: UnixTime,
    last: bool,
) {
    let at = ["client", name, "secret"];
    let Some(end) = end else {
        area.fine(check, format!("{what}; when it ends is not known"));
        return;
    };
    let told = format!(
        "{what}: ends {}, {}",
        relative(end, now),
        portcullis_audit::rfc3339(end)
    );
    match end.since(now) {
        left if left <= 0 && last => drop(area.broken(check, &problems::SECRET_ENDS, told).at(at)),
        left if left < SOON => drop(area.warning(check, &problems::SECRET_ENDS, told).at(at)),
        _ => area.fine(check, told),
    }
}

/// How long ago the file was written.
fn age(source: &SecretSource, now: UnixTime) -> Option<i64> {
    let SecretSource::File(path) = source else { return None };
    let written = std::fs::metadata(path)
        .ok()?
        .modified()
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    Some(
        now.since(UnixTime::from_secs(i64::try_from(written.as_secs()).ok()?))
            .max(0),
    )
}

/// The name of the method (OpenID Connect Core 1.0 s9).
fn method(auth: &ClientAuth) -> &'static str {
    match auth {
        ClientAuth::Basic(_) => "client_secret_basic",
        ClientAuth::Post(_) => "client_secret_post",
        ClientAuth::PrivateKeyJwt { .. } | ClientAuth::OwnKeys(_) | ClientAuth::AssertionFile(_) => "private_key_jwt",
        ClientAuth::Tls { self_signed: true, .. } => "self_signed_tls_client_auth",
        ClientAuth::Tls { .. } => "tls_client_auth",
        ClientAuth::None => "none",
    }
}

/// Asks for a login that nobody sees, and follows it nowhere: what the provider says to the address of return.
pub(crate) async fn login(
    settings: &Settings,
    name: &str,
    frontend: &FrontendSettings,
    client: &Client,
) -> Vec<Finding> {
    let mut area = Area::new(format!("frontend {name}"));
    let redirect = redirect_uri(frontend);
    let mut request = LoginRequest::new(&redirect, &frontend.scopes);
    request.resource = frontend.resource.as_deref();
    // OpenID Connect Core 1.0 s3.1.2.1: it comes back at once, with an error where nobody is signed in.
    request.prompt = Some("none");
    let provider = settings
        .clients
        .get(&frontend.client)
        .and_then(|client| settings.providers.get(&client.provider));
    let http = provider
        .ok_or_else(|| "there is no provider".to_owned())
        .and_then(asking::client);
    let begun = client.begin_login(&request).await;
    if let Err(ProviderError::OAuth(error)) = &begun {
        // RFC 9126 s2.3: a request that is pushed is refused there.
        area.broken("login", &problems::LOGIN_REFUSED, tidy(&error.error))
            .at(["frontend", name, "scopes"]);
        return area.into_findings();
    }
    let asked = match (begun, http) {
        (Ok((url, _)), Ok(http)) => match Request::get(url.as_str()).body(Bytes::new()) {
            Ok(request) => http
                .send(request, asking::LIMIT)
                .await
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        },
        (Err(error), _) => Err(error.to_string()),
        (_, Err(why)) => Err(why),
    };
    match asked {
        Err(why) => area.skipped(
            "redirect uri",
            format!("the provider could not be asked: {}", tidy(&why)),
        ),
        Ok(answer) => judge(&mut area, name, &redirect, &answer),
    }
    area.into_findings()
}

/// As the gateway makes it.
fn redirect_uri(frontend: &FrontendSettings) -> String {
    let origin = frontend.public_url.origin().ascii_serialization();
    format!("{origin}{}/bff/callback", frontend.path)
}

fn judge(area: &mut Area, name: &str, redirect: &str, answer: &Response<Bytes>) {
    let target = answer.headers().get(LOCATION).and_then(|target| target.to_str().ok());
    if let Some(error) = target.and_then(|target| error_at(redirect, target)) {
        match error.as_str() {
            // It came back to us, which it does to registered addresses alone (RFC 6749 s4.1.2.1).
            "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
                area.fine("redirect uri", redirect);
            }
            other => {
                area.fine("redirect uri", redirect);
                area.broken("login", &problems::LOGIN_REFUSED, tidy(other))
                    .at(["frontend", name, "scopes"]);
            }
        }
        return;
    }
    let body = String::from_utf8_lossy(answer.body());
    // Entra ID and Google say it on a page with status 200.
    let says = ["AADSTS50011", "redirect_uri_mismatch", "AADSTS500117"]
        .iter()
        .find(|code| body.contains(**code));
    let failed = answer.status().is_client_error() || answer.status().is_server_error();
    let elsewhere = target.is_some_and(|target| target.contains("error=") || target.contains("/error"));
    if let Some(code) = says {
        refused(area, name, redirect, code);
    } else if failed && answer.status() != StatusCode::TOO_MANY_REQUESTS {
        refused(area, name, redirect, &format!("status {}", answer.status().as_u16()));
    } else if elsewhere {
        refused(area, name, redirect, "it leads to a page with an error");
    } else {
        area.fine("redirect uri", format!("{redirect}: a login begins"));
    }
}

fn refused(area: &mut Area, name: &str, redirect: &str, why: &str) {
    area.broken("redirect uri", &problems::REDIRECT_UNREGISTERED, why)
        .expected(format!("{redirect} is registered"))
        .at(["frontend", name, "public_url"]);
}

/// The error that an answer carries back to the address of return.
fn error_at(redirect: &str, target: &str) -> Option<String> {
    let target = Url::parse(target).ok()?;
    let mut without = target.clone();
    without.set_query(None);
    without.set_fragment(None);
    if without.as_str() != redirect {
        return None;
    }
    let found = target
        .query_pairs()
        .find(|(name, _)| name == "error")
        .map(|(_, error)| error.into_owned());
    Some(found.unwrap_or_else(|| "login_required".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Outcome;

    const REDIRECT: &str = "https://app.example.com/bff/callback";

    fn outcome(status: u16, location: Option<&str>, body: &'static str) -> Vec<(&'static str, Outcome)> {
        let mut answer = Response::builder().status(status);
        if let Some(location) = location {
            answer = answer.header(LOCATION, location);
        }
        let mut area = Area::new("frontend");
        judge(
            &mut area,
            "shop",
            REDIRECT,
            &answer.body(Bytes::from_static(body.as_bytes())).unwrap(),
        );
        area.into_findings()
            .iter()
            .map(|finding| (finding.check, finding.outcome))
            .collect()
    }

    #[test]
    fn an_answer_tells_whether_the_address_of_return_is_registered() {
        let back = |error: &str| format!("{REDIRECT}?error={error}&state=x");
        let fine = vec![("redirect uri", Outcome::Fine)];
        let broken = vec![("redirect uri", Outcome::Broken)];
        assert_eq!(outcome(302, Some(&back("login_required")), ""), fine);
        assert_eq!(outcome(302, Some(&format!("{REDIRECT}?code=x")), ""), fine);
        assert_eq!(outcome(302, Some("https://login.example.com/sign-in"), ""), fine);
        assert_eq!(outcome(200, None, "<form>"), fine);
        assert_eq!(
            outcome(302, Some(&back("invalid_scope")), ""),
            [("redirect uri", Outcome::Fine), ("login", Outcome::Broken)]
        );
        assert_eq!(outcome(400, None, "Invalid parameter: redirect_uri"), broken);
        assert_eq!(outcome(200, None, "AADSTS50011: The redirect URI ..."), broken);
        assert_eq!(outcome(302, Some("https://login.example.com/error?x"), ""), broken);
        assert_eq!(
            outcome(302, Some("https://evil.example/bff/callback?error=login_required"), ""),
            broken
        );
    }
}
