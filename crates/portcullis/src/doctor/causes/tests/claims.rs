//! Issuer, audience, proof, revocation and policies.

use portcullis_idp::Defect;
use serde_json::json;

use super::Provoked;
use super::stage::at;

const TENANT: &str = "9122040d-6c67-4c5b-b112-36a304b66dad";
const V2: &str = "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0";
const V1: &str = "https://sts.windows.net/9122040d-6c67-4c5b-b112-36a304b66dad/";

pub(super) const TRIES: &[Provoked] = &[
    ("cause.issuer_missing", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"iss": null})))
    }),
    ("cause.entra_v1_at_v2", |stage| stage.issued(V1, V2)),
    ("cause.entra_v2_at_v1", |stage| stage.issued(V2, V1)),
    ("cause.tenant_mismatch", |stage| {
        stage.issued(&V2.replace(TENANT, "72f988bf-86f1-41af-91ab-2d7cd011db47"), V2)
    }),
    ("cause.issuer_trailing_slash", |stage| {
        stage.issued("https://shop.eu.auth0.com/", "https://shop.eu.auth0.com")
    }),
    ("cause.issuer_scheme", |stage| {
        stage.issued("http://login.example.com/a", "https://login.example.com/a")
    }),
    ("cause.issuer_letter_case", |stage| {
        stage.issued("https://login.example.com/Shop", "https://login.example.com/shop")
    }),
    ("cause.keycloak_realm", |stage| {
        stage.issued(
            "https://id.example.com/realms/master",
            "https://id.example.com/realms/shop",
        )
    }),
    ("cause.okta_authorization_server", |stage| {
        stage.issued("https://shop.okta.com", "https://shop.okta.com/oauth2/default")
    }),
    ("cause.issuer_of_another_provider", |stage| {
        let token = stage
            .other
            .control()
            .sign("at+jwt", &stage.changed(&json!({"iss": stage.other.issuer()})));
        stage.send(token.unwrap())
    }),
    ("cause.issuer_other_environment", |stage| {
        stage.issued("https://login-test.example.com", "https://login.example.com")
    }),
    ("cause.issuer_other_address", |stage| {
        stage.issued("http://keycloak:8080/realms/shop", "https://id.example.com/realms/shop")
    }),
    ("cause.issuer_not_trusted", |stage| {
        stage.issued("https://another-issuer.example", "https://login.example.com")
    }),
    ("cause.audience_missing", |stage| {
        stage.send(stage.minted(Some(Defect::MissingAudience)))
    }),
    ("cause.keycloak_account_audience", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"aud": "account"})))
    }),
    ("cause.audience_scheme_missing", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"aud": "orders"})))
    }),
    ("cause.audience_slash_or_case", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"aud": ["api://Orders/", "x"]})))
    }),
    ("cause.audience_of_another_api", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"aud": "api://billing"})))
    }),
    ("cause.audience_is_provider", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"aud": format!("{}/userinfo", stage.idp.issuer())})))
    }),
    ("cause.audience_is_client_id", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"aud": "shop"})))
    }),
    ("cause.audience_other", |stage| {
        stage.send(stage.minted(Some(Defect::WrongAudience)))
    }),
    ("cause.subject_missing", |stage| {
        stage.send(stage.minted(Some(Defect::MissingSubject)))
    }),
    ("cause.dpop_token_as_bearer", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"cnf": {"jkt": stage.key.kid()}})))
    }),
    ("cause.certificate_token_without_certificate", |stage| {
        stage.send(stage.signed("at+jwt", &json!({"cnf": {"x5t#S256": stage.key.kid()}})))
    }),
    ("cause.binding_demanded", |stage| {
        let demands = "audience = \"api://orders\"\naccept = [\"bearer\"]\nsender_constrained = \"dpop\"";
        let config = stage.config().replacen("audience = \"api://orders\"", demands, 1);
        stage.send(stage.minted(None)).under(config).usually_good()
    }),
    ("cause.revoked", |stage| {
        stage.send(stage.minted(None)).revoked().usually_good()
    }),
    ("cause.token_id_missing", |stage| {
        let demands = "audience = \"api://orders\"\nrevocations = { require_jti = true }";
        let config = stage.config().replacen("audience = \"api://orders\"", demands, 1);
        stage.send(stage.signed("at+jwt", &json!({"jti": null}))).under(config)
    }),
    ("cause.scope_prefix", |stage| {
        stage.policed(
            "scope = \"api://orders/orders.read\"",
            &json!({}),
            &json!({"scope": "api://orders/orders.read"}),
        )
    }),
    ("cause.application_permission", |stage| {
        let either = "any = [{ scope = \"orders.read\" }, { scope = \"orders.all\" }]";
        stage.policed(either, &json!({"scope": null, "idtyp": "app"}), &json!({}))
    }),
    ("cause.scope_not_consented", |stage| {
        stage.policed(
            "scope = \"orders.export\"",
            &json!({}),
            &json!({"scope": "orders.export"}),
        )
    }),
    ("cause.scope_missing", |stage| {
        stage.policed(
            "scope = \"orders.delete\"",
            &json!({}),
            &json!({"scope": "orders.delete"}),
        )
    }),
    ("cause.groups_overage", |stage| {
        let names = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {}}});
        stage.policed("group = \"clerks\"", &names, &json!({"groups": ["clerks"]}))
    }),
    ("cause.role_in_another_claim", |stage| {
        let roles = json!({"roles": null, "resource_access": {"shop": {"roles": ["Clerk"]}}});
        stage.policed("role = \"Clerk\"", &roles, &json!({"roles": ["Clerk"]}))
    }),
    ("cause.role_missing", |stage| {
        stage.policed(
            "role = \"Clerk\"",
            &json!({}),
            &json!({"realm_access": {"roles": ["Clerk"]}, "roles": null}),
        )
    }),
    ("cause.step_up_needed", |stage| {
        stage.policed("max_age = \"5m\"", &json!({"auth_time": at(stage, -3600)}), &json!({}))
    }),
    ("cause.person_or_service", |stage| {
        stage.policed("kind = \"service\"", &json!({}), &json!({"sub": "shop"}))
    }),
    ("cause.client_not_listed", |stage| {
        stage.policed("client = \"nightly\"", &json!({}), &json!({"client_id": "nightly"}))
    }),
    ("cause.claim_differs", |stage| {
        stage.policed(
            "claim = { path = \"tenant\", equals = \"umbrella\" }",
            &json!({}),
            &json!({"tenant": "umbrella"}),
        )
    }),
];
