//! How a client that knows nothing but an API's address finds the provider (RFC 9728).

use super::Gate;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The value of a parameter of a challenge.
fn parameter<'c>(challenge: &'c str, name: &str) -> Option<&'c str> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

#[tokio::test]
async fn the_challenge_leads_to_the_document_and_the_document_to_the_provider() {
    let gate = Gate::start().await;
    for token in [None, Some("not.a.token")] {
        let reply = match token {
            None => gate.call("GET", "/api/orders/7", &[]).await,
            Some(token) => gate.bearer("GET", "/api/orders/7", token).await,
        };
        assert_eq!(reply.status, 401);
        let url = parameter(reply.header("www-authenticate"), "resource_metadata").unwrap();
        assert_eq!(url, format!("{}{WELL_KNOWN}/api/orders", gate.origin));

        let reply = gate.call("GET", url.strip_prefix(&gate.origin).unwrap(), &[]).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), "application/json");
        assert_eq!(reply.header("cache-control"), "public, max-age=3600");
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        let document = reply.json();
        assert_eq!(document["resource"], format!("{}/api/orders", gate.origin));
        assert_eq!(
            document["authorization_servers"],
            serde_json::json!([gate.idp.issuer()])
        );
        assert_eq!(document["bearer_methods_supported"], serde_json::json!(["header"]));
        assert_eq!(document["resource_name"], "orders");
        let mut scopes: Vec<_> = document["scopes_supported"].as_array().unwrap().clone();
        scopes.sort_by_key(ToString::to_string);
        assert_eq!(scopes, ["orders.admin", "orders.read", "orders.write"]);
    }
    assert_eq!(gate.upstream.hits(), 0);
}

#[tokio::test]
async fn the_document_is_read_only_and_only_where_tokens_are_taken() {
    let gate = Gate::start().await;
    let shelf = format!("{WELL_KNOWN}/api/shelf");
    let reply = gate.call("GET", &shelf, &[]).await;
    assert_eq!(
        (reply.status, &reply.json()["resource_name"]),
        (200, &"The shelf".into())
    );
    let reply = gate.call("HEAD", &shelf, &[]).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    let reply = gate.call("GET", &format!("{shelf}/"), &[]).await;
    assert_eq!(
        (reply.status, &reply.json()["resource_name"]),
        (200, &"The shelf".into())
    );
    let asked = [
        ("Origin", "https://mcp.example"),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "mcp-protocol-version"),
    ];
    let reply = gate.call("OPTIONS", &shelf, &asked).await;
    assert_eq!((reply.status, reply.body.as_str()), (204, ""));
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    assert_eq!(reply.header("access-control-allow-headers"), "*");
    let reply = gate.call("POST", &shelf, &[]).await;
    assert_eq!((reply.status, reply.header("allow")), (405, "GET, HEAD"));
    // Of an API for sessions alone, of a public one, and of what is none, there is nothing to tell.
    for path in ["/api/page", "/api/public", "/api/shelf/7", "/api", "", "/"] {
        let reply = gate.call("GET", &format!("{WELL_KNOWN}{path}"), &[]).await;
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_refusal_for_want_of_rights_says_it_too() {
    let gate = Gate::start().await;
    let reply = gate.bearer("GET", "/api/orders/report", &gate.token()).await;
    let challenge = reply.header("www-authenticate");
    assert_eq!(reply.status, 403);
    assert_eq!(parameter(challenge, "scope"), Some("orders.admin"));
    assert_eq!(
        parameter(challenge, "resource_metadata").unwrap(),
        format!("{}{WELL_KNOWN}/api/orders", gate.origin)
    );
}
