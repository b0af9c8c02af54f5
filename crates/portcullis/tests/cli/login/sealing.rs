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

#[test]
fn without_a_keyring_and_a_terminal_one_has_to_choose() {
    let world = World::new();
    let ended = world.begin(&["--dir", "logins", "--keyring"]).ended();
    assert_fails(&ended, 1, "the system's keyring cannot be used");
    assert_fails(&world.begin(&["--dir", "logins"]).ended(), 2, "--key-file");
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
