//! Secrets are named, not written, and appear nowhere.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::{ClientAuth, Faults, Settings, parse};
use super::{GOOD, read, shows};

const INLINE: &str = "secret = { dev_only = \"web-secret\" }";

/// The good configuration on https, with another secret.
fn with(secret: &str, dir: &Path, env: &[(&str, &str)]) -> Result<Settings, Faults> {
    let text = GOOD
        .replace(
            "http://127.0.0.1:8080\"",
            "https://app.example.com\"\nlisten = \"127.0.0.1:0\"",
        )
        .replace(INLINE, &format!("secret = {secret}"));
    let env: BTreeMap<_, _> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    parse(&text, "t.toml", dir, &env)
}

fn expose(settings: &Settings) -> &str {
    match &settings.clients["web"].auth {
        ClientAuth::Basic(secrets) => secrets[0].value.expose(),
        other => panic!("{other:?}"),
    }
}

/// Code, message and label of the one fault.
fn fault(result: Result<Settings, Faults>) -> (String, String, String) {
    let json = result.expect_err("a fault").to_json();
    let faults = json["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 1, "{json:#}");
    let text = |key: &str| faults[0][key].as_str().unwrap_or_default().to_owned();
    (text("code"), text("message"), text("label"))
}

#[test]
fn a_variable_gives_a_secret() {
    let settings = with("{ env = \"WEB\" }", Path::new(""), &[("WEB", "hunter2")]).unwrap();
    assert_eq!(expose(&settings), "hunter2");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn a_variable_that_is_not_set_is_a_fault() {
    let (code, message, _) = fault(with("{ env = \"WEB\" }", Path::new(""), &[]));
    assert_eq!(
        (code.as_str(), message.as_str()),
        (
            "config.secret_unavailable",
            "`secret.env` in [client.web]: the variable is not set"
        )
    );
}

#[test]
fn a_secret_that_is_empty_or_odd_is_a_fault_without_its_text() {
    for (value, label) in [
        ("", "nothing in it"),
        ("\n", "nothing in it"),
        (" hunter2", "a space, line break or control character too many"),
        ("hunter2\n\n", "a space, line break or control character too many"),
        ("hunter2\r\r\n", "a space, line break or control character too many"),
        ("hunter2\r\n\r\n", "a space, line break or control character too many"),
        (
            "\u{feff}hunter2",
            "a byte order mark in front (U+FEFF): save it as UTF-8 without one",
        ),
        (
            "\u{feff}",
            "a byte order mark in front (U+FEFF): save it as UTF-8 without one",
        ),
    ] {
        let result = with("{ env = \"WEB\" }", Path::new(""), &[("WEB", value)]);
        assert!(!format!("{result:?}").contains("hunter2"));
        assert_eq!(fault(result).2, label, "{value:?}");
    }
}

#[cfg(unix)]
mod files {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(mode: u32, content: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("web");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        dir
    }

    #[test]
    fn a_private_file_gives_a_secret_without_its_line_end() {
        for (mode, content) in [(0o600, "hunter2\n"), (0o400, "hunter2"), (0o600, "hunter2\r\n")] {
            let dir = file(mode, content.as_bytes());
            assert_eq!(expose(&with("{ file = \"web\" }", dir.path(), &[]).unwrap()), "hunter2");
        }
    }

    #[test]
    fn a_file_as_windows_writes_it_is_a_fault_that_says_how_to_save_it() {
        for (content, label) in [
            (
                &b"\xef\xbb\xbfhunter2\r\n"[..],
                "a byte order mark in front (U+FEFF): save it as UTF-8 without one",
            ),
            (
                b"\xff\xfeh\0u\0",
                "UTF-16, as PowerShell writes with `>`: save it as UTF-8 without a byte order mark",
            ),
            (
                b"\xfe\xff\0h\0u",
                "UTF-16, as PowerShell writes with `>`: save it as UTF-8 without a byte order mark",
            ),
            (b"h\xff", "not UTF-8"),
        ] {
            let dir = file(0o600, content);
            let (code, message, said) = fault(with("{ file = \"web\" }", dir.path(), &[]));
            assert_eq!(
                (code.as_str(), said.as_str()),
                ("config.secret_unavailable", label),
                "{message}"
            );
        }
        // In the middle it is a character like any other, and the provider's business.
        let dir = file(0o600, "hunter\u{feff}2\r\n".as_bytes());
        assert_eq!(
            expose(&with("{ file = \"web\" }", dir.path(), &[]).unwrap()),
            "hunter\u{feff}2"
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_a_fault_with_the_fix() {
        for mode in [0o644, 0o640, 0o604, 0o660] {
            let dir = file(mode, b"hunter2");
            let faults = with("{ file = \"web\" }", dir.path(), &[]).unwrap_err();
            let shown = faults.to_string();
            assert!(
                shown.contains(
                    "error[config.secret_permissions]: other users can read the file of `secret.file` in [client.web]"
                ),
                "{shown}"
            );
            assert!(shown.contains(&format!("its mode is {mode:04o}")), "{shown}");
            assert!(
                shown.contains(&format!("help: chmod 600 {}", dir.path().join("web").display())),
                "{shown}"
            );
            assert!(!shown.contains("hunter2"));
        }
    }

    #[test]
    fn a_key_of_tls_is_a_secret_file_too() {
        let dir = file(0o644, b"key");
        std::fs::write(dir.path().join("cert"), "cert").unwrap();
        let text = GOOD.replace(
            "http://127.0.0.1:8080\"",
            "https://127.0.0.1:8443\"\ntls = { cert = \"cert\", key = \"web\" }",
        );
        let faulty = parse(&text, "t.toml", dir.path(), &BTreeMap::new());
        assert_eq!(fault(faulty).0, "config.secret_permissions");
        std::fs::set_permissions(dir.path().join("web"), std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(parse(&text, "t.toml", dir.path(), &BTreeMap::new()).is_ok());
    }

    #[test]
    fn a_file_that_is_missing_or_no_text_is_a_fault() {
        let dir = file(0o600, b"\xf0\x28");
        assert_eq!(fault(with("{ file = \"web\" }", dir.path(), &[])).2, "not UTF-8");
        assert_eq!(
            fault(with("{ file = \"other\" }", dir.path(), &[])).0,
            "config.secret_unavailable"
        );
        assert_eq!(
            fault(with("{ file = \".\" }", dir.path(), &[])).0,
            "config.secret_unavailable"
        );
        let dir = file(0o600, &[b'a'; 64 * 1024 + 1]);
        assert_eq!(fault(with("{ file = \"web\" }", dir.path(), &[])).2, "more than 64 KiB");
    }

    #[test]
    fn a_command_gives_a_secret_and_runs_beside_the_configuration() {
        let dir = file(0o600, b"hunter2\n");
        let settings = with("{ command = [\"cat\", \"web\"] }", dir.path(), &[]).unwrap();
        assert_eq!(expose(&settings), "hunter2");
        let (code, message, label) = fault(with("{ command = [\"cat\", \"other\"] }", dir.path(), &[]));
        assert_eq!(code, "config.secret_unavailable");
        assert_eq!(message, "`secret.command` in [client.web]: the command failed");
        assert_eq!(label, "exit status: 1");
    }

    #[test]
    fn sealing_keys_are_32_bytes_from_anywhere() {
        let hex = "0123456789abcdef0123456789abcdef0123456789ABCDEF0123456789abcdef";
        let base64 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let dir = file(0o600, hex.as_bytes());
        let text = format!("{GOOD}\n[store]\nkeys = [{{ file = \"web\" }}, {{ env = \"OLD\" }}]\n");
        let read = |old: &str| {
            let env = BTreeMap::from([("OLD".to_owned(), old.to_owned())]);
            parse(&text, "t.toml", dir.path(), &env)
        };
        let keys = read(base64).unwrap().store.keys;
        assert_eq!(keys.iter().map(|key| key.expose()).collect::<Vec<_>>(), [hex, base64]);
        for wrong in [&hex[1..], &base64[1..], "passphrase", &format!("{base64}=")] {
            let result = read(wrong);
            assert!(!format!("{result:?}").contains(wrong));
            assert_eq!(fault(result).1, "entry 2 of `keys` in [store] is no sealing key");
        }
    }
}

#[test]
fn a_secret_in_the_configuration_is_a_fault() {
    shows(
        &GOOD.replace(INLINE, "secret = \"hunter2\""),
        r#"
error[config.secret_inline]: `secret` in [client.web] is written into the configuration
  --> t.toml:10:10
   |
10 | secret = "*******"
   |          ^^^^^^^^^ whoever reads this file has it
   |
   = note: expected { file = "PATH" }, { env = "VARIABLE" } or { command = ["PROGRAM", "ARGUMENT"] }
   = help: move it to a file of its own, `chmod 600` it, and name that: { file = "PATH" }
   = help: then change it at the provider: it may be in backups and in version control
"#,
    );
}

#[test]
fn dev_only_is_for_loopback_on_both_sides() {
    let (code, message, _) = fault(with("{ dev_only = \"hunter2\" }", Path::new(""), &[]));
    assert_eq!(code, "config.secret_inline");
    assert_eq!(
        message,
        "`secret.dev_only` in [client.web] is not for this configuration: `public_url` is not loopback"
    );
    let public_issuer = GOOD.replace("http://127.0.0.1:9000", "https://login.example.com");
    let (_, message, _) = fault(read(&public_issuer));
    assert_eq!(
        message,
        "`secret.dev_only` in [client.web] is not for this configuration: the provider's issuer is not loopback"
    );
    assert!(read(GOOD).is_ok());
    // Where what decides is itself wrong, that alone is said.
    let (code, ..) = fault(read(&GOOD.replace("http://127.0.0.1:9000", "http://login.example.com")));
    assert_eq!(code, "config.insecure_url");
}

#[test]
fn no_fault_shows_a_secret_wherever_it_was_put() {
    for text in [
        GOOD.replace(INLINE, "secret = \"hunter2\""),
        GOOD.replace(INLINE, "client_secret = \"hunter2\""),
        GOOD.replace(INLINE, "secert = { password = \"hunter2\" }"),
        GOOD.replace(INLINE, "secret = { flie = \"hunter2\" }"),
        GOOD.replace(INLINE, "secret = [\"hunter2\"]"),
        GOOD.replace(INLINE, "secret = { dev_only = \"hunter2\", env = \"X\" }"),
        GOOD.replace(
            INLINE,
            "secret = { command = [\"/nonexistent/x\", \"--password=hunter2\"] }",
        ),
        GOOD.replace(INLINE, "secret = { dev_only = \"hunter2\" }")
            .replace("http://127.0.0.1:9000", "https://a.example"),
        GOOD.replace("http://127.0.0.1:9000", "https://me:hunter2@127.0.0.1:9000"),
        GOOD.replace("http://127.0.0.1:5000", "hunter2@127.0.0.1"),
        format!("{GOOD}[store]\nurl = \"postgres://me:hunter2@db/x\""),
        format!("{GOOD}[store]\nurl = \"sqlite:/x.db\"\nkeys = [\"hunter2\"]"),
        // No TOML at all.
        GOOD.replace(INLINE, "secret = \"hunter2"),
        GOOD.replace(INLINE, "secret = hunter2"),
        GOOD.replace(INLINE, "secret = { file = \"x\", dev_only = \"hunter2 }"),
        GOOD.replace(INLINE, "secret = \"\"\"\nhunter2\n"),
        GOOD.replace(INLINE, "secret == \"hunter2\""),
        GOOD.replace("http://127.0.0.1:9000\"", "https://me:hunter2@127.0.0.1:9000"),
    ] {
        let faults = read(&text).expect_err(&text);
        let shown = faults.to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!faults.to_json().to_string().contains("hunter2"), "{shown}");
        assert!(!format!("{faults:?}").contains("hunter2"), "{shown}");
    }
}
