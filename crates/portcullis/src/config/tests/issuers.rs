//! Issuers of every kind: several, templates, keys in files, shared secrets, and tokens that are asked about.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use portcullis_jose::Algorithm;

use super::super::{Access, Keys, parse};
use super::{GOOD, passes, read};
use crate::diagnostic::Style;

const ISSUER: &str = r#"issuer = "http://127.0.0.1:9000""#;
const TENANT: &str = "9122040d-6c67-4c5b-b112-36a304b66dad";
const TEMPLATE: &str = r#"issuer = "https://login.microsoftonline.com/{tenantid}/v2.0""#;
const DISCOVERY: &str = r#"discovery = "https://login.microsoftonline.com/organizations/v2.0""#;

/// The good configuration with another provider, whose tokens a further API takes.
fn with(provider: &str) -> String {
    format!(
        "{GOOD}\n[provider.other]\n{provider}\n[api.other]\npath = \"/api/other\"\nupstream = \"http://127.0.0.1:5001\"\n\
         accept = [\"bearer\"]\nprovider = \"other\"\naudience = \"api://other\"\npolicy = \"Read\"\n"
    )
}

/// Asserts that there is one fault, of this code, whose text has these words.
#[track_caller]
fn refuses(text: &str, code: &str, words: &[&str]) {
    let faults = read(text).expect_err("the configuration has a fault");
    let shown = faults.render(Style::Plain);
    let codes: Vec<_> = faults.iter().map(|fault| fault.code()).collect();
    assert_eq!(codes, [code], "{shown}");
    for word in words {
        assert!(shown.contains(word), "no {word:?} in\n{shown}");
    }
}

#[test]
fn an_api_takes_tokens_of_several_providers() {
    let two = format!("{GOOD}\n[provider.other]\nissuer = \"https://login.example.com\"\n").replace(
        "provider = \"local\"\naudience",
        "provider = [\"local\", \"other\"]\naudience",
    );
    let settings = passes(&two);
    let Access::Guarded(guarded) = &settings.apis["orders"].access else {
        panic!("it is guarded")
    };
    assert_eq!(guarded.providers, ["local", "other"]);
    let twice = two.replace("[\"local\", \"other\"]", "[\"local\", \"local\"]");
    refuses(&twice, "config.contradiction", &["names `local` twice"]);
    let unknown = two.replace("[\"local\", \"other\"]", "[\"local\", \"othr\"]");
    refuses(&unknown, "config.dangling_reference", &["did you mean `other`?"]);
    // Sessions are made with one of them.
    let without_local = two.replace("[\"local\", \"other\"]", "[\"other\"]");
    refuses(
        &without_local,
        "config.contradiction",
        &["sessions are made with `local`"],
    );
}

#[test]
fn one_api_has_one_provider_for_each_issuer() {
    let tenants = format!("tenants = [\"{TENANT}\"]");
    let template = format!("{TEMPLATE}\n{DISCOVERY}\n{tenants}");
    let of = |third: &str| {
        let text = with(&template).replace("provider = \"other\"\n", "provider = [\"other\", \"third\"]\n");
        format!("{text}\n[provider.third]\n{third}\n")
    };
    passes(&of("issuer = \"https://login.example.com\""));
    let tenant = format!("issuer = \"https://login.microsoftonline.com/{TENANT}/v2.0\"");
    for third in [template.as_str(), &tenant] {
        refuses(
            &of(third),
            "config.contradiction",
            &["names two providers of one issuer", "which of `other` and `third`"],
        );
    }
}

#[test]
fn the_address_for_several_tenants_is_no_issuer() {
    for word in ["common", "organizations", "consumers"] {
        refuses(
            &with(&format!("issuer = \"https://login.microsoftonline.com/{word}/v2.0\"")),
            "config.invalid_value",
            &["no token names", word, "{tenantid}"],
        );
    }
    passes(&with("issuer = \"https://login.example.com/common/v2.0\""));
    passes(&with(&format!(
        "issuer = \"https://login.microsoftonline.com/{TENANT}/v2.0\""
    )));
}

