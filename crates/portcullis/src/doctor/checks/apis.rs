//! API routes: whether their upstreams answer, and to whom.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use http::{Method, Request, Response};
use portcullis_oidc::{HttpClient, HyperClient};
use url::Url;

use crate::config::{Access, ApiSettings, Settings};
use crate::doctor::finding::{Area, Finding};
use crate::doctor::problems;
use crate::doctor::token::Decoded;
use crate::doctor::words::tidy;
use crate::gateway::upstream;

const PATIENCE: Duration = Duration::from_secs(3);
const LIMIT: usize = 64 * 1024;
/// A page that nobody has: RFC 6761 s6.4.
const STRANGER: &str = "https://doctor.invalid";

/// One API. `token` is the one that the doctor was given, if any.
pub(crate) async fn api(
    settings: &Settings,
    name: &str,
    configured: &ApiSettings,
    token: Option<&Decoded>,
) -> Vec<Finding> {
    let mut area = Area::new(format!("api {name}"));
    rules(&mut area, settings, configured, token);
    other_origins(&mut area, settings, configured).await;
    let at = ["api", name, "upstream"];
    let client = match HyperClient::new() {
        Ok(client) => client.within(PATIENCE),
        Err(error) => {
            area.skipped("upstream", error.to_string());
            return area.into_findings();
        }
    };
    let asked = match asked(configured) {
        Ok(asked) => asked,
        Err(why) => {
            area.broken("upstream", &problems::UPSTREAM_AWAY, why).at(at);
            return area.into_findings();
        }
    };
    let begun = Instant::now();
    let answer = match preflight(&client, &asked, STRANGER).await {
        Ok(answer) => answer,
        Err(why) => {
            area.broken(
                "upstream",
                &problems::UPSTREAM_AWAY,
                format!("{}: {why}", configured.upstream),
            )
            .at(at);
            return area.into_findings();
        }
    };
    let (status, took) = (answer.status().as_u16(), begun.elapsed().as_millis());
    // 501 says that it does not know OPTIONS, which is no failure.
    match status {
        500 | 502..=599 => area
            .warning(
                "upstream",
                &problems::UPSTREAM_FAILS,
                format!("{}: status {status}", configured.upstream),
            )
            .at(at),
        _ => {
            area.fine(
                "upstream",
                format!("{} answers ({status}) in {took} ms", configured.upstream),
            );
            cors(&mut area, settings, &answer, at);
            return area.into_findings();
        }
    };
    area.into_findings()
}

/// The address that a call of the API's own path is sent on to.
fn asked(configured: &ApiSettings) -> Result<Url, String> {
    let upstream = upstream(configured).map_err(|error| error.to_string())?;
    upstream
        .url_of(&configured.path)
        .parse()
        .map_err(|error| format!("{}: {error}", configured.upstream))
}

/// Who may call, and whether the token is for it.
fn rules(area: &mut Area, settings: &Settings, configured: &ApiSettings, token: Option<&Decoded>) {
    let Access::Guarded(guarded) = &configured.access else {
        area.fine("access", "public: nothing is checked");
        return;
    };
    area.fine(
        "access",
        format!(
            "tokens of {} for {}",
            guarded.providers.join(" or "),
            guarded.audience.join(" or ")
        ),
    );
    let Some(token) = token.filter(|token| !token.claims.is_empty()) else {
        return;
    };
    let issued = guarded
        .providers
        .iter()
        .filter_map(|name| settings.providers.get(name))
        .any(|provider| {
            let tenant = |tenant: &String| provider.issuer.replace("{tenantid}", tenant) == token.issuer();
            provider.issuer == token.issuer() || provider.tenants.iter().any(tenant)
        });
    let meant = token
        .audiences()
        .iter()
        .any(|audience| guarded.audience.iter().any(|own| own == audience));
    let found = match (issued, meant) {
        (true, true) => {
            area.fine("token", "issuer and audience of the token fit");
            return;
        }
        (false, true) => "the token is of another issuer",
        (true, false) => "the token is for another audience",
        (false, false) => "the token is of another issuer and for another audience",
    };
    // Most tokens are for one API: that it is not for the others is as it should be.
    area.skipped("token", found);
}

