//! What is accepted, and what it comes to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use portcullis_guard::SenderConstraint;
use portcullis_jose::Algorithm;

use super::super::place::Places;
use super::super::reference::EXAMPLE;
use portcullis_policy::Decision;

use super::super::{
    Access, AccessTokenType, Assets, ClientAuth, ClientCertificates, Guarded, Keys, Network, SameSite, Settings, parse,
    warnings,
};
use super::{GOOD, passes, without};

fn decides(policy: &'static str) -> Decision<'static, String> {
    // Tests end before the memory does.
    Decision::Policy(Box::leak(Box::new(policy.to_owned())))
}

fn guarded<'a>(settings: &'a Settings, api: &str) -> &'a Guarded {
    match &settings.apis[api].access {
        Access::Guarded(guarded) => guarded,
        Access::Anyone => panic!("{api} is public"),
    }
}

fn private_file(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn the_example_for_pages_is_a_configuration() {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/plain-html"));
    let text = std::fs::read_to_string(dir.join("portcullis.toml")).unwrap();
    let settings = parse(&text, "portcullis.toml", dir, &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(settings.frontends["shop"].assets.is_some());
    assert!(warnings(&settings, &Places::default()).is_empty());
}

#[test]
fn the_manuals_example_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["tls.pem", "tls.key", "web"] {
        private_file(&dir.path().join(file), "from a file\n");
    }
    std::fs::create_dir(dir.path().join("dist")).unwrap();
    let text = EXAMPLE.replace("/run/secrets/web", "web");
    let settings =
        parse(&text, "example.toml", dir.path(), &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults}"));

    assert!(warnings(&settings, &Places::default()).is_empty());
    assert_eq!(settings.server.public_url.as_str(), "https://app.example.com/");
    assert_eq!(settings.server.listen, "0.0.0.0:8443".parse::<SocketAddr>().unwrap());
    assert_eq!(settings.server.tls.as_ref().unwrap().key, dir.path().join("tls.key"));
    assert_eq!(settings.server.admin, Some("127.0.0.1:9090".parse().unwrap()));
    assert_eq!(settings.server.workers, Some(2));
    assert_eq!(settings.store.sqlite().unwrap(), dir.path().join("portcullis.db"));
    assert_eq!(
        settings.providers["entra"].issuer,
        "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0"
    );
    let ClientAuth::Basic(secret) = &settings.clients["web"].auth else {
        panic!("another method")
    };
    assert_eq!(secret[0].value.expose(), "from a file");
    let (name, shop) = settings.frontends.iter().next().unwrap();
    assert_eq!(name, "shop");
    assert_eq!(
        shop.assets,
        Some(Assets::Dir {
            dir: dir.path().join("dist"),
            immutable: Vec::new()
        })
    );
    assert_eq!(shop.session.idle, Duration::from_secs(1_800));
    assert_eq!(shop.session.lifetime, Duration::from_secs(43_200));
    let orders = guarded(&settings, "orders");
    assert!(orders.session && orders.bearer);
    assert_eq!(orders.audience, ["api://orders"]);
    assert_eq!(orders.select("GET", "/api/orders"), decides("ReadOrders"));
    assert_eq!(orders.select("POST", "/api/orders/7"), decides("WriteOrders"));
    assert_eq!(orders.select("GET", "/api/orders/report/may"), decides("Admin"));
    assert_eq!(orders.select("GET", "/api/orders/reports"), decides("ReadOrders"));
    assert_eq!(
        settings.policies["WriteOrders"].policy().to_string(),
        "scope orders.write and role Orders.Admin"
    );
    assert!(settings.dangers().is_empty());
}

#[test]
fn defaults_hold_where_nothing_is_said() {
    let settings = passes(GOOD);
    assert_eq!(settings.server.listen, "127.0.0.1:8080".parse::<SocketAddr>().unwrap());
    assert!(settings.server.admin.is_none() && settings.server.tls.is_none() && settings.server.workers.is_none());
    assert_eq!(settings.server.token_cache, 128 << 20);
    assert_eq!(
        settings.store.sqlite().unwrap(),
        Path::new("/nonexistent/portcullis.db")
    );
    let local = &settings.providers["local"];
    assert_eq!(local.id_token_algorithm, Algorithm::RS256);
    assert_eq!(local.access_token_type, AccessTokenType::AtJwt);
    assert_eq!(
        local.algorithms,
        [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA]
    );
    assert_eq!(local.leeway, Duration::from_secs(30));
    assert_eq!(local.max_token_lifetime, Duration::from_secs(24 * 60 * 60));
    let shop = &settings.frontends["shop"];
    assert_eq!(shop.session.idle, Duration::from_secs(30 * 60));
    assert_eq!(shop.refresh_before, Duration::from_secs(60));
    assert_eq!(shop.same_site, SameSite::Lax);
    assert!(shop.return_to.is_empty() && shop.resource.is_none() && shop.assets.is_none());
    assert_eq!(settings.apis["orders"].timeout, Duration::from_secs(30));
    assert!(guarded(&settings, "orders").session);
}

#[test]
fn without_a_frontend_only_bearer_tokens_are_accepted() {
    let settings = passes(&without(GOOD, &["frontend.shop", "client.web"]));
    let orders = guarded(&settings, "orders");
    assert!(orders.bearer && !orders.session);
    assert!(settings.frontends.is_empty());
}

#[test]
fn the_policy_for_every_valid_token_is_there_and_has_to_be_named() {
    let text = without(GOOD, &["policy.Read"]).replace("\"Read\"", "\"authenticated\"");
    let settings = passes(&text);
    assert_eq!(
        guarded(&settings, "orders").select("DELETE", "/api/orders"),
        decides("authenticated")
    );
    assert_eq!(
        settings.policies["authenticated"].policy().to_string(),
        "a verified token"
    );
}

#[test]
fn with_routes_alone_the_rest_is_refused() {
    let routes = r#"routes = [
    { path = "/api/orders/{id}", methods = ["GET"], policy = "Read" },
    { path = "/api/orders/files/{*rest}", policy = "Read" },
    { path = "/api/orders/open", policy = "authenticated" },
]"#;
    let settings = passes(&GOOD.replace(r#"policy = "Read""#, routes));
    let orders = guarded(&settings, "orders");
    for (method, path, decision) in [
        ("GET", "/api/orders/7", decides("Read")),
        ("HEAD", "/API/orders/7/", decides("Read")),
        ("POST", "/api/orders/7", Decision::MethodNotAllowed),
        ("GET", "/api/orders/7/lines", Decision::NoPolicy),
        ("GET", "/api/orders", Decision::NoPolicy),
        ("PUT", "/api/orders/files/a/b", decides("Read")),
        ("GET", "/api/orders/open", decides("authenticated")),
    ] {
        assert_eq!(orders.select(method, path), decision, "{method} {path}");
    }
}

#[test]
fn an_api_is_identified_by_the_address_that_clients_call() {
    let settings = passes(GOOD);
    assert_eq!(
        guarded(&settings, "orders").resource,
        "http://127.0.0.1:8080/api/orders"
    );
    let own = "http://127.0.0.1:8080/api/orders/mcp";
    let settings = passes(&GOOD.replace(
        r#"policy = "Read""#,
        &format!("policy = \"Read\"\nresource = \"{own}\""),
    ));
    assert_eq!(guarded(&settings, "orders").resource, own);
}

#[test]
fn a_public_api_has_nothing_to_check() {
    let text = "server.public_url = \"http://localhost:8080\"\n[api.docs]\npath = \"/docs\"\nupstream = \"http://[::1]:1\"\naccept = [\"anyone\"]\n";
    let settings = passes(text);
    assert!(matches!(settings.apis["docs"].access, Access::Anyone));
    assert_eq!(settings.server.listen, "127.0.0.1:8080".parse::<SocketAddr>().unwrap());
}

#[test]
fn tables_may_be_written_in_any_way() {
    let dotted = r#"
server = { public_url = "http://[::1]:8080" }
provider.local = { issuer = "http://127.0.0.1:9000", algorithms = ["ES256"] }
client.web.provider = "local"
client.web.client_id = "web"
client.web.auth = "none"
policy = { Read.scope = "orders.read", Admin = { any = [{ role = "Admin" }, { not = { kind = "service" } }] } }

[frontend.shop]
client = "web"
scopes = ["openid"]
session.lifetime = "8h"
session.idle = "1h30m"

[api]
orders.path = "/api/orders"
orders.upstream = "http://127.0.0.1:5000"
orders.provider = "local"
orders.audience = ["a", "b"]
orders.policy.GET = "Read"

[[api.orders.routes]]
path = "/api/orders/report"
methods = ["GET", "POST"]
policy = "Admin"

[[api.orders.routes]]
path = "/api/orders/report"
methods = ["DELETE"]
policy = "Read"
"#;
    let settings = passes(dotted);
    assert_eq!(settings.server.listen, "[::1]:8080".parse::<SocketAddr>().unwrap());
    assert_eq!(settings.frontends["shop"].session.idle, Duration::from_secs(5_400));
    assert!(matches!(settings.clients["web"].auth, ClientAuth::None));
    assert_eq!(
        settings.policies["Admin"].policy().to_string(),
        "role Admin or not kind service"
    );
    let orders = guarded(&settings, "orders");
    assert_eq!(orders.audience, ["a", "b"]);
    assert_eq!(orders.select("HEAD", "/api/orders/report"), decides("Admin"));
    assert_eq!(orders.select("DELETE", "/api/orders/report/x"), decides("Read"));
    assert_eq!(orders.select("PUT", "/api/orders/report"), Decision::MethodNotAllowed);
    // The same with other line ends and a byte order mark.
    passes(&format!("\u{feff}{}", dotted.replace('\n', "\r\n")));
}

#[test]
fn every_rule_of_a_policy_becomes_what_it_says() {
    for (rule, said) in [
        (r#"scopes = ["a", "b"]"#, "scope a b"),
        (r#"group = "staff""#, "group staff"),
        (r#"client = ["a", "b"]"#, "client a or b"),
        (r#"kind = "user""#, "kind user"),
        (r#"acr = "urn:mfa""#, "acr urn:mfa"),
        (r#"max_age = "10m""#, "authenticated within 600 s"),
        (r#"email_domain = "corp.com""#, "verified e-mail address at corp.com"),
        (r#"role = { name = "a", in = "b" }"#, "role a"),
        (
            r#"all = ["Other", { group = "g" }]"#,
            "(scope o or not kind user) and group g",
        ),
        (
            r#"any = ["authenticated", { not = "Other" }]"#,
            "a verified token or not (scope o or not kind user)",
        ),
        (r#"authenticated = true"#, "a verified token"),
        (r#"claim = { path = "tenant.id", equals = 7 }"#, "claim tenant.id = 7"),
        (
            r#"claim = { path = "tenant", one_of = ["a", true] }"#,
            "claim tenant one of \"a\", true",
        ),
        (r#"claim = { path = "tenant", present = true }"#, "claim tenant present"),
        (r#"claim = { path = "tags", contains = "x" }"#, "claim tags with \"x\""),
    ] {
        let other = "\n[policy.Other]\nany = [{ scope = \"o\" }, { not = { kind = \"user\" } }]\n";
        let settings = passes(&(GOOD.replace("scope = \"orders.read\"", rule) + other));
        assert_eq!(settings.policies["Read"].policy().to_string(), said, "{rule}");
    }
}

#[test]
fn what_weakens_security_is_listed() {
    let text = GOOD.replace("http://127.0.0.1:5000", "http://orders.internal:5000/v1");
    let allowed = text + "\n[danger]\ndangerous_allow_plain_http_upstream_hosts = [\"orders.internal\"]\n";
    let settings = passes(&allowed);
    assert_eq!(
        settings.apis["orders"].upstream.as_str(),
        "http://orders.internal:5000/v1"
    );
    assert_eq!(
        settings.dangers(),
        ["dangerous_allow_plain_http_upstream_hosts = [orders.internal]"]
    );
}

#[test]
fn development_is_said_and_listed() {
    let with = |value: &str| {
        let line = format!("public_url = \"http://127.0.0.1:8080\"\ndevelopment = {value}");
        GOOD.replace("public_url = \"http://127.0.0.1:8080\"", &line)
    };
    let settings = passes(&with("true"));
    assert!(settings.server.development);
    assert_eq!(settings.dangers(), ["development = true"]);
    for quiet in [passes(&with("false")), passes(GOOD)] {
        assert!(!quiet.server.development && quiet.dangers().is_empty());
    }
}

#[test]
fn a_later_setting_is_what_was_written() {
    let text = GOOD
        .replace("issuer = \"http://127.0.0.1:9000\"", "issuer = \"http://127.0.0.1:9000\"\naccess_token_type = \"any\"\nleeway = \"0s\"\njwks_url = \"https://keys.example.com/\"")
        .replace("client_id = \"web\"", "client_id = \"web\"\nauth = \"client_secret_post\"")
        .replace("scopes = [\"openid\", \"orders.read\"]", "scopes = [\"openid\"]\nresource = \"https://api.example.com\"\nsame_site = \"strict\"\nreturn_to = [\"https://www.example.com/\"]\nassets.upstream = \"http://127.0.0.1:5173\"")
        .replace("policy = \"Read\"", "policy = \"Read\"\naccept = [\"session\"]\nrealm = \"orders\"\ntimeout = \"1500ms\"");
    let settings = passes(&text);
    let local = &settings.providers["local"];
    assert_eq!(
        (local.access_token_type, local.leeway),
        (AccessTokenType::Any, Duration::ZERO)
    );
    assert!(matches!(&local.keys, Keys::Url(url) if url.as_str() == "https://keys.example.com/"));
    let ClientAuth::Post(secret) = &settings.clients["web"].auth else {
        panic!("another method")
    };
    assert_eq!(secret[0].value.expose(), "web-secret");
    let shop = &settings.frontends["shop"];
    // Byte for byte, where `Url` would add a slash.
    assert_eq!(shop.resource.as_deref(), Some("https://api.example.com"));
    assert_eq!(shop.same_site, SameSite::Strict);
    assert_eq!(shop.return_to, ["https://www.example.com/"]);
    let orders = guarded(&settings, "orders");
    assert!(orders.session && !orders.bearer);
    assert_eq!(settings.apis["orders"].realm.as_deref(), Some("orders"));
    assert_eq!(settings.apis["orders"].timeout, Duration::from_millis(1_500));
}

#[test]
fn proofs_of_a_key_are_asked_for_where_it_is_said() {
    let settings = passes(GOOD);
    assert!(!settings.server.dpop_nonce && settings.server.client_certificate_header.is_none());
    assert_eq!(guarded(&settings, "orders").sender_constrained, None);

    let text = without(GOOD, &["frontend.shop", "client.web"])
        .replace("[server]\n", "[server]\ndpop_nonce = true\nclient_certificate_header = { name = \"Client-Cert\", trusted_proxies = [\"10.0.0.0/8\", \"::1\"] }\n");
    for (word, constraint) in [
        ("dpop", SenderConstraint::Dpop),
        ("mtls", SenderConstraint::MutualTls),
        ("any", SenderConstraint::Any),
    ] {
        let settings = passes(&text.replace(
            "[api.orders]\n",
            &format!("[api.orders]\nsender_constrained = \"{word}\"\n"),
        ));
        assert_eq!(guarded(&settings, "orders").sender_constrained, Some(constraint));
        assert!(settings.server.dpop_nonce);
        let header = settings.server.client_certificate_header.unwrap();
        assert_eq!(header.name, "client-cert");
        assert_eq!(
            header.trusted_proxies,
            [Network::parse("10.0.0.0/8").unwrap(), Network::parse("::1").unwrap()]
        );
    }
}

#[test]
fn clients_are_asked_for_a_certificate_where_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["tls.pem", "tls.key", "clients.pem"] {
        private_file(&dir.path().join(file), "from a file\n");
    }
    let authorities = ClientCertificates::IssuedBy(dir.path().join("clients.pem"));
    for (more, expected) in [
        ("", ClientCertificates::NotAsked),
        (", client_certificates = true", ClientCertificates::Any),
        (", client_ca = \"clients.pem\"", authorities.clone()),
        (", client_certificates = true, client_ca = \"clients.pem\"", authorities),
    ] {
        let text = format!(
            "server = {{ public_url = \"https://localhost:8443\", tls = {{ cert = \"tls.pem\", key = \"tls.key\"{more} }} }}\n"
        ) + "[api.docs]\npath = \"/docs\"\nupstream = \"http://[::1]:1\"\naccept = [\"anyone\"]\n";
        let settings = parse(&text, "t.toml", dir.path(), &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(settings.server.tls.unwrap().client_certificates, expected, "{more}");
    }
}
