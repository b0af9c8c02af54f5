//! `portcullis keys`.

use std::path::Path;
use std::process::{Command, Output};

use crate::fixed::{fixed, fixed_json};

const CONFIG: &str = r#"
[server]
public_url = "http://127.0.0.1:8080"

[provider.local]
issuer = "http://127.0.0.1:9000"

[client.web]
provider = "local"
client_id = "web"
own_keys = { file = "web.keys" }

[client.job]
provider = "local"
client_id = "job"
auth = "none"

[api.public]
path = "/api"
upstream = "http://127.0.0.1:5000"
accept = ["anyone"]
"#;

fn keys(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let config = dir.join("portcullis.toml");
    command.arg("keys").arg(arguments[0]).arg("--config").arg(config);
    command.args(&arguments[1..]).output().unwrap()
}

fn listed(dir: &Path) -> Vec<(String, String)> {
    let output = keys(dir, &["list", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.as_array()
        .unwrap()
        .iter()
        .map(|row| (text(row, "kid"), text(row, "role")))
        .collect()
}

#[test]
fn they_are_shown_replaced_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("portcullis.toml"), CONFIG).unwrap();
    let first = listed(dir.path());
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].1, "signing");
    let output = keys(dir.path(), &["rotate", "--client", "web"]);
    let made = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    // It is published before it signs.
    assert_eq!(
        listed(dir.path()),
        [(made.clone(), "next".to_owned()), first[0].clone()]
    );
    let human = keys(dir.path(), &["list"]);
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(
        human.lines().count() == 2 && human.starts_with(&format!("web  {made}  ES256  next")),
        "{human}"
    );
    insta::assert_snapshot!("keys_list", fixed(&human, &[(&made, "NEWER"), (&first[0].0, "OLDER")]));
    let json = String::from_utf8(keys(dir.path(), &["list", "--json"]).stdout).unwrap();
    insta::assert_snapshot!(
        "keys_list_json",
        fixed_json(&json, &[(&made, "NEWER"), (&first[0].0, "OLDER")])
    );
    assert!(
        keys(dir.path(), &["retire", "--client", "web", &first[0].0])
            .status
            .success()
    );
    assert_eq!(listed(dir.path()), [(made.clone(), "signing".to_owned())]);
    for (arguments, message) in [
        (vec!["retire", "--client", "web", made.as_str()], "it is the only key"),
        (
            vec!["retire", "--client", "web", "nobody"],
            "client web has no key nobody",
        ),
        // One of 64 names begins like an option.
        (
            vec!["retire", "--client", "web", "-nobody"],
            "client web has no key -nobody",
        ),
        (vec!["rotate", "--client", "job"], "client job has no own_keys"),
        (vec!["rotate", "--client", "nobody"], "there is no client nobody"),
    ] {
        let output = keys(dir.path(), &arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
    }
}

/// The sealing keys, as `list --sealing` shows them.
fn sealing(dir: &Path) -> Vec<(String, String)> {
    let output = keys(dir, &["list", "--sealing", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| (text(row, "kid"), text(row, "role"))).collect()
}

#[test]
fn sealing_keys_are_shown_replaced_and_removed() {
    use std::os::unix::fs::PermissionsExt as _;

    let rotated = |dir: &Path, arguments: &[&str]| {
        let output = keys(dir, &[&["rotate", "--sealing"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    for store in [
        "",
        "[store]\nurl = \"sqlite:x.db\"\nkeys = [{ file = \"portcullis.key\" }]\n",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let file = dir.join("portcullis.key");
        std::fs::write(dir.join("portcullis.toml"), format!("{store}{CONFIG}")).unwrap();
        let begun = "# of mine\n07c4b1e2953fa86d7e0b19cd42f6a5380ed97b61c3f2458a96eb71d03c85f24a\n";
        std::fs::write(&file, begun).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        // A client's keys are sealed with it.
        let own = listed(dir);
        let first = sealing(dir)[0].0.clone();
        let second = rotated(dir, &[]);
        let third = rotated(dir, &["--behind"]);
        let row = |kid: &str, role: &str| (kid.to_owned(), role.to_owned());
        assert_eq!(
            sealing(dir),
            [row(&second, "seals"), row(&third, "opens"), row(&first, "opens")]
        );
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("# of mine\n"));
        for (kid, message) in [
            (second.as_str(), "is the one that seals"),
            ("00000000", "there is no sealing key 00000000"),
        ] {
            let output = keys(dir, &["retire", "--sealing", kid]);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.contains(message), "{stderr}");
        }
        for kid in [&first, &third] {
            assert!(keys(dir, &["retire", "--sealing", kid]).status.success());
        }
        assert_eq!(sealing(dir), [row(&second, "seals")]);
        assert_eq!(listed(dir), own, "they went with the new key");
        for line in [
            &["rotate"][..],
            &["rotate", "--client", "web", "--sealing"],
            &["rotate", "--client", "web", "--behind"],
        ] {
            assert_eq!(keys(dir, line).status.code(), Some(2), "{line:?}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = "[store]\nurl = \"sqlite:x.db\"\nkeys = [{ command = [\"echo\", \"07c4b1e2953fa86d7e0b19cd42f6a5380ed97b61c3f2458a96eb71d03c85f24a\"] }]\n";
    std::fs::write(dir.path().join("portcullis.toml"), format!("{store}{CONFIG}")).unwrap();
    let output = keys(dir.path(), &["rotate", "--sealing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("where nothing can be written")
    );
}
