//! The command lines of the manual, each of them run.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use portcullis_idp::{Api, Client, GrantType, Idp, IdpConfig, Mint, User};
use portcullis_jose::{Algorithm, Secret, SystemClock};

use crate::fake::{Fake, Reply};
use crate::process::portcullis;

/// The command lines of a page, a line that goes on in the next joined with it.
fn command_lines(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    let mut open = String::new();
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside && matches!(language, "console" | "sh");
            continue;
        }
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let ours = line.starts_with("portcullis ") || line.contains("| portcullis ");
        if !inside || open.is_empty() && !ours {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(begun) => open.push_str(begun),
            None => found.push(std::mem::take(&mut open) + line),
        }
    }
    found
}

/// The command of a line that is not run here: it goes on until it is stopped, or asks a person, a browser or the
/// keyring of whoever runs the tests.
fn not_run(line: &str) -> Option<&'static str> {
    let known = ["serve", "demo", "idp", "login", "logout", "token", "whoami"];
    let command = line.split("portcullis ").nth(1)?.split(' ').next()?;
    known.into_iter().find(|known| *known == command)
}

/// Of such a line, the options at least are there.
fn has_options(dir: &Path, command: &str, line: &str) {
    let help = portcullis(dir, &[command, "--help"]).stdout;
    for option in line.split(' ').filter(|word| word.starts_with("--")) {
        let option = option.split('=').next().unwrap_or(option);
        assert!(help.contains(option), "{line}: {option}: {help}");
    }
}

fn provider() -> IdpConfig {
    let scopes = vec!["orders.read".to_owned()];
    IdpConfig {
        signing_algorithm: Algorithm::ES256,
        users: vec![User {
            username: "alice".into(),
            scopes: scopes.clone(),
            ..User::default()
        }],
        clients: vec![Client {
            client_id: "job".into(),
            secret: Some(Secret::new("job-demo")),
            grants: vec![GrantType::ClientCredentials],
            scopes: scopes.clone(),
            ..Client::default()
        }],
        apis: vec![Api {
            audience: "api://orders".into(),
            scopes,
        }],
        ..IdpConfig::default()
    }
}

fn configuration(issuer: &str, gateway: &str) -> String {
    format!(
        r#"[server]
public_url = "{gateway}"
[provider.dev]
issuer = "{issuer}"
[client.job]
provider = "dev"
client_id = "job"
secret = {{ dev_only = "job-demo" }}
[api.orders]
path = "/api/orders"
upstream = "{gateway}"
provider = "dev"
audience = "api://orders"
policy = "Read"
[policy.Read]
scope = "orders.read"
"#
    )
}

/// What stands for a program of a desktop that is not there.
fn stub(dir: &Path, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_line_of_the_manual_runs() {
    let idp = Idp::start(provider(), Arc::new(SystemClock)).await.unwrap();
    let gateway = Fake::start(|_, _| Reply::status(200));
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    fs::write(
        home.join("portcullis.toml"),
        configuration(idp.issuer(), &gateway.origin),
    )
    .unwrap();
    let token = idp.control().mint(&Mint::default()).unwrap();
    for name in ["token.txt", "leaked-token.txt"] {
        fs::write(home.join(name), &token).unwrap();
    }
    fs::create_dir_all(home.join(".local/share/bash-completion/completions")).unwrap();
    let programs = home.join("bin");
    fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_portcullis"), programs.join("portcullis")).unwrap();
    stub(&programs, "pbpaste", "cat token.txt");
    stub(&programs, "man", "cat > page.txt");

    let manual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut run = 0;
    for page in fs::read_dir(manual).unwrap().map(|entry| entry.unwrap().path()) {
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        for line in command_lines(&fs::read_to_string(&page).unwrap()) {
            if let Some(command) = not_run(&line) {
                has_options(home, command, &line);
                continue;
            }
            run += 1;
            let here = line.replace("https://app.example.com", &gateway.origin);
            let output = tokio::task::block_in_place(|| {
                Command::new("bash")
                    .args(["-o", "pipefail", "-c", &here])
                    .current_dir(home)
                    .env("HOME", home)
                    .env(
                        "PATH",
                        format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()),
                    )
                    .stdin(Stdio::null())
                    .output()
                    .unwrap()
            });
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!told.contains("For more information, try"), "{page:?}: {line}: {told}");
            // These ask a gateway that runs; there is none here.
            let needs_one = ["revocations", "portcullis revoke", "portcullis sessions"];
            let needs_one = needs_one.iter().any(|command| line.contains(command));
            assert!(needs_one || output.status.success(), "{page:?}: {line}: {output:?}");
        }
    }
    assert!(run >= 12, "{run} command lines");
    let written = fs::read_to_string(home.join(".local/share/bash-completion/completions/portcullis")).unwrap();
    assert!(written.contains("_portcullis"));
    assert!(home.join(".local/share/man/man1/portcullis-doctor.1").exists());
    assert!(
        fs::read_to_string(home.join("page.txt"))
            .unwrap()
            .contains(".TH portcullis-inspect")
    );
}

#[test]
fn lines_that_go_on_are_joined_and_what_is_no_command_is_left_out() {
    let page = "portcullis no\n```text\nportcullis no\n```\n```console\n$ portcullis a \\\n    --b\n{}\n$ curl x\n$ pbpaste | portcullis c\n```\n";
    assert_eq!(command_lines(page), ["portcullis a     --b", "pbpaste | portcullis c"]);
}
