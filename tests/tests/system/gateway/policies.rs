//! Who may do what: persons, services, methods and paths.

use portcullis_idp::{Defect, Mint, RotateHow};
use portcullis_jose::Secret;
use portcullis_oidc::{Client, ClientAuth, Provider, TokenSource};

use super::{AUDIENCE, Gate};

async fn token_of_a_service(gate: &Gate) -> String {
    let provider = Provider::discover(gate.idp.issuer()).unwrap();
    let client = Client::new(
        provider,
        "nightly",
        ClientAuth::Basic(Secret::new("the-secret-of-nightly")),
    );
    let source = TokenSource::client_credentials(client)
        .scope("orders.read")
        .resource(AUDIENCE);
    source.token().await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_policy_tells_a_service_from_a_person() {
    let gate = Gate::start().await;
    let (service, person) = (token_of_a_service(&gate).await, gate.token());
    for (target, token, allowed) in [
        ("/api/orders/nightly", &service, true),
        ("/api/orders/nightly", &person, false),
        ("/api/orders/mine", &service, false),
        ("/api/orders/mine", &person, true),
        ("/api/orders", &service, true),
        ("/api/orders", &person, true),
    ] {
        let hits = gate.upstream.hits();
        let reply = gate.bearer("GET", target, token).await;
        if allowed {
            assert_eq!((reply.status, gate.upstream.hits()), (200, hits + 1), "{target}");
            let event = gate.audit.recent(0).last().unwrap().json().to_owned();
            assert!(
                event.contains("\"client\":\"nightly\"") || event.contains("\"subject\":\"alice\""),
                "{event}"
            );
        } else {
            assert_eq!((reply.status, gate.upstream.hits()), (403, hits), "{target}");
            assert_eq!(gate.last_code(), "policy.kind_mismatch", "{target}");
        }
    }
    // A session is a person's.
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    assert_eq!(gate.call("GET", "/api/orders/mine", &headers).await.status, 200);
    assert_eq!(gate.call("GET", "/api/orders/nightly", &headers).await.status, 403);
    assert_eq!(gate.last_code(), "policy.kind_mismatch");
}

#[tokio::test]
async fn methods_and_paths_have_policies_of_their_own() {
    let gate = Gate::start().await;
    let reader = token_of_a_service(&gate).await;
    assert_eq!(gate.bearer("GET", "/api/orders", &reader).await.status, 200);
    assert_eq!(gate.bearer("HEAD", "/api/orders", &reader).await.status, 200);
    let hits = gate.upstream.hits();
    for (method, target, scope) in [
        ("POST", "/api/orders", "orders.write"),
        ("POST", "/api/orders/7", "orders.write"),
        ("GET", "/api/orders/report", "orders.admin"),
        ("POST", "/api/orders/report/", "orders.admin"),
    ] {
        let reply = gate.bearer(method, target, &reader).await;
        let challenge = reply.header("www-authenticate");
        assert_eq!(reply.problem(), (403, "insufficient_scope".into()), "{method} {target}");
        assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
        assert!(challenge.contains(&format!("scope=\"{scope}\"")), "{challenge}");
        assert_eq!(gate.last_code(), "policy.scope_insufficient");
    }
    assert_eq!(gate.upstream.hits(), hits);
    assert_eq!(gate.bearer("POST", "/api/orders", &gate.token()).await.status, 200);
}

#[tokio::test]
async fn no_defect_reaches_the_upstream_and_a_good_token_still_does() {
    let gate = Gate::start().await;
    for defect in [
        Defect::WrongAudience,
        Defect::WrongIssuer,
        Defect::Expired,
        Defect::NotYetValid,
        Defect::IssuedInFuture,
        Defect::BadSignature,
        Defect::AlteredClaims,
        Defect::UnknownKid,
        Defect::AlgNone,
        Defect::MissingScope,
        Defect::WrongType,
        Defect::IdTokenAsAccessToken,
        Defect::MissingExpiry,
        Defect::MissingAudience,
        Defect::MissingSubject,
    ] {
        let order = Mint {
            user: Some("alice".into()),
            client: Some("web".into()),
            defect: Some(defect),
            ..Mint::default()
        };
        let token = gate.idp.control().mint(&order).unwrap();
        let status = gate.bearer("GET", "/api/orders", &token).await.status;
        assert_eq!(
            status,
            if defect == Defect::MissingScope { 403 } else { 401 },
            "{defect:?}"
        );
        // Twice: a refusal that is remembered is still one.
        assert_eq!(
            gate.bearer("GET", "/api/orders", &token).await.status,
            status,
            "{defect:?}"
        );
        assert_eq!(gate.upstream.hits(), 0, "{defect:?}");
    }
    assert_eq!(gate.bearer("GET", "/api/orders", &gate.token()).await.status, 200);
}

#[tokio::test]
async fn a_token_that_is_known_good_ends_with_its_time_and_its_key() {
    let gate = Gate::start().await;
    let token = gate.token();
    assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 200);
    gate.clock.advance(400);
    assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 401);
    assert_eq!(gate.last_code(), "token.expired");

    // Known as good on one route, it is asked about anew on another.
    let token = gate.token();
    assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 200);
    assert_eq!(gate.bearer("GET", "/api/orders/report", &token).await.status, 403);

    // A key that was stolen is dropped: a token of the new key brings the news, and the old one is over.
    let mut token = token;
    for (how, code) in [
        (RotateHow::DropOld, "keys.unknown_kid"),
        (RotateHow::SameName, "token.signature_invalid"),
    ] {
        // The last one was looked for in vain: the next may be looked for after a while.
        gate.clock.advance(30);
        gate.idp.control().rotate_keys(how).unwrap();
        let new = gate.token();
        assert_eq!(gate.bearer("GET", "/api/orders", &new).await.status, 200, "{how:?}");
        assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 401, "{how:?}");
        assert_eq!(gate.last_code(), code);
        token = new;
    }
}

