//! What kind of token it is, and by which sign.

use serde_json::Value;

use super::{Decoded, Form};

/// The kinds of token that get mixed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// RFC 9068.
    ProfiledAccess,
    /// A JWT that is an access token by its claims.
    Access,
    /// OpenID Connect Core 1.0 s2.
    Id,
    /// OpenID Connect Back-Channel Logout 1.0 s2.4.
    Logout,
    Refresh,
    /// RFC 9449 s4.2.
    DpopProof,
    /// RFC 7523 s2.2.
    ClientAssertion,
    /// RFC 8417.
    SecurityEvent,
    /// RFC 9701.
    Introspection,
    /// RFC 7516.
    Encrypted,
    /// Microsoft Graph's, whose signature only Graph can check.
    Graph,
    /// An answer to a SAML request.
    Saml,
    /// A key of another service, by its prefix.
    ForeignKey(&'static str),
    /// A JWT of no kind that is known.
    Jwt,
    /// A piece of a JWT.
    Fragment,
    Opaque,
}

/// Prefixes by which services mark what they issue.
const FOREIGN: [(&str, &str); 12] = [
    ("ghp_", "GitHub"),
    ("gho_", "GitHub"),
    ("ghs_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("glpat-", "GitLab"),
    ("xoxb-", "Slack"),
    ("xoxp-", "Slack"),
    ("sk_live_", "Stripe"),
    ("sk_test_", "Stripe"),
    ("AKIA", "AWS"),
    ("AIza", "Google"),
    ("ya29.", "Google"),
];

/// Microsoft Graph, by its name and by its identifier.
const GRAPH: [&str; 3] = [
    "https://graph.microsoft.com",
    "https://graph.microsoft.com/",
    "00000003-0000-0000-c000-000000000000",
];

// === impl Kind ===

impl Kind {
    /// The kind, and the sign that tells it.
    pub(crate) fn of(token: &Decoded) -> (Kind, String) {
        match token.form {
            Form::Jws => by_type(token).unwrap_or_else(|| by_claims(token)),
            Form::Jwe => (Kind::Encrypted, "it has five parts (RFC 7516)".to_owned()),
            Form::Fragment => (Kind::Fragment, "it begins as a JWT and has not three parts".to_owned()),
            Form::Opaque => opaque(token),
        }
    }

    /// In words.
    pub(crate) fn words(self) -> String {
        match self {
            Kind::ProfiledAccess => "an access token (RFC 9068)".to_owned(),
            Kind::Access => "an access token".to_owned(),
            Kind::Id => "an ID token".to_owned(),
            Kind::Logout => "a logout token".to_owned(),
            Kind::Refresh => "a refresh token".to_owned(),
            Kind::DpopProof => "a DPoP proof".to_owned(),
            Kind::ClientAssertion => "a client assertion".to_owned(),
            Kind::SecurityEvent => "a security event token".to_owned(),
            Kind::Introspection => "a signed introspection answer".to_owned(),
            Kind::Encrypted => "an encrypted token (JWE)".to_owned(),
            Kind::Graph => "an access token for Microsoft Graph".to_owned(),
            Kind::Saml => "a SAML answer".to_owned(),
            Kind::ForeignKey(whose) => format!("a key of {whose}"),
            Kind::Jwt => "a JWT of no kind that is known here".to_owned(),
            Kind::Fragment => "a piece of a JWT".to_owned(),
            Kind::Opaque => "an opaque token: it says nothing by itself".to_owned(),
        }
    }

    /// For programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::ProfiledAccess | Kind::Access => "access_token",
            Kind::Id => "id_token",
            Kind::Logout => "logout_token",
            Kind::Refresh => "refresh_token",
            Kind::DpopProof => "dpop_proof",
            Kind::ClientAssertion => "client_assertion",
            Kind::SecurityEvent => "security_event",
            Kind::Introspection => "introspection",
            Kind::Encrypted => "encrypted",
            Kind::Graph => "graph_access_token",
            Kind::Saml => "saml",
            Kind::ForeignKey(_) => "foreign_key",
            Kind::Jwt => "jwt",
            Kind::Fragment => "fragment",
            Kind::Opaque => "opaque",
        }
    }
}