#[test]
fn a_certificate_can_be_wanted_where_one_is_known() {
    let wants = with("issuer = \"https://login.example.com\"")
        .replace("[api.other]\n", "[api.other]\nsender_constrained = \"mtls\"\n");
    refuses(&wants, "config.contradiction", &["nobody is asked for one"]);
    let header = "client_certificate_header = { name = \"Client-Cert\", trusted_proxies = [\"::1\"] }";
    let known = wants.replace("[server]\n", &format!("[server]\n{header}\n"));
    passes(&known);
    passes(&wants.replace("\"mtls\"", "\"any\""));
    // A name that no call keeps.
    refuses(
        &known.replace("Client-Cert", "Client_Cert"),
        "config.invalid_value",
        &["no name of such a header"],
    );
}

#[test]
fn a_template_has_tenants_and_a_discovery_document() {
    let tenants = format!("tenants = [\"{TENANT}\"]");
    let settings = passes(&with(&format!("{TEMPLATE}\n{DISCOVERY}\n{tenants}")));
    let other = &settings.providers["other"];
    assert_eq!(other.tenants, [TENANT]);
    assert_eq!(other.discovery.as_ref().unwrap().path(), "/organizations/v2.0");
    assert!(matches!(other.keys, Keys::Discovered));

    refuses(
        &with(&format!("{TEMPLATE}\n{DISCOVERY}")),
        "config.missing_key",
        &["no `tenants`", "anybody who can create a tenant"],
    );
    refuses(
        &with(&format!("{TEMPLATE}\n{tenants}")),
        "config.missing_key",
        &["no `discovery`"],
    );
    refuses(
        &with(&format!("{TEMPLATE}\n{DISCOVERY}\ntenants = [\"*\"]")),
        "config.invalid_value",
        &["there is no wildcard"],
    );
    refuses(
        &with(&format!("issuer = \"https://login.example.com\"\n{tenants}")),
        "config.contradiction",
        &["`issuer` is no template"],
    );
    for issuer in [
        "https://{tenant}.example.com",
        "https://a.example/{tenantid}/{tenantid}",
        "https://a.example/{",
    ] {
        refuses(
            &with(&format!("issuer = \"{issuer}\"\n{DISCOVERY}\n{tenants}")),
            "config.invalid_url",
            &["a template has {tenantid} in it, once"],
        );
    }
}

#[test]
fn keys_are_in_one_place() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("keys.json"), "{}").unwrap();
    let file = "issuer = \"https://a.example\"\njwks_file = \"keys.json\"";
    let settings = parse(&with(file), "t.toml", dir.path(), &BTreeMap::new());
    let settings = settings.unwrap_or_else(|faults| panic!("{faults}"));
    assert!(matches!(&settings.providers["other"].keys, Keys::File(path) if path.ends_with("keys.json")));
    assert!(parse(&with(file), "t.toml", Path::new("/nonexistent"), &BTreeMap::new()).is_err());
    let both = with(&format!("{file}\njwks_url = \"https://a.example/keys\""));
    refuses(&both, "config.contradiction", &["keys in more than one way"]);
}

#[test]
fn a_shared_secret_is_alone_long_and_for_its_algorithms() {
    const LONG: &str = "shared_secret = { dev_only = \"0123456789abcdef0123456789abcdef\" }";
    let good = with(&format!(
        "issuer = \"http://127.0.0.1:9001\"\n{LONG}\nalgorithms = [\"HS256\"]"
    ));
    let settings = passes(&good);
    let other = &settings.providers["other"];
    assert!(matches!(other.keys, Keys::Shared(_)));
    assert_eq!(other.algorithms, [Algorithm::HS256]);

    refuses(
        &good.replace("0123456789abcdef\"", "\""),
        "config.invalid_value",
        &["at least 32 bytes", "has 16"],
    );
    refuses(
        &good.replace("HS256", "HS512"),
        "config.invalid_value",
        &["at least 64 bytes"],
    );
    refuses(
        &good.replace("[\"HS256\"]", "[\"HS256\", \"RS256\"]"),
        "config.invalid_value",
        &["HS384"],
    );
    refuses(
        &good.replace("algorithms = [\"HS256\"]", ""),
        "config.missing_key",
        &["no `algorithms`"],
    );
    refuses(
        &good.replace(LONG, ""),
        "config.invalid_value",
        &["anybody who can check it could make it"],
    );
    for beside in [
        "jwks_url = \"https://a.example/keys\"",
        "jwks_file = \"keys.json\"",
        "discovery = \"https://a.example\"",
        "introspection = { client = \"web\" }",
    ] {
        let text = good.replace(LONG, &format!("{LONG}\n{beside}"));
        let faults = read(&text).expect_err(beside).render(Style::Plain);
        assert!(faults.contains("keys in more than one way"), "{faults}");
    }
    // Written down where others can read it.
    let public = good.replace("http://127.0.0.1:9001", "https://login.example.com");
    assert!(read(&public).is_err());
    let signs_in = format!("{good}\n[client.there]\nprovider = \"other\"\nclient_id = \"x\"\nauth = \"none\"\n");
    refuses(&signs_in, "config.contradiction", &["it has no endpoints"]);
}

