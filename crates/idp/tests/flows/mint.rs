//! Tokens made to order.

use portcullis_idp::{Defect, Mint};
use portcullis_jose::{AlgorithmSet, JwkSet, Limits, UnverifiedJws};
use serde_json::json;

use crate::support::{START, Stage, peek};

fn order(defect: Option<Defect>) -> Mint {
    Mint {
        user: Some("alice".into()),
        client: Some("web".into()),
        scopes: vec!["orders.read".into()],
        defect,
        ..Mint::default()
    }
}

#[tokio::test]
async fn a_sound_token_is_as_the_token_endpoint_makes_it() {
    let stage = Stage::new().await;
    let minted = stage.control().mint(&order(None)).unwrap();
    let issued = stage.sign_in("alice", "orders.read").await;
    let (header, mut minted_claims) = peek(&minted);
    let (issued_header, mut issued_claims) = peek(issued["access_token"].as_str().unwrap());
    assert_eq!(header, issued_header);
    for claims in [&mut minted_claims, &mut issued_claims] {
        assert!(claims.as_object_mut().unwrap().remove("jti").is_some());
    }
    // Nobody signed in for the minted one.
    assert!(issued_claims.as_object_mut().unwrap().remove("sid").is_some());
    assert_eq!(minted_claims, issued_claims);
    assert!(stage.is_active(&minted).await);
}

#[tokio::test]
async fn an_order_has_sensible_defaults() {
    let stage = Stage::new().await;
    let mint = |order: Mint| peek(&stage.control().mint(&order).unwrap()).1;
    let plain = mint(Mint::default());
    assert_eq!(
        (&plain["aud"], &plain["scope"]),
        (&json!("api://orders"), &json!("orders.read orders.write"))
    );
    assert_eq!(plain["client_id"], "web");
    let service = mint(Mint {
        client: Some("job".into()),
        lifetime: Some(5),
        ..Mint::default()
    });
    assert_eq!((&service["sub"], &service["exp"]), (&json!("job"), &json!(START + 5)));
    let billing = mint(Mint {
        audience: Some("api://billing".into()),
        ..Mint::default()
    });
    assert_eq!(
        (&billing["aud"], &billing["scope"]),
        (&json!("api://billing"), &json!("billing.read"))
    );
    let beyond = mint(Mint {
        user: Some("bob".into()),
        scopes: vec!["orders.admin".into()],
        ..Mint::default()
    });
    assert_eq!(beyond["scope"], "orders.admin", "an order is not a grant");
    let nobody = stage
        .control()
        .mint(&Mint {
            user: Some("nobody".into()),
            ..Mint::default()
        })
        .unwrap_err();
    assert_eq!(nobody.code(), "idp.unknown_user");
    let nothing = stage
        .control()
        .mint(&Mint {
            client: Some("nothing".into()),
            ..Mint::default()
        })
        .unwrap_err();
    assert_eq!(nothing.code(), "idp.unknown_client");
}

#[tokio::test]
async fn a_defect_is_the_only_thing_that_is_wrong() {
    let stage = Stage::new().await;
    let jwks = stage.get("/jwks").await;
    let (keys, _) = JwkSet::parse(&jwks.body).unwrap();
    let (_, sound) = peek(&stage.control().mint(&order(None)).unwrap());
    let cases: [(Defect, bool, &[&str]); 15] = [
        (Defect::WrongAudience, true, &["aud"]),
        (Defect::WrongIssuer, true, &["iss"]),
        (Defect::Expired, true, &["exp", "iat"]),
        (Defect::NotYetValid, true, &["exp", "nbf"]),
        (Defect::IssuedInFuture, true, &["exp", "iat"]),
        (Defect::BadSignature, false, &[]),
        (Defect::AlteredClaims, false, &[]),
        (Defect::UnknownKid, false, &[]),
        (Defect::AlgNone, false, &[]),
        (Defect::MissingScope, true, &["scope"]),
        (Defect::WrongType, true, &[]),
        (
            Defect::IdTokenAsAccessToken,
            true,
            &["aud", "client_id", "email", "name", "preferred_username", "scope"],
        ),
        (Defect::MissingExpiry, true, &["exp"]),
        (Defect::MissingAudience, true, &["aud"]),
        (Defect::MissingSubject, true, &["sub"]),
    ];
    for (defect, verifies, changed) in cases {
        let token = stage.control().mint(&order(Some(defect))).unwrap();
        let verified = UnverifiedJws::parse(&token, &Limits::default())
            .and_then(|jws| jws.verify(&keys, AlgorithmSet::asymmetric()));
        assert_eq!(verified.is_ok(), verifies, "{defect:?}");
        let (header, claims) = peek(&token);
        let names = sound
            .as_object()
            .unwrap()
            .keys()
            .chain(claims.as_object().unwrap().keys());
        let mut differ: Vec<_> = names
            .filter(|name| *name != "jti" && sound.get(*name) != claims.get(*name))
            .collect();
        differ.sort();
        differ.dedup();
        assert_eq!(differ, changed, "{defect:?}");
        let usual = !matches!(defect, Defect::WrongType | Defect::IdTokenAsAccessToken);
        assert_eq!(header["typ"] == "at+jwt", usual, "{defect:?}");
        assert!(!stage.is_active(&token).await, "{defect:?}");
    }
}

#[tokio::test]
async fn times_are_beyond_any_leeway() {
    let stage = Stage::new().await;
    let claims = |defect| peek(&stage.control().mint(&order(Some(defect))).unwrap()).1;
    assert!(claims(Defect::Expired)["exp"].as_i64().unwrap() <= START - 900);
    assert!(claims(Defect::NotYetValid)["nbf"].as_i64().unwrap() >= START + 900);
    assert!(claims(Defect::IssuedInFuture)["iat"].as_i64().unwrap() >= START + 900);
}