/// What the gateway answers to the pages of other origins that a frontend lets in.
async fn other_origins(area: &mut Area, settings: &Settings, api: &ApiSettings) {
    for (frontend, configured) in &settings.frontends {
        for origin in &configured.cors {
            let mut url = configured.public_url.clone();
            url.set_path(&api.path);
            let answer = match HyperClient::new() {
                Ok(client) => preflight(&client.within(PATIENCE), &url, origin).await,
                Err(error) => Err(error.to_string()),
            };
            let allowed = |answer: &Response<Bytes>| {
                let allowed = answer.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
                allowed.is_some_and(|allowed| allowed.as_bytes() == origin.as_bytes())
            };
            match answer {
                Err(why) => area.skipped("cors", format!("{url} was not asked for {origin}: {why}")),
                Ok(answer) if allowed(&answer) => area.fine("cors", format!("{url} lets pages of {origin} in")),
                Ok(answer) => {
                    let found = format!(
                        "{url} answers {origin} with {} and no permission",
                        answer.status().as_u16()
                    );
                    area.warning("cors", &problems::CORS_ANSWER, found)
                        .at(["frontend", frontend, "cors"]);
                }
            }
        }
    }
}

/// What the upstream says to pages of another origin.
fn cors(area: &mut Area, settings: &Settings, answer: &Response<Bytes>, at: [&str; 3]) {
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let allowed = header(ACCESS_CONTROL_ALLOW_ORIGIN);
    let with_cookies = header(ACCESS_CONTROL_ALLOW_CREDENTIALS) == Some("true");
    match allowed {
        Some(origin) if origin == STRANGER && with_cookies => {
            area.warning(
                "cors",
                &problems::UPSTREAM_CORS,
                "it reflects any origin, with credentials",
            )
            .at(at);
        }
        Some(origin) => area.fine(
            "cors",
            format!(
                "the upstream allows {}; pages of {} need none",
                tidy(origin),
                origin_of(settings)
            ),
        ),
        None => area.fine(
            "cors",
            format!("pages of {} have the API's own origin", origin_of(settings)),
        ),
    }
}

fn origin_of(settings: &Settings) -> String {
    settings.server.public_url.origin().ascii_serialization()
}

/// The question that a browser asks before a page of `origin` may call (Fetch standard, CORS-preflight request).
async fn preflight(client: &HyperClient, url: &Url, origin: &str) -> Result<Response<Bytes>, String> {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(url.as_str())
        .header(ORIGIN, origin)
        .header(ACCESS_CONTROL_REQUEST_METHOD, "GET")
        .body(Bytes::new())
        .map_err(|error| error.to_string())?;
    client.send(request, LIMIT).await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_upstream_is_asked_where_calls_go() {
        let asked = |upstream: &str| {
            let text = format!(
                "[server]\npublic_url = \"http://127.0.0.1:8080\"\n[api.orders]\npath = \"/api/orders\"\n\
                 accept = [\"anyone\"]\nupstream = {upstream}"
            );
            let settings = crate::config::parse(&text, "t.toml", "/".as_ref(), &std::collections::BTreeMap::new());
            let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
            super::asked(&settings.apis["orders"]).unwrap().to_string()
        };
        assert_eq!(asked("\"http://127.0.0.1:5000\""), "http://127.0.0.1:5000/api/orders");
        assert_eq!(
            asked("\"http://127.0.0.1:5000/v1\""),
            "http://127.0.0.1:5000/v1/api/orders"
        );
        assert_eq!(
            asked("\"http://127.0.0.1:5000\"\nupstream_path = \"/v1\""),
            "http://127.0.0.1:5000/v1"
        );
    }
}