#[tokio::test]
async fn a_path_that_no_policy_is_about_is_refused() {
    let gate = Gate::start().await;
    let token = gate.token();
    for (method, target, status, code) in [
        ("GET", "/api/shelf/7", 200, ""),
        ("HEAD", "/API/Shelf/7/", 200, ""),
        ("GET", "/api/shelf/a%20b", 200, ""),
        ("PUT", "/api/shelf/files/a/b", 200, ""),
        ("GET", "/api/shelf/7/lines", 403, "policy.scope_insufficient"),
        ("DELETE", "/api/shelf/7/Lines/", 403, "policy.scope_insufficient"),
        ("POST", "/api/shelf/7", 405, "route.method_not_allowed"),
        ("GET", "/api/shelf", 403, "route.no_policy"),
        ("GET", "/api/shelf/", 403, "route.no_policy"),
        ("GET", "/api/shelf/7/lines/1", 403, "route.no_policy"),
        ("GET", "/api/shelf/7/other", 403, "route.no_policy"),
        ("GET", "/api/shelf/7//lines", 403, "policy.scope_insufficient"),
        ("GET", "/api/shelf/7/%6Cines", 403, "policy.scope_insufficient"),
        ("GET", "/api/shelf/x/../7", 400, "path.not_canonical"),
        ("GET", "/api/shelf/7%2flines", 400, "path.not_canonical"),
    ] {
        let hits = gate.upstream.hits();
        let reply = gate.bearer(method, target, &token).await;
        assert_eq!(reply.status, status, "{method} {target}");
        let reached = usize::from(status == 200);
        assert_eq!(gate.upstream.hits(), hits + reached, "{method} {target}");
        if status != 200 {
            assert_eq!(gate.last_code(), code, "{method} {target}");
        }
        if status == 405 {
            assert_eq!(reply.header("allow"), "GET, HEAD");
        }
        if code == "route.no_policy" {
            assert_eq!(reply.problem(), (403, "route.no_policy".into()));
        }
    }
    // Who brings no token learns nothing of it.
    for target in ["/api/shelf", "/api/shelf/7", "/api/shelf/7/other"] {
        assert_eq!(gate.call("GET", target, &[]).await.status, 401, "{target}");
    }
    // A session's token is judged alike.
    let browser = gate.sign_in().await;
    let cookie = gate.cookie(&browser);
    let headers = [("Cookie", cookie.as_str()), ("X-CSRF", "1")];
    assert_eq!(gate.call("GET", "/api/shelf/7", &headers).await.status, 200);
    assert_eq!(gate.call("GET", "/api/shelf/7/other", &headers).await.status, 403);
    assert_eq!(gate.last_code(), "route.no_policy");
}

#[tokio::test]
async fn an_authentication_that_is_too_old_or_too_weak_asks_for_another() {
    let gate = Gate::start().await;
    let token = gate.token();
    assert_eq!(gate.bearer("GET", "/api/shelf/fresh", &token).await.status, 200);

    let reply = gate.bearer("GET", "/api/shelf/strong", &token).await;
    let challenge = reply.header("www-authenticate");
    assert_eq!(reply.problem(), (401, "insufficient_user_authentication".into()));
    assert!(
        challenge.contains(concat!(
            r#"error="insufficient_user_authentication", "#,
            r#"error_description="A different authentication level is required.", "#,
            r#"acr_values="urn:example:mfa urn:example:key", max_age="60""#
        )),
        "{challenge}"
    );
    assert_eq!(gate.last_code(), "policy.acr_insufficient");

    gate.clock.advance(61);
    let reply = gate.bearer("GET", "/api/shelf/fresh", &token).await;
    let challenge = reply.header("www-authenticate");
    assert_eq!(reply.problem(), (401, "insufficient_user_authentication".into()));
    assert!(challenge.contains(r#", max_age="60""#), "{challenge}");
    assert!(
        !challenge.contains("acr_values") && !challenge.contains(" scope="),
        "{challenge}"
    );
    assert_eq!(gate.last_code(), "policy.max_age_exceeded");
    // The token itself is as good as before, and one of a new login passes.
    assert_eq!(gate.bearer("GET", "/api/shelf/7", &token).await.status, 200);
    assert_eq!(gate.bearer("GET", "/api/shelf/fresh", &gate.token()).await.status, 200);
}

#[tokio::test]
async fn bad_tokens_get_one_answer() {
    let gate = Gate::start().await;
    let mut answers = std::collections::BTreeSet::new();
    for defect in [
        Defect::WrongAudience,
        Defect::WrongIssuer,
        Defect::Expired,
        Defect::BadSignature,
        Defect::UnknownKid,
        Defect::AlgNone,
        Defect::WrongType,
        Defect::MissingSubject,
    ] {
        let order = Mint {
            user: Some("alice".into()),
            client: Some("web".into()),
            defect: Some(defect),
            ..Mint::default()
        };
        let token = gate.idp.control().mint(&order).unwrap();
        let reply = gate.bearer("GET", "/api/shelf/7", &token).await;
        let id = reply.header("x-request-id").to_owned();
        assert!(!id.is_empty());
        let mut headers: Vec<_> = reply
            .headers
            .iter()
            .filter(|(name, _)| name != "date")
            .cloned()
            .collect();
        headers.sort();
        let seen = format!("{} {headers:?} {}", reply.status, reply.body);
        answers.insert(seen.replace(&id, "ID"));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}
