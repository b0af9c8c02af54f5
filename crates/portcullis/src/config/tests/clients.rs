//! How clients prove themselves.

use std::collections::BTreeMap;
use std::path::Path;

use portcullis_jose::{Algorithm, SigningKey, UnixTime};
use portcullis_oidc::client_auth::AssertionAudience;

use super::super::{ClientAuth, ClientSettings, Faults, SecretSource, parse};
use super::{GOOD, shows};

const INLINE: &str = "secret = { dev_only = \"web-secret\" }";

fn with(lines: &str, dir: &Path) -> Result<ClientSettings, Faults> {
    let env = BTreeMap::from([
        ("OLD".to_owned(), "old".to_owned()),
        ("NEW".to_owned(), "new".to_owned()),
    ]);
    parse(&GOOD.replace(INLINE, lines), "t.toml", dir, &env).map(|settings| settings.clients["web"].clone())
}

/// Code, message and label of the one fault.
#[track_caller]
fn fault(lines: &str, dir: &Path) -> (String, String, String) {
    let json = with(lines, dir).expect_err("a fault").to_json();
    let faults = json["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1, "{json:#}");
    let text = |key: &str| faults[0][key].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message"), text("label"))
}

fn private(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// A directory with a key as PEM and as JWK, and with certificates.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    private(&dir.path().join("key.pem"), key.to_pkcs8_pem().unwrap().expose());
    private(&dir.path().join("key.jwk"), key.to_private_jwk().unwrap().expose());
    private(&dir.path().join("client.pem"), "a certificate");
    private(&dir.path().join("client.key"), "a key");
    dir
}

#[test]
fn what_is_there_decides_the_method() {
    let dir = files();
    let auth = |lines: &str| with(lines, dir.path()).unwrap_or_else(|faults| panic!("{faults}")).auth;
    assert!(matches!(auth(INLINE), ClientAuth::Basic(_)));
    assert!(matches!(auth("auth = \"none\""), ClientAuth::None));
    for form in ["key.pem", "key.jwk"] {
        let read = auth(&format!("private_key = {{ file = \"{form}\" }}"));
        assert!(
            matches!(read, ClientAuth::PrivateKeyJwt { algorithm: None, .. }),
            "{form}"
        );
    }
    let named = auth("private_key = { file = \"key.pem\" }\nalgorithm = \"ES256\"\nauth = \"private_key_jwt\"");
    let ClientAuth::PrivateKeyJwt { keys, algorithm } = named else {
        panic!("another method")
    };
    assert_eq!((keys.len(), algorithm), (1, Some(Algorithm::ES256)));
    let file = auth("assertion_file = \"not/there/yet\"");
    assert!(matches!(file, ClientAuth::AssertionFile(path) if path == dir.path().join("not/there/yet")));
    let tls = "certificate = { cert = \"client.pem\", key = \"client.key\" }";
    for (method, expected) in [("", false), ("\nauth = \"self_signed_tls_client_auth\"", true)] {
        let ClientAuth::Tls { self_signed, .. } = auth(&format!("{tls}{method}")) else {
            panic!("another method")
        };
        assert_eq!(self_signed, expected);
    }
}

#[test]
fn the_token_of_a_registration_is_read_when_it_is_needed() {
    let lines =
        "secret = { env = \"NEW\" }\nregistration = { uri = \"https://a.example/web\", token_file = \"not/there\" }";
    let registration = with(lines, Path::new("/base")).unwrap().registration.unwrap();
    assert_eq!(registration.uri.as_str(), "https://a.example/web");
    assert_eq!(registration.token_file, Path::new("/base/not/there"));
    assert_eq!(
        with("secret = { env = \"NEW\" }", Path::new("")).unwrap().registration,
        None
    );
}

#[test]
fn several_secrets_have_dates() {
    let lines = "secret = [{ env = \"NEW\", not_before = \"2026-11-01\", expires = \"2027-05-01T12:00:00Z\" }, { env = \"OLD\" }]";
    let ClientAuth::Basic(secrets) = with(lines, Path::new("")).unwrap().auth else {
        panic!("another method")
    };
    assert_eq!(
        secrets.iter().map(|secret| secret.value.expose()).collect::<Vec<_>>(),
        ["new", "old"]
    );
    assert_eq!(secrets[0].source, SecretSource::Env("NEW".into()));
    assert_eq!(secrets[0].not_before, Some(UnixTime::from_secs(1_793_491_200)));
    assert_eq!(secrets[0].expires, Some(UnixTime::from_secs(1_809_172_800)));
    assert_eq!((secrets[1].not_before, secrets[1].expires), (None, None));
    for (lines, label) in [
        ("secret = { env = \"NEW\", expires = \"soon\" }", "not understood"),
        (
            "secret = { env = \"NEW\", not_before = \"2027-13-01\" }",
            "not understood",
        ),
        (
            "secret = { env = \"NEW\", not_before = \"2027-01-01\", expires = \"2026-12-31\" }",
            "not later than `not_before`",
        ),
    ] {
        assert_eq!(fault(lines, Path::new("")).2, label, "{lines}");
    }
    assert_eq!(fault("secret = []", Path::new("")).0, "config.empty");
    assert_eq!(fault("secret = [\"hunter2\"]", Path::new("")).0, "config.secret_inline");
}

#[test]
fn a_method_has_what_it_needs() {
    let dir = files();
    for (lines, message, label) in [
        (
            "secret = { env = \"NEW\" }\nauth = \"private_key_jwt\"",
            "[client.web] has a `secret`, but `auth` is \"private_key_jwt\"",
            "needs `private_key`, `own_keys`, `assertion_file`",
        ),
        (
            "private_key = { file = \"key.pem\" }\nauth = \"client_secret_post\"",
            "[client.web] has a `private_key`, but `auth` is \"client_secret_post\"",
            "needs `secret`",
        ),
        (
            "private_key = { file = \"key.pem\" }\nregistration = { uri = \"https://a.example/web\", token_file = \"t\" }",
            "[client.web] has a `registration`, and no `secret`",
            "it is there to replace secrets",
        ),
        (
            "secret = { env = \"NEW\" }\nregistration = { uri = \"http://a.example/web\", token_file = \"t\" }",
            "`registration.uri` in [client.web] is plain http to a host that is not loopback",
            "who listens on the way could read and change what is sent",
        ),
        (
            "auth = \"tls_client_auth\"",
            "missing key `certificate` in [client.web]",
            "add `certificate = { cert = \"client.pem\", key = \"client.key\" }`",
        ),
        (
            "secret = { env = \"NEW\" }\nprivate_key = { file = \"key.pem\" }",
            "[client.web] proves itself in more than one way: `secret`, `private_key`",
            "",
        ),
        (
            "secret = { env = \"NEW\" }\nalgorithm = \"ES256\"",
            "[client.web] has `algorithm`, and no `private_key`",
            "nothing would be signed with it",
        ),
        (
            "secret = { env = \"NEW\" }\nassertion_audience = \"token_endpoint\"",
            "[client.web] has `assertion_audience`, and no `private_key`",
            "no assertion would be signed",
        ),
        (
            "private_key = { file = \"client.key\" }",
            "`private_key` in [client.web] cannot sign",
            "not a PEM text with one unencrypted private key (PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY); decrypt with: openssl pkey -in KEY",
        ),
        (
            "private_key = { file = \"key.pem\" }\nalgorithm = \"PS256\"",
            "`private_key` in [client.web] cannot sign",
            "the private key cannot be used with PS256",
        ),
    ] {
        let (_, found, place) = fault(lines, dir.path());
        assert_eq!((found.as_str(), place.as_str()), (message, label), "{lines}");
    }
}

#[test]
fn an_issuer_that_is_a_template_is_no_audience() {
    let dir = files();
    let text = GOOD
        .replace(
            "issuer = \"http://127.0.0.1:9000\"",
            "issuer = \"https://login.example.com/{tenantid}/v2.0\"\ntenants = [\"a\"]\ndiscovery = \"https://login.example.com/common/v2.0\"",
        )
        .replace(INLINE, "private_key = { file = \"key.pem\" }");
    let read = |text: &str| parse(text, "t.toml", dir.path(), &BTreeMap::new());
    let shown = read(&text).expect_err("a fault").to_string();
    assert!(
        shown.contains("signs assertions for a provider whose issuer is a template"),
        "{shown}"
    );
    let text = text.replace(
        "{ file = \"key.pem\" }",
        "{ file = \"key.pem\" }\nassertion_audience = \"token_endpoint\"",
    );
    let settings = read(&text).unwrap();
    assert_eq!(
        settings.clients["web"].assertion_audience,
        AssertionAudience::TokenEndpoint
    );
}

#[test]
fn a_private_key_is_not_shown() {
    shows(
        &GOOD.replace(INLINE, "private_key = \"-----BEGIN PRIVATE KEY-----\""),
        r#"
error[config.secret_inline]: `private_key` in [client.web] is written into the configuration
  --> t.toml:10:15
   |
10 | private_key = "***************************"
   |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ whoever reads this file has it
   |
   = note: expected { file = "PATH" }, { env = "VARIABLE" } or { command = ["PROGRAM", "ARGUMENT"] }
   = help: move it to a file of its own, `chmod 600` it, and name that: { file = "PATH" }
   = help: then change it at the provider: it may be in backups and in version control
"#,
    );
}
