//! What a login is sealed with: a key file, a passphrase, the system's keyring.

use super::{KEPT, World, assert_fails};

#[test]
fn a_key_file_opens_and_another_does_not() {
    let world = World::new();
    assert_eq!(world.sign_in(&KEPT).status, 0);
    assert_eq!(world.run("token", &[]).status, 0);
    let key = world.dir().join("login.key");
    let right = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert_fails(&world.run("token", &[]), 1, "is not there");
    assert!(!key.exists(), "no new key is made");
    let other = World::new();
    assert_eq!(other.sign_in(&KEPT).status, 0);
    std::fs::copy(other.dir().join("login.key"), &key).unwrap();
    assert_fails(&world.run("token", &[]), 1, "sealed with another key");
    std::fs::write(&key, right).unwrap();
    assert_eq!(world.run("token", &[]).status, 0);
    // A login does not open under another name, nor changed, nor where others can read it.
    let file = world.dir().join("logins/default.login");
    std::fs::copy(&file, world.dir().join("logins/other.login")).unwrap();
    assert_fails(&world.run("token", &["--login", "other"]), 1, "sign in again");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, sealed) = text.split_once("\"sealed\":\"").unwrap();
    let middle = sealed.len() / 2;
    let changed = if &sealed[middle..=middle] == "A" { "B" } else { "A" };
    let broken = format!(
        "{head}\"sealed\":\"{}{changed}{}",
        &sealed[..middle],
        &sealed[middle + 1..]
    );
    std::fs::write(&file, broken).unwrap();
    assert_fails(&world.run("whoami", &[]), 1, "cannot be opened");
    std::fs::write(&file, "{}").unwrap();
    assert_fails(&world.run("whoami", &[]), 1, "damaged");
    std::fs::write(&file, text).unwrap();
    assert_eq!(world.run("whoami", &[]).status, 0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_fails(&world.run("whoami", &[]), 1, "others can use it (mode 0644)");
    }
}

#[test]
fn a_passphrase_opens_and_another_does_not() {
    let world = World::new();
    for (name, text) in [
        ("right", "correct horse battery"),
        ("wrong", "correct horse"),
        ("empty", ""),
    ] {
        write_private(&world.dir().join(name), text);
    }
    let kept = ["--dir", "logins", "--passphrase-file"];
    assert_fails(
        &world.begin(&[&kept[..], &["empty"]].concat()).ended(),
        1,
        "nothing in it",
    );
    let ended = world.sign_in(&[&kept[..], &["right"]].concat());
    assert_eq!(
        (ended.status, ended.stdout.contains("sealed with a passphrase")),
        (0, true),
        "{ended:?}"
    );
    assert_eq!(
        world.run("token", &["--refresh", "--passphrase-file", "right"]).status,
        0
    );
    assert_fails(
        &world.run("token", &["--passphrase-file", "wrong"]),
        1,
        "that is not the passphrase",
    );
    // Nobody is there to be asked.
    let kept = String::from_utf8(world.kept()[1].1.clone()).unwrap();
    assert!(
        kept.contains("\"memory_kib\":65536") && !kept.contains("horse"),
        "{kept}"
    );
    // Where the passphrase is lost, the login can be forgotten.
    let forgotten = world.run("logout", &["--here-only"]);
    assert_eq!(
        (forgotten.status, forgotten.stdout.contains("forgotten here")),
        (0, true),
        "{forgotten:?}"
    );
    assert_eq!(
        world.idp.control().token_counts().live_refresh_tokens,
        1,
        "the provider was not told"
    );
}

#[cfg(not(target_os = "macos"))]
#[test]
fn without_a_keyring_and_a_terminal_one_has_to_choose() {
    let world = World::new();
    // Whoever runs this test may have a keyring.
    let without = |options: &[&str]| world.begin_with(options, &[("PATH", "nowhere")]).ended();
    let ended = without(&["--dir", "logins", "--keyring"]);
    assert_fails(
        &ended,
        1,
        "the system's keyring cannot be used: there is no program secret-tool",
    );
    assert_fails(&without(&["--dir", "logins"]), 2, "--key-file");
    assert!(
        world.idp.control().request_log().is_empty(),
        "whoever cannot keep a login need not sign in"
    );
}

pub(super) fn write_private(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// What libsecret's program does, with a directory for a keyring. It notes what it was called with.
#[cfg(all(unix, not(target_os = "macos")))]
const SECRET_TOOL: &str = r#"#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/calls"
case "$1" in
store) cat > "$here/secret" ;;
lookup) test -f "$here/secret" && cat "$here/secret" ;;
clear) rm -f "$here/secret" ;;
esac
"#;

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn a_key_in_the_keyring_opens_until_it_is_gone() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let programs = world.dir().join("bin");
    std::fs::create_dir(&programs).unwrap();
    let tool = programs.join("secret-tool");
    std::fs::write(&tool, SECRET_TOOL).unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let run = |command: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args([command, "--dir", "logins"])
            .current_dir(world.dir())
            .env("PATH", &path)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        crate::process::Ended {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    };
    let ended = world.sign_in_with(&["--dir", "logins"], &[("PATH", &path)]);
    let words = "kept sealed with a key in the system's keyring";
    assert_eq!((ended.status, ended.stdout.contains(words)), (0, true), "{ended:?}");
    let key = std::fs::read_to_string(programs.join("secret")).unwrap();
    assert_eq!(key.len(), 43);
    assert_eq!(run("token").status, 0);
    // No list of processes shows the key, and the login's file does not have it.
    let calls = std::fs::read_to_string(programs.join("calls")).unwrap();
    assert!(
        calls.contains("application portcullis login") && !calls.contains(&key),
        "{calls}"
    );
    assert!(!String::from_utf8_lossy(&world.kept()[1].1).contains(&key));
    // Without the key nothing opens.
    std::fs::rename(programs.join("secret"), programs.join("away")).unwrap();
    assert_fails(&run("token"), 1, "has no key of this login any more");
    std::fs::rename(programs.join("away"), programs.join("secret")).unwrap();
    let out = run("logout");
    assert_eq!(out.status, 0, "{out:?}");
    assert!(!programs.join("secret").exists(), "the keyring forgets too");
}