/// RFC 8725 s3.11: a type that is said out loud decides.
fn by_type(token: &Decoded) -> Option<(Kind, String)> {
    let typ = token.header("typ")?;
    // RFC 7515 s4.1.9: `application/` may be left out.
    let lower = typ.to_ascii_lowercase();
    let kind = match lower.strip_prefix("application/").unwrap_or(&lower) {
        "at+jwt" => Kind::ProfiledAccess,
        "logout+jwt" => Kind::Logout,
        "dpop+jwt" => Kind::DpopProof,
        "secevent+jwt" => Kind::SecurityEvent,
        "token-introspection+jwt" => Kind::Introspection,
        "client-authentication+jwt" => Kind::ClientAssertion,
        _ => return None,
    };
    Some((kind, format!("its typ is {typ}")))
}

fn by_claims(token: &Decoded) -> (Kind, String) {
    let says = |kind: Kind, sign: &str| (kind, sign.to_owned());
    if token.header.contains_key("nonce") || token.audiences().iter().any(|audience| GRAPH.contains(audience)) {
        return says(
            Kind::Graph,
            "its header has a nonce, or its audience is Microsoft Graph",
        );
    }
    // Keycloak names the kind in a claim, Cognito in another.
    match token.str("typ").or_else(|| token.str("token_use")) {
        Some("Refresh" | "Offline") => return says(Kind::Refresh, "its claim typ says so"),
        Some("ID" | "id") => return says(Kind::Id, "its claim typ or token_use says so"),
        Some("Logout") => return says(Kind::Logout, "its claim typ says so"),
        Some("Bearer" | "DPoP" | "access") => return says(Kind::Access, "its claim typ or token_use says so"),
        _ => {}
    }
    if let Some(Value::Object(events)) = token.claims.get("events") {
        let logout = events.keys().any(|event| event.ends_with("backchannel-logout"));
        return match logout {
            true => says(Kind::Logout, "it has the event of a back-channel logout"),
            false => says(Kind::SecurityEvent, "it has events"),
        };
    }
    if ["htm", "htu"].iter().all(|name| token.has(name)) {
        return says(Kind::DpopProof, "it has htm and htu");
    }
    let access = ["scope", "scp", "client_id", "cid", "gty", "idtyp"];
    if let Some(sign) = ["nonce", "at_hash", "c_hash"].iter().find(|name| token.has(name)) {
        return (Kind::Id, format!("it has {sign}"));
    }
    if let Some(sign) = access.iter().find(|name| token.has(name)) {
        return (Kind::Access, format!("it has {sign}"));
    }
    if token.has("sub") && token.str("sub") == token.str("iss") {
        return says(Kind::ClientAssertion, "its subject is its issuer");
    }
    if token.has("roles") && token.has("appid") {
        return says(Kind::Access, "it has roles and appid");
    }
    if token.has("sub") && token.has("aud") && token.has("exp") {
        return match ["auth_time", "amr", "email", "name", "preferred_username"]
            .iter()
            .find(|name| token.has(name))
        {
            Some(sign) => (Kind::Id, format!("it has {sign} and neither scope nor client_id")),
            None => says(
                Kind::Jwt,
                "it has neither what marks an access token nor what marks an ID token",
            ),
        };
    }
    says(
        Kind::Jwt,
        "it has neither what marks an access token nor what marks an ID token",
    )
}

fn opaque(token: &Decoded) -> (Kind, String) {
    let opening = token.opening.as_str();
    if let Some((prefix, whose)) = FOREIGN.iter().find(|(prefix, _)| opening.starts_with(prefix)) {
        return (Kind::ForeignKey(whose), format!("it begins with {prefix}"));
    }
    // Base64 of `<saml`, `<?xml`.
    if ["PHNhbW", "PD94bW", "PFNBTU"]
        .iter()
        .any(|start| opening.starts_with(start))
    {
        return (Kind::Saml, "it is XML in base64".to_owned());
    }
    // Entra's refresh tokens: a version, a dot, and a long text.
    if ["0.A", "1.A", "M.C"].iter().any(|start| opening.starts_with(start)) && token.length > 300 {
        return (Kind::Refresh, "it looks like one of Entra ID".to_owned());
    }
    (Kind::Opaque, "it has no parts that could be read".to_owned())
}

