use form_urlencoded::parse;
use portcullis_audit::Refused;
use url::Url;

const MAX_LENGTH: usize = 2048;

/// Where a login goes back to: `return_to` of the query, a local path or one of the `allowed` URLs; `/` without one.
pub(crate) fn from_query(query: Option<&str>, public_url: &Url, allowed: &[String]) -> Result<String, Refused> {
    let mut values = parse(query.unwrap_or_default().as_bytes()).filter(|(name, _)| name == "return_to");
    let Some((_, path)) = values.next() else {
        return Ok("/".into());
    };
    if values.next().is_some() {
        return Err(Refused::new("login.duplicate_parameter").found("return_to"));
    }
    if is_local(&path, public_url) || allowed.iter().any(|url| *url == path) {
        return Ok(path.into_owned());
    }
    Err(Refused::new("login.return_path_refused")
        .expected("a path of this app, such as /orders")
        .found(path))
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

    fn check(encoded: &str) -> Result<String, &'static str> {
        let url = Url::parse("https://app.example").unwrap();
        from_query(
            Some(&format!("return_to={encoded}")),
            &url,
            &["https://docs.example/start".into()],
        )
        .map_err(|refused| refused.code)
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
            let encoded: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
            assert_eq!(check(&encoded).as_deref(), Ok(path));
        }
        assert_eq!(
            from_query(None, &Url::parse("https://app.example").unwrap(), &[]).unwrap(),
            "/"
        );
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
            let encoded: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
            let result = check(&encoded);
            // %09 in the path itself stays on this origin when it is encoded twice; it is a path of ours then.
            if path == "/%09/evil.example" {
                assert!(result.is_ok());
            } else {
                assert_eq!(result, Err("login.return_path_refused"), "{path:?}");
            }
        }
        assert!(check(&"/a".repeat(2000)).is_err());
        let url = Url::parse("https://app.example").unwrap();
        assert_eq!(
            from_query(Some("return_to=/a&return_to=/b"), &url, &[])
                .unwrap_err()
                .code,
            "login.duplicate_parameter"
        );
    }
}
