//! URLs of a configuration, and the rule that tokens travel by https alone.

use std::net::IpAddr;

use url::{Host, Url};

use super::faults::FaultKind;
use super::kinds::text;
use super::reader::{Context, Item};
use crate::diagnostic::Diagnostic;

/// Where plain `http://` is allowed.
#[derive(Clone, Copy)]
pub(crate) enum PlainHttp<'a> {
    /// On loopback only.
    Loopback,
    /// On loopback, and to these hosts.
    Hosts(&'a [String]),
    /// Anywhere: no token goes there.
    Anywhere,
}

/// An absolute http(s) URL without user name, password or fragment.
pub(crate) fn url(cx: &Context<'_>, item: &Item<'_>, plain: PlainHttp<'_>) -> Option<(String, Url)> {
    let given = text(cx, item)?;
    match check(&given, item, plain) {
        Ok(url) => Some((given, url)),
        Err(fault) => {
            cx.push(*fault);
            None
        }
    }
}

/// A URL that names a server and nothing behind it.
pub(crate) fn origin(cx: &Context<'_>, item: &Item<'_>) -> Option<Url> {
    let (_, url) = url(cx, item, PlainHttp::Loopback)?;
    if url.path() != "/" || url.query().is_some() {
        let origin = url.origin().ascii_serialization();
        let message = format!("{} is more than an origin", item.what);
        let fault = FaultKind::InvalidUrl
            .says(message)
            .at(item.span.clone(), format!("write \"{origin}\""));
        cx.push(fault.expected("a scheme, a host and perhaps a port"));
        return None;
    }
    Some(url)
}

/// A server with a path at most: a query would be lost or doubled when a request is forwarded.
pub(crate) fn upstream(cx: &Context<'_>, item: &Item<'_>, plain: PlainHttp<'_>) -> Option<Url> {
    let (_, url) = url(cx, item, plain)?;
    if url.query().is_some() {
        cx.push(item.fault(
            FaultKind::InvalidUrl,
            format!("{} has a query", item.what),
            "leave out what follows the `?`",
        ));
        return None;
    }
    Some(url)
}

/// What identifies an API for its clients (RFC 9728 s1.2): on the public origin, inside the API's path. `place` is both,
/// where they are known.
pub(crate) fn resource_within(cx: &Context<'_>, item: &Item<'_>, place: Option<(&Url, &str)>) -> Option<String> {
    let (given, url) = url(cx, item, PlainHttp::Loopback)?;
    let (public_url, path) = place?;
    let origin = public_url.origin();
    let label = if url.query().is_some() || url.fragment().is_some() {
        "leave out what follows the path"
    } else if url.origin() != origin {
        "another origin than `public_url`"
    } else if !super::is_within(url.path(), path) {
        "outside of the API's `path`"
    } else {
        return Some(given);
    };
    let fault = FaultKind::InvalidUrl
        .says(format!("{} is not an address of this API", item.what))
        .at(item.span.clone(), label);
    let own = format!("{}{}", origin.ascii_serialization(), path.trim_end_matches('/'));
    cx.push(fault.expected(format!("\"{own}\", which is the default, or an address below it")));
    None
}

/// The place of a tenant in an issuer that is a template.
pub(crate) const TENANT: &str = "{tenantid}";

/// The issuer, as it was written: it is compared byte for byte.
pub(crate) fn issuer(cx: &Context<'_>, item: &Item<'_>) -> Option<(String, Url)> {
    let (given, url) = url(cx, item, PlainHttp::Loopback)?;
    if given.contains(['{', '}']) && (given.matches(TENANT).count() != 1 || given.matches(['{', '}']).count() != 2) {
        let message = format!("{} is no template that is known", item.what);
        let fault = item.fault(FaultKind::InvalidUrl, message, "has another place to fill in");
        cx.push(fault.help("a template has {tenantid} in it, once, as the discovery document of Entra shows it"));
        return None;
    }
    // OpenID Connect Discovery 1.0 s3: an issuer has no query and no fragment.
    if url.query().is_some() {
        cx.push(item.fault(
            FaultKind::InvalidUrl,
            format!("{} has a query", item.what),
            "an issuer has none",
        ));
        return None;
    }
    if let Some(issuer) = given.find("/.well-known/").and_then(|at| given.get(..at)) {
        let message = format!("{} is the address of a document", item.what);
        cx.push(item.fault(FaultKind::InvalidUrl, message, format!("write \"{issuer}\"")));
        return None;
    }
    Some((given, url))
}

/// `localhost`, 127.0.0.0/8 and ::1.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

fn check(given: &str, item: &Item<'_>, plain: PlainHttp<'_>) -> Result<Url, Box<Diagnostic>> {
    let invalid = |message: &str, label: &str| {
        Box::new(item.fault(FaultKind::InvalidUrl, format!("{} {message}", item.what), label))
    };
    if given.trim() != given || given.contains(char::is_whitespace) {
        return Err(invalid("has a space in it", ""));
    }
    if !given.contains("://") {
        let label = format!("write \"https://{}\"", given.trim_start_matches('/'));
        // What stands before an `@` may be a password.
        return Err(invalid(
            "is no URL",
            if given.contains([':', '@']) {
                "not https:// or http://"
            } else {
                &label
            },
        ));
    }
    let url = Url::parse(given).map_err(|error| invalid("is no URL", &error.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(invalid("has the wrong scheme", "not https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "has a user name or password in it",
            "leave out what stands before the `@`",
        ));
    }
    if url.fragment().is_some() {
        return Err(invalid("has a fragment", "leave out what follows the `#`"));
    }
    let allowed = match plain {
        PlainHttp::Anywhere => true,
        PlainHttp::Loopback => is_loopback(&url),
        PlainHttp::Hosts(hosts) => is_loopback(&url) || hosts.iter().any(|host| Some(host.as_str()) == url.host_str()),
    };
    if url.scheme() == "http" && !allowed {
        let fault = FaultKind::InsecureUrl
            .says(format!("{} is plain http to a host that is not loopback", item.what))
            .at(
                item.span.clone(),
                "who listens on the way could read and change what is sent",
            )
            .expected("https://, or http:// to localhost, 127.0.0.1 or [::1]");
        return Err(Box::new(match plain {
            PlainHttp::Hosts(_) => fault.help(format!(
                "calls carry tokens there; where that network is trusted, say so: [danger] dangerous_allow_plain_http_upstream_hosts = [{:?}]",
                url.host_str().unwrap_or_default()
            )),
            _ => fault.help("write https://"),
        }));
    }
    Ok(url)
}
