use std::collections::BTreeSet;

use crate::config::{Client, IDENTITY_SCOPES, Registry};
use crate::oauth_error::OAuthError;

/// Whom an access token is for, and the scopes that make sense there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) audience: String,
    pub(crate) scopes: BTreeSet<String>,
}

/// Finds the one audience of a token.
///
/// `asked` is the `resource` of the token request, `authorized` those of the authorization request (RFC 8707 s2.1,
/// s2.2). Without either it is the API that the scopes belong to, else the client's default, else the issuer itself.
pub(super) fn target(
    registry: &Registry,
    issuer: &str,
    client: &Client,
    granted: &BTreeSet<String>,
    authorized: &[String],
    asked: Option<&str>,
) -> Result<Target, OAuthError> {
    let audience = match asked {
        Some(asked) if !authorized.is_empty() && !authorized.iter().any(|resource| resource == asked) => {
            return Err(invalid_target("resource was not part of the authorization"));
        }
        Some(asked) if registry.api(asked).is_none() => {
            return Err(invalid_target("resource is no API of this provider"));
        }
        Some(asked) => asked,
        None => match authorized.first() {
            Some(first) => first,
            None => by_scopes(registry, issuer, client, granted)?,
        },
    };
    // RFC 8707 s2.2: the token has the scopes that make sense at its resource.
    let fits = |scope: &str| {
        IDENTITY_SCOPES.contains(&scope) || registry.owner(scope).is_none_or(|owner| owner.audience == audience)
    };
    let scopes = granted.iter().filter(|scope| fits(scope)).cloned().collect();
    Ok(Target {
        audience: audience.to_owned(),
        scopes,
    })
}

fn by_scopes<'a>(
    registry: &'a Registry,
    issuer: &'a str,
    client: &'a Client,
    granted: &BTreeSet<String>,
) -> Result<&'a str, OAuthError> {
    let owners: BTreeSet<&str> = granted
        .iter()
        .filter_map(|scope| registry.owner(scope))
        .map(|api| api.audience.as_str())
        .collect();
    let default = client.audience.as_deref();
    match (owners.len(), owners.first()) {
        (1, Some(owner)) => Ok(owner),
        (0, _) => Ok(default.unwrap_or(issuer)),
        // RFC 9068 s3: scopes of several resources do not make one token.
        _ => default.filter(|default| owners.contains(default)).ok_or_else(|| {
            OAuthError::invalid_scope(
                "the scopes belong to several APIs; ask for those of one, or name it with resource",
            )
        }),
    }
}

fn invalid_target(description: &'static str) -> OAuthError {
    OAuthError::new("invalid_target", description)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Api;

    fn set(scopes: &[&str]) -> BTreeSet<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    fn find(
        default: Option<&str>,
        scopes: &[&str],
        authorized: &[&str],
        asked: Option<&str>,
    ) -> Result<(String, String), String> {
        let apis = vec![
            Api {
                audience: "api://a".into(),
                scopes: vec!["a.read".into(), "a.write".into()],
            },
            Api {
                audience: "api://b".into(),
                scopes: vec!["b.read".into()],
            },
        ];
        let registry = Registry::new(&[], &[], apis);
        let client = Client {
            audience: default.map(str::to_owned),
            ..Client::default()
        };
        let authorized: Vec<String> = authorized.iter().map(|text| (*text).to_owned()).collect();
        target(&registry, "http://idp", &client, &set(scopes), &authorized, asked)
            .map(|target| (target.audience, super::super::scope_text(&target.scopes)))
            .map_err(|error| error.error.into_owned())
    }

    fn ok(audience: &str, scopes: &str) -> Result<(String, String), String> {
        Ok((audience.into(), scopes.into()))
    }

    #[test]
    fn scopes_name_the_audience() {
        assert_eq!(
            find(None, &["openid", "a.read"], &[], None),
            ok("api://a", "a.read openid")
        );
        assert_eq!(find(Some("api://b"), &["a.read"], &[], None), ok("api://a", "a.read"));
        assert_eq!(find(Some("api://b"), &["openid"], &[], None), ok("api://b", "openid"));
        assert_eq!(find(None, &["openid"], &[], None), ok("http://idp", "openid"));
    }

    #[test]
    fn several_apis_need_a_choice() {
        assert_eq!(
            find(None, &["a.read", "b.read"], &[], None),
            Err("invalid_scope".into())
        );
        assert_eq!(
            find(Some("api://b"), &["a.read", "b.read"], &[], None),
            ok("api://b", "b.read")
        );
        assert_eq!(
            find(None, &["a.read", "b.read", "openid"], &[], Some("api://b")),
            ok("api://b", "b.read openid")
        );
    }

    #[test]
    fn a_resource_is_authorized_and_known() {
        assert_eq!(
            find(None, &["a.read", "b.read"], &["api://b"], None),
            ok("api://b", "b.read")
        );
        assert_eq!(
            find(None, &["a.read", "b.read"], &["api://b", "api://a"], Some("api://a")),
            ok("api://a", "a.read")
        );
        assert_eq!(
            find(None, &["a.read"], &["api://b"], Some("api://a")),
            Err("invalid_target".into())
        );
        assert_eq!(
            find(None, &["a.read"], &[], Some("api://c")),
            Err("invalid_target".into())
        );
    }
}
