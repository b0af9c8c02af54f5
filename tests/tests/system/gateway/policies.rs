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
    gate.idp.control().rotate_keys(RotateHow::DropOld).unwrap();
    assert_eq!(gate.bearer("GET", "/api/orders", &gate.token()).await.status, 200);
    assert_eq!(gate.bearer("GET", "/api/orders", &token).await.status, 401);
    assert_eq!(gate.last_code(), "keys.unknown_kid");
}