#[test]
fn one_provider_is_asked_by_a_client_of_its_own() {
    let asked = GOOD.replace(ISSUER, &format!("{ISSUER}\nintrospection = {{ client = \"web\" }}"));
    let settings = passes(&asked);
    let introspection = settings.providers["local"].introspection.as_ref().unwrap();
    assert_eq!(
        (&*introspection.client, introspection.cache),
        ("web", Duration::from_secs(60))
    );
    let exact = asked.replace(
        "\"web\" }\n",
        "\"web\", cache = \"0s\", url = \"http://127.0.0.1:9000/ask\" }\n",
    );
    let settings = passes(&exact);
    let introspection = settings.providers["local"].introspection.as_ref().unwrap();
    assert_eq!(
        (introspection.url.as_ref().unwrap().path(), introspection.cache),
        ("/ask", Duration::ZERO)
    );

    let plain = asked.replace("\"web\" }\n", "\"web\", url = \"http://login.example.com/ask\" }\n");
    refuses(&plain, "config.insecure_url", &["`introspection.url`"]);
    let unknown = asked.replace("client = \"web\" }\n", "client = \"wbe\" }\n");
    refuses(&unknown, "config.dangling_reference", &["did you mean `web`?"]);
    let foreign = with("issuer = \"http://127.0.0.1:9001\"\nintrospection = { client = \"web\" }");
    refuses(&foreign, "config.contradiction", &["a client of provider `local`"]);
    let public = asked.replace(
        "secret = { dev_only = \"web-secret\" }",
        "secret = { dev_only = \"web-secret\" }\n[client.app]\nprovider = \"local\"\nclient_id = \"app\"\nauth = \"none\"",
    );
    let public = public.replace(
        "introspection = { client = \"web\" }",
        "introspection = { client = \"app\" }",
    );
    refuses(&public, "config.contradiction", &["has no secret"]);

    let two = format!(
        "{asked}\n[provider.other]\nissuer = \"http://127.0.0.1:9001\"\nintrospection = {{ client = \"there\" }}\n\
         [client.there]\nprovider = \"other\"\nclient_id = \"x\"\nsecret = {{ dev_only = \"y\" }}\n"
    );
    passes(&two);
    let both = two.replace(
        "provider = \"local\"\naudience",
        "provider = [\"local\", \"other\"]\naudience",
    );
    refuses(&both, "config.contradiction", &["could ask several providers"]);
}

#[test]
fn hosts_inside_the_network_are_those_that_are_named() {
    let with = |hosts: &str| GOOD.replace(ISSUER, &format!("{ISSUER}\ninternal_hosts = {hosts}"));
    let settings = passes(&with(r#"["keys.internal", "10.0.0.7"]"#));
    assert_eq!(
        settings.providers["local"].internal_hosts,
        ["keys.internal", "10.0.0.7"]
    );
    for wrong in [
        r#"["https://keys.internal"]"#,
        r#"["Keys.internal"]"#,
        r#"["*.internal"]"#,
        r#"["keys:8443"]"#,
    ] {
        refuses(&with(wrong), "config.invalid_value", &["has an entry that is no host"]);
    }
}
