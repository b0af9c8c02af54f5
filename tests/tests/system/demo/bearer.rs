//! Callers that bring their own token.

use portcullis_idp::{Defect, Mint, RotateHow};

use super::{Answer, Browser, World};

async fn call(world: &World, token: &str) -> Answer {
    let value = format!("Bearer {token}");
    Browser::new()
        .send(
            "GET",
            &world.app("/api/orders"),
            &[("authorization", &value)],
            String::new(),
        )
        .await
}

fn mint(world: &World, defect: Option<Defect>) -> String {
    let order = Mint {
        user: Some("alice".into()),
        client: Some("demo-web".into()),
        defect,
        ..Mint::default()
    };
    world.demo.idp().control().mint(&order).unwrap()
}

#[tokio::test]
async fn every_defect_has_its_code_and_all_bad_tokens_one_answer() {
    let world = World::start().await;
    assert_eq!(call(&world, &mint(&world, None)).await.status, 200);
    let mut answers = std::collections::BTreeSet::new();
    for (defect, code) in [
        (Defect::WrongAudience, "token.audience_mismatch"),
        (Defect::WrongIssuer, "token.issuer_mismatch"),
        (Defect::Expired, "token.expired"),
        (Defect::NotYetValid, "token.not_yet_valid"),
        (Defect::BadSignature, "token.signature_invalid"),
        (Defect::AlteredClaims, "token.signature_invalid"),
        (Defect::UnknownKid, "keys.unknown_kid"),
        (Defect::AlgNone, "token.algorithm_not_allowed"),
        (Defect::IdTokenAsAccessToken, "token.type_mismatch"),
        (Defect::MissingExpiry, "token.expiry_missing"),
        (Defect::MissingAudience, "token.audience_missing"),
        (Defect::MissingSubject, "token.subject_missing"),
    ] {
        let answer = call(&world, &mint(&world, Some(defect))).await;
        assert_eq!((answer.status.as_u16(), world.last_code().as_str()), (401, code));
        assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#));
        let id = answer.header("x-request-id").to_owned();
        answers.insert(format!("{}{}", answer.header("www-authenticate"), answer.body).replace(&id, "ID"));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    let answer = call(&world, &mint(&world, Some(Defect::MissingScope))).await;
    assert_eq!(
        (answer.status.as_u16(), world.last_code().as_str()),
        (403, "policy.scope_insufficient")
    );
    assert_eq!(call(&world, &mint(&world, None)).await.status, 200);
}

#[tokio::test]
async fn one_credential_in_one_place() {
    let world = World::start().await;
    let token = mint(&world, None);
    let in_url = world.app(&format!("/api/orders?access_token={token}"));
    let answer = Browser::new().send("GET", &in_url, &[], String::new()).await;
    assert_eq!(
        (answer.status.as_u16(), world.last_code().as_str()),
        (400, "token.in_query")
    );
    assert!(answer.header("www-authenticate").contains(r#"error="invalid_request""#));
    let value = format!("Bearer {token}");
    let twice = [("authorization", value.as_str()), ("authorization", value.as_str())];
    let answer = Browser::new()
        .send("GET", &world.app("/api/orders"), &twice, String::new())
        .await;
    assert_eq!(
        (answer.status.as_u16(), world.last_code().as_str()),
        (400, "token.multiple_credentials")
    );
    let lower = format!("bearer {token}");
    let answer = Browser::new()
        .send(
            "GET",
            &world.app("/api/orders"),
            &[("authorization", &lower)],
            String::new(),
        )
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_rotation_of_keys_costs_no_valid_request_a_401() {
    let world = World::start().await;
    let old = mint(&world, None);
    assert_eq!(call(&world, &old).await.status, 200);
    world.demo.idp().control().rotate_keys(RotateHow::Overlap).unwrap();
    assert_eq!(call(&world, &mint(&world, None)).await.status, 200);
    assert_eq!(call(&world, &old).await.status, 200);
}

#[tokio::test]
async fn names_and_paths_that_are_not_ours_are_refused() {
    let world = World::start().await;
    let value = format!("Bearer {}", mint(&world, None));
    let with = |host: &'static str| [("authorization", value.clone()), ("host", host.to_owned())];
    let headers = with("evil.example");
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = Browser::new()
        .send("GET", &world.app("/api/orders"), &headers, String::new())
        .await;
    assert_eq!(
        (answer.status.as_u16(), world.last_code().as_str()),
        (421, "request.misdirected")
    );
    for path in [
        "/api/orders/%2e%2e/report",
        "/api/orders%2freport",
        "/api/orders/%00",
        "/api/orders/..;/report",
    ] {
        let answer = Browser::new()
            .send("GET", &world.app(path), &[("authorization", &value)], String::new())
            .await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path}: {}", answer.status);
    }
    let headers = [("authorization", value.as_str())];
    let answer = Browser::new()
        .send("TRACE", &world.app("/api/orders"), &headers, String::new())
        .await;
    assert_eq!(answer.status, 405);
    // However the report is spelled, it needs its own policy.
    for path in [
        "/api/orders/report",
        "/api/orders/report/",
        "/api//orders/report",
        "/api/orders/%72eport",
        "/api/orders/Report",
        "/API/ORDERS/REPORT",
    ] {
        let answer = Browser::new()
            .send("GET", &world.app(path), &[("authorization", &value)], String::new())
            .await;
        assert_eq!(
            (answer.status.as_u16(), world.last_code().as_str()),
            (403, "policy.scope_insufficient"),
            "{path}"
        );
    }
}
