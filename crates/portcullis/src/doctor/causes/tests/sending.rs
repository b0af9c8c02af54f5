//! How it was sent, and other kinds of token.

use portcullis_idp::Defect;
use portcullis_jose::base64url_encode;
use serde_json::{Value, json};

use super::Provoked;
use super::stage::Stage;
use crate::doctor::causes::Answer;

/// Where only the issuer's name matters and no key is asked for.
const AUTH0: &str = "https://shop.eu.auth0.com/";

pub(super) const TRIES: &[Provoked] = &[
    ("cause.header_stripped", |stage| {
        stage.send(stage.minted(None)).answered(Answer {
            status: 401,
            challenges: vec!["Bearer realm=\"orders\"".into()],
            ..Answer::default()
        })
    }),
    ("cause.placeholder_sent", |stage| stage.send("Bearer undefined")),
    ("cause.basic_credentials_sent", |stage| {
        stage.send("Basic c2hvcDpzaG9wLWRlbW8=")
    }),
    ("cause.bearer_twice", |stage| {
        stage.send(format!("Bearer Bearer {}", stage.minted(None)))
    }),
    ("cause.whole_answer_sent", |stage| {
        let answer = json!({"access_token": stage.minted(None), "token_type": "Bearer"});
        stage.send(format!("Bearer {answer}"))
    }),
    ("cause.quoted", |stage| {
        stage.send(format!("\"{}\"", stage.minted(None)))
    }),
    ("cause.invisible_character", |stage| {
        stage.send(format!("\u{feff}{}", stage.minted(None)))
    }),
    ("cause.line_break", |stage| {
        let token = stage.minted(None);
        let (head, tail) = token.split_at(70);
        stage.send(format!("{head}\n{tail}"))
    }),
    ("cause.percent_encoded", |stage| {
        stage.send(stage.minted(None).replace('.', "%2E"))
    }),
    ("cause.standard_base64", |stage| {
        stage.send(format!("{}==", stage.minted(None)))
    }),
    ("cause.truncated", |stage| {
        let token = stage.minted(None);
        stage.send(&token[..token.len() - 20])
    }),
    ("cause.id_token_sent", |stage| {
        stage.send(stage.minted(Some(Defect::IdTokenAsAccessToken)))
    }),
    ("cause.refresh_token_sent", |stage| {
        // As Keycloak makes them.
        stage.send(stage.signed("JWT", &json!({"typ": "Refresh"})))
    }),
    ("cause.logout_token_sent", |stage| {
        let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        stage.send(stage.signed("logout+jwt", &json!({"events": events, "scope": null})))
    }),
    ("cause.dpop_proof_sent", |stage| {
        stage.send(stage.signed(
            "dpop+jwt",
            &json!({"htm": "GET", "htu": "http://127.0.0.1:8080/api/orders"}),
        ))
    }),
    ("cause.client_assertion_sent", |stage| {
        let claims = json!({"iss": "shop", "sub": "shop", "aud": stage.idp.issuer(), "scope": null, "client_id": null});
        stage.send(stage.signed("JWT", &claims))
    }),
    ("cause.saml_sent", |stage| {
        stage.send(format!("PHNhbWxwOlJlc3BvbnNl{}", "A".repeat(400)))
    }),
    ("cause.foreign_key_sent", |stage| {
        stage.send(format!("ghp_{}", "a".repeat(36)))
    }),
    ("cause.graph_token", |stage| {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": stage.key.kid(), "nonce": "n"});
        let claims = json!({"aud": "00000003-0000-0000-c000-000000000000", "scp": "User.Read"});
        stage.send(stage.with_header(&header, &claims))
    }),
    ("cause.auth0_without_audience", |stage| {
        let config = stage.config().replacen(stage.idp.issuer(), AUTH0, 1);
        let header = json!({"alg": "dir", "enc": "A256GCM", "iss": AUTH0});
        stage.send(jwe(&header)).under(config).without_twin()
    }),
    ("cause.encrypted", |stage| {
        stage.send(jwe(&json!({"alg": "RSA-OAEP-256", "enc": "A256GCM"})))
    }),
    ("cause.opaque_without_introspection", |stage| {
        stage.send("n8fK2mQx7vB1cZ0pLsW4")
    }),
    ("cause.opaque_inactive", |stage| {
        let introspection = "introspection = { client = \"web\" }\nalgorithms";
        stage
            .send("n8fK2mQx7vB1cZ0pLsW4")
            .under(stage.config().replacen("algorithms", introspection, 1))
    }),
    ("cause.type_not_marked", |stage| {
        stage
            .send(stage.signed("JWT", &json!({})))
            .twin(stage.signed("at+jwt", &json!({})))
    }),
];

fn jwe(header: &Value) -> String {
    format!("{}..aaaa.bbbb.cccc", base64url_encode(header.to_string().as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slip_is_told_first_and_what_else_is_wrong_with_the_token_after_it() {
    let stage = Stage::new().await;
    let token = stage.minted(Some(Defect::WrongAudience));
    let examined = stage.send(format!("\"{token}\"")).examine(&stage).await;
    let found: Vec<&str> = examined.causes.iter().map(|likely| likely.entry.name).collect();
    assert_eq!(found, ["cause.quoted", "cause.audience_other"]);
    assert_eq!(examined.explanation.refused.unwrap().code, "token.bad_base64");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_names_an_error_is_no_stripped_header() {
    let stage = Stage::new().await;
    let answer = |challenge: &str, code: Option<&str>| Answer {
        status: 401,
        challenges: vec![challenge.into()],
        code: code.map(Into::into),
        server: None,
    };
    for (answer, stripped) in [
        (answer("Bearer realm=\"orders\", error=\"invalid_token\"", None), false),
        (answer("Bearer realm=\"orders\"", Some("token.missing")), true),
        (answer("Bearer realm=\"orders\"", Some("token.expired")), false),
    ] {
        let examined = stage
            .send(stage.minted(None))
            .answered(answer.clone())
            .examine(&stage)
            .await;
        assert_eq!(!examined.causes.is_empty(), stripped, "{answer:?}");
    }
}
