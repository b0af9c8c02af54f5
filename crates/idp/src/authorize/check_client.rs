use std::sync::Arc;

use crate::config::{Client, GrantType};
use crate::form::Params;
use crate::pages::{PageError, Reason};
use crate::provider::Provider;

/// Who asks, and where the answer may go. Whatever is wrong here is told to the person, never to the URI.
pub(super) fn run<'p>(provider: &Provider, params: &'p Params) -> Result<(Arc<Client>, &'p str), PageError> {
    let refused = |reason| Err(PageError::new(reason));
    if params.repeats("client_id") || params.repeats("redirect_uri") {
        return refused(Reason::Repeated);
    }
    let Some(client) = params.get("client_id").and_then(|id| provider.registry.client(id)) else {
        return refused(Reason::UnknownClient);
    };
    if !client.may(GrantType::AuthorizationCode) {
        return refused(Reason::NoLogin);
    }
    // OpenID Connect Core s3.1.2.1: REQUIRED, also where one URI alone is registered.
    let Some(redirect_uri) = params.get("redirect_uri") else {
        return refused(Reason::NoRedirectUri);
    };
    if !client
        .redirect_uris
        .iter()
        .any(|registered| same_uri(registered, redirect_uri))
    {
        return refused(Reason::UnknownRedirectUri);
    }
    Ok((client, redirect_uri))
}

/// RFC 9700 s4.1.3: character by character. RFC 8252 s7.3: but for the port of a loopback IP address.
fn same_uri(registered: &str, given: &str) -> bool {
    registered == given
        || ["http://127.0.0.1", "http://[::1]"].iter().any(|origin| {
            let registered = registered.strip_prefix(origin).and_then(without_port);
            registered.is_some() && registered == given.strip_prefix(origin).and_then(without_port)
        })
}

/// What follows the port. `None` if what follows the address is neither a port nor a path or query.
fn without_port(rest: &str) -> Option<&str> {
    let rest = match rest.strip_prefix(':') {
        None => rest,
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (port, rest) = rest.split_at_checked(digits)?;
            port.parse::<u16>().ok()?;
            rest
        }
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_of_a_loopback_address_is_free() {
        let registered = "http://127.0.0.1:8080/cb?x=1";
        for good in [
            "http://127.0.0.1:8080/cb?x=1",
            "http://127.0.0.1:1/cb?x=1",
            "http://127.0.0.1/cb?x=1",
        ] {
            assert!(same_uri(registered, good), "{good}");
        }
        for bad in [
            "http://127.0.0.1:8080/cb",
            "http://127.0.0.1:8080/cb?x=1&y=2",
            "http://127.0.0.1:8080/cb/../evil?x=1",
            "http://127.0.0.1:8080/CB?x=1",
            "http://127.0.0.1@evil.example/cb?x=1",
            "http://127.0.0.1:80@evil.example/cb?x=1",
            "http://127.0.0.1:99999/cb?x=1",
            "http://127.0.0.1.evil.example/cb?x=1",
            "http://127.0.0.1:/cb?x=1",
            "http://localhost:8080/cb?x=1",
            "https://127.0.0.1:8080/cb?x=1",
            "http://[::1]:8080/cb?x=1",
        ] {
            assert!(!same_uri(registered, bad), "{bad}");
        }
    }

    #[test]
    fn other_uris_are_compared_exactly() {
        assert!(same_uri("https://app.example/cb", "https://app.example/cb"));
        for bad in [
            "https://app.example/cb/",
            "https://app.example:443/cb",
            "https://app.example/cb?a",
            "https://APP.example/cb",
        ] {
            assert!(!same_uri("https://app.example/cb", bad), "{bad}");
        }
        assert!(!same_uri("http://localhost:1/cb", "http://localhost:2/cb"));
        assert!(same_uri("http://[::1]:1/cb", "http://[::1]:2/cb"));
    }
}
