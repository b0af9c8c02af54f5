//! How logins are asked for, and what FAPI 2.0 makes of it.

use std::collections::BTreeMap;
use std::path::Path;

use portcullis_jose::{Algorithm, SigningKey};

use super::super::{ClientSettings, Faults, parse};
use super::GOOD;

const INLINE: &str = "secret = { dev_only = \"web-secret\" }";

fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, algorithm) in [("es.pem", Algorithm::ES256), ("rsa.pem", Algorithm::RS256)] {
        let path = dir.path().join(name);
        let key = SigningKey::generate(algorithm).unwrap();
        std::fs::write(&path, key.to_pkcs8_pem().unwrap().expose()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    dir
}

fn read(lines: &str, algorithm: &str, dir: &Path) -> Result<ClientSettings, Faults> {
    let issuer = "issuer = \"http://127.0.0.1:9000\"";
    let text = GOOD
        .replace(INLINE, lines)
        .replace(issuer, &format!("{issuer}\nid_token_algorithm = \"{algorithm}\""));
    parse(&text, "t.toml", dir, &BTreeMap::new()).map(|settings| settings.clients["web"].clone())
}

const KEY: &str = "private_key = { file = \"es.pem\" }";
const DPOP: &str = "dpop_key = { file = \"es.pem\" }";

#[test]
fn requests_are_as_they_are_asked_for() {
    let dir = files();
    let plain = read(KEY, "ES256", dir.path()).unwrap();
    assert!(!plain.fapi2 && !plain.pushed_requests && !plain.signed_requests && !plain.form_post);
    assert!(plain.dpop_key.is_none() && plain.authorization_parameters.is_empty());
    let lines = format!(
        "{KEY}\n{DPOP}\npushed_requests = true\nsigned_requests = true\nauthorization_parameters = {{ a = \"b\" }}"
    );
    let all = read(&lines, "ES256", dir.path()).unwrap();
    assert!(all.pushed_requests && all.signed_requests && all.dpop_key.is_some());
    assert_eq!(all.authorization_parameters, [("a".to_owned(), "b".to_owned())]);
}

#[test]
fn what_contradicts_is_a_fault() {
    let dir = files();
    for (lines, message) in [
        (
            format!("{INLINE}\nsigned_requests = true"),
            "[client.web] has `signed_requests`, and no `private_key`",
        ),
        (
            format!("{INLINE}\nresponse_mode = \"form_post\""),
            "[client.web] has `response_mode = \"form_post\"`, and `public_url` is not https",
        ),
        (
            format!("{INLINE}\nauthorization_parameters = {{ state = \"x\" }}"),
            "`authorization_parameters` in [client.web] names `state`, which is set here",
        ),
        (
            format!("{INLINE}\ndpop_key = {{ dev_only = \"x\" }}"),
            "`dpop_key` in [client.web] cannot sign",
        ),
    ] {
        let json = read(&lines, "ES256", dir.path()).expect_err(&lines).to_json();
        assert_eq!(json["faults"][0]["message"], message, "{json:#}");
    }
    for (name, elsewhere) in [("state", false), ("prompt", true), ("max_age", true)] {
        let lines = format!("{INLINE}\nauthorization_parameters = {{ {name} = \"x\" }}");
        let json = read(&lines, "ES256", dir.path()).expect_err(&lines).to_json();
        let help = json["faults"][0]["help"].to_string();
        assert_eq!(help.contains("`login` of the [frontend.NAME]"), elsewhere, "{json:#}");
    }
}

#[test]
fn the_profile_refuses_what_it_forbids() {
    let dir = files();
    let good = format!("{KEY}\n{DPOP}\nprofile = \"fapi2\"");
    assert!(read(&good, "ES256", dir.path()).unwrap().fapi2);
    for (lines, algorithm, why) in [
        (
            format!("{INLINE}\n{DPOP}\nprofile = \"fapi2\""),
            "ES256",
            "it proves itself by something that can be replayed",
        ),
        (
            format!("auth = \"none\"\n{DPOP}\nprofile = \"fapi2\""),
            "ES256",
            "it proves itself by something that can be replayed",
        ),
        (
            format!("{KEY}\nprofile = \"fapi2\""),
            "ES256",
            "its tokens are bound to nothing",
        ),
        (
            good.replacen(
                "dpop_key = { file = \"es.pem\" }",
                "dpop_key = { file = \"rsa.pem\" }",
                1,
            ),
            "ES256",
            "its `dpop_key` signs with RS256",
        ),
        (
            "certificate = { cert = \"rsa.pem\", key = \"rsa.pem\" }\nprofile = \"fapi2\"".to_owned(),
            "ES256",
            "its tokens are bound to nothing that upstreams see",
        ),
        (good.clone(), "RS256", "the provider's ID tokens are signed with RS256"),
        (
            good.replacen("es.pem", "rsa.pem", 1),
            "ES256",
            "its `private_key` signs with RS256",
        ),
        (
            format!("{good}\nassertion_audience = \"token_endpoint\""),
            "ES256",
            "its assertions do not name the issuer",
        ),
    ] {
        let json = read(&lines, algorithm, dir.path()).expect_err(&lines).to_json();
        let message = format!("[client.web] does not keep the FAPI 2.0 Security Profile: {why}");
        assert_eq!(json["faults"][0]["message"], message.as_str(), "{json:#}");
    }
    // RSA with PSS is allowed.
    let rsa = format!("{}\nalgorithm = \"PS256\"", good.replacen("es.pem", "rsa.pem", 1));
    assert!(read(&rsa, "PS256", dir.path()).is_ok());
}