#[cfg(test)]
mod tests {
    use portcullis_jose::base64url_encode;
    use serde_json::json;

    use super::*;

    fn kind(header: &Value, claims: &Value) -> Kind {
        let part = |value: &Value| base64url_encode(value.to_string().as_bytes());
        Kind::of(&Decoded::of(&format!("{}.{}.AAAA", part(header), part(claims)))).0
    }

    #[test]
    fn each_kind_is_known_by_its_sign() {
        let jwt = json!({"alg": "RS256", "typ": "JWT"});
        let typed = |typ: &str| json!({"alg": "RS256", "typ": typ});
        for (header, claims, expected) in [
            (typed("at+jwt"), json!({}), Kind::ProfiledAccess),
            (typed("application/at+JWT"), json!({}), Kind::ProfiledAccess),
            (typed("dpop+jwt"), json!({}), Kind::DpopProof),
            (typed("logout+jwt"), json!({}), Kind::Logout),
            (typed("secevent+jwt"), json!({}), Kind::SecurityEvent),
            (typed("token-introspection+jwt"), json!({}), Kind::Introspection),
            (typed("client-authentication+jwt"), json!({}), Kind::ClientAssertion),
            (jwt.clone(), json!({"scope": "a"}), Kind::Access),
            (jwt.clone(), json!({"scp": "a"}), Kind::Access),
            (jwt.clone(), json!({"typ": "Bearer"}), Kind::Access),
            (jwt.clone(), json!({"typ": "Refresh"}), Kind::Refresh),
            (jwt.clone(), json!({"typ": "Offline"}), Kind::Refresh),
            (jwt.clone(), json!({"typ": "ID", "scope": "a"}), Kind::Id),
            (jwt.clone(), json!({"token_use": "id"}), Kind::Id),
            (jwt.clone(), json!({"token_use": "access"}), Kind::Access),
            (jwt.clone(), json!({"nonce": "n", "sub": "s"}), Kind::Id),
            (
                jwt.clone(),
                json!({"sub": "s", "aud": "c", "exp": 1, "email": "e"}),
                Kind::Id,
            ),
            (
                jwt.clone(),
                json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
                Kind::Logout,
            ),
            (jwt.clone(), json!({"events": {"x": {}}}), Kind::SecurityEvent),
            (jwt.clone(), json!({"iss": "c", "sub": "c"}), Kind::ClientAssertion),
            (jwt.clone(), json!({"sub": "s"}), Kind::Jwt),
            (json!({"alg": "RS256", "nonce": "n"}), json!({"scp": "a"}), Kind::Graph),
            (
                jwt,
                json!({"aud": "https://graph.microsoft.com", "scp": "a"}),
                Kind::Graph,
            ),
        ] {
            assert_eq!(kind(&header, &claims), expected, "{header} {claims}");
        }
    }

    #[test]
    fn what_is_no_jwt_is_known_by_how_it_begins() {
        let long = |start: &str| format!("{start}{}", "x".repeat(400));
        for (text, expected) in [
            (long("ghp_"), Kind::ForeignKey("GitHub")),
            (long("PHNhbWxw"), Kind::Saml),
            (long("0.AVk"), Kind::Refresh),
            ("0.AVk0123456789".to_owned(), Kind::Opaque),
            (long("abc"), Kind::Opaque),
            ("eyJhbGciOiJFUzI1NiJ9.e30".to_owned(), Kind::Fragment),
            ("eyJhbGciOiJkaXIifQ..a.b.c".to_owned(), Kind::Encrypted),
        ] {
            assert_eq!(Kind::of(&Decoded::of(&text)).0, expected, "{text}");
        }
    }
}
