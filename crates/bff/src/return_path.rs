use portcullis_audit::Refused;
use url::Url;

use crate::FrontendSettings;

const MAX_LENGTH: usize = 2048;

/// Where a login goes back to: a local path, or one of the URLs that the configuration lists.
pub(crate) fn check(path: &str, settings: &FrontendSettings) -> Result<String, Refused> {
    if is_local(path, &settings.public_url) || settings.return_to.iter().any(|url| url == path) {
        return Ok(path.to_owned());
    }
    Err(Refused::new("login.return_path_refused")
        .expected("a path of this app, such as /orders")
        .found(path))
}

/// The same for a whole URL, as a third party names it (OpenID Connect Core 1.0 s4): of our own origin, its path.
pub(crate) fn check_link(link: &str, settings: &FrontendSettings) -> Result<String, Refused> {
    let own = link.strip_prefix(&settings.origin()).map(|rest| match rest {
        "" => "/",
        rest => rest,
    });
    check(own.unwrap_or(link), settings)
}

/// A path of this origin and nothing that any browser could take for another one.
fn is_local(path: &str, public_url: &Url) -> bool {
    let mut bytes = path.bytes();
    let slash = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
    let plain = path.len() <= MAX_LENGTH && path.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    // As a browser resolves it (WHATWG URL): still our origin, and the same path.
    let ours = public_url
        .join(path)
        .is_ok_and(|url| url.origin() == public_url.origin() && !url.path().starts_with("//"));
    slash && plain && ours
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> Url {
        Url::parse("https://app.example").unwrap()
    }

    #[test]
    fn local_paths_pass() {
        for path in [
            "/",
            "/orders",
            "/orders?page=2&x=%25",
            "/a/b#part",
            "/.well-known/x",
            "/@user",
        ] {
            assert!(is_local(path, &app()), "{path}");
        }
    }

    #[test]
    fn anything_that_leads_elsewhere_is_refused() {
        for path in [
            "",
            "orders",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/%09/evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "/\n//evil.example",
            "/./\\/evil.example",
            "/..//evil.example",
            "/.//evil.example",
            "/\u{2215}evil.example",
            " /x",
            "/ x",
            "/\u{0}",
            "https://app.example.evil.example/",
            "https://app.example@evil.example/",
            "?x",
            "#x",
        ] {
            // A tab that is encoded once more than the query needs is a path of ours.
            assert_eq!(is_local(path, &app()), path == "/%09/evil.example", "{path:?}");
        }
        assert!(!is_local(&"/a".repeat(2000), &app()));
    }
}
