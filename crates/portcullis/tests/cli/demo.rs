//! `portcullis demo`.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Running, get, portcullis, start};

/// Starts the demo on free ports and gives what it prints when it is ready.
fn demo(dir: &Path, more: &[&str]) -> (Running, Value) {
    let demo = start(dir, &[&["demo", "--json", "--port", "0"], more].concat());
    let ready = serde_json::from_str(&demo.line()).expect("one line of JSON");
    (demo, ready)
}

fn url<'a>(ready: &'a Value, name: &str) -> &'a str {
    ready[name].as_str().unwrap_or_else(|| panic!("{name} in {ready}"))
}

#[test]
fn it_prints_one_line_when_all_of_it_answers_and_ends_with_ctrl_c() {
    let dir = tempfile::tempdir().unwrap();
    let (demo, ready) = demo(dir.path(), &[]);

    let members: BTreeSet<&str> = ready.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["admin", "api", "app", "provider", "users"]));
    let (read, write, admin) = ("orders.read", "orders.write", "orders.admin");
    assert_eq!(
        ready["users"],
        json!([
            { "username": "alice", "password": "alice-demo", "scopes": [read, write] },
            { "username": "bob", "password": "bob-demo", "scopes": [read] },
            { "username": "carol", "password": "carol-demo", "scopes": [read, write, admin] },
        ])
    );

    let at = |name: &str| url(&ready, name);
    let page = get(&format!("{}/", at("app")));
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-type: text/html"), "{}", page.head);
    let refused = get(&format!("{}/api/orders", at("app")));
    assert_eq!(refused.status, 401);
    assert!(
        refused.head.contains("content-type: application/problem+json"),
        "{}",
        refused.head
    );
    assert!(refused.body.contains("/bff/login"), "{}", refused.body);
    assert_eq!(
        get(&format!("{}/orders", at("api"))).status,
        401,
        "the API has a guard of its own"
    );
    let metadata = get(&format!("{}/.well-known/openid-configuration", at("provider")));
    let metadata: Value = serde_json::from_str(&metadata.body).unwrap();
    assert_eq!(metadata["issuer"], ready["provider"]);
    for (path, says) in [
        ("/", "<html"),
        ("/livez", ""),
        ("/readyz", ""),
        ("/metrics", "portcullis_"),
    ] {
        let answer = get(&format!("{}{path}", at("admin")));
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }

    let addresses: BTreeSet<String> = ["app", "api", "provider", "admin"]
        .map(|name| at(name).strip_prefix("http://127.0.0.1:").unwrap().to_owned())
        .map(|port| format!("127.0.0.1:{port}"))
        .into();
    assert_eq!(addresses.len(), 4);
    // A browser keeps connections open; they do not keep the demo alive.
    let idle: Vec<TcpStream> = addresses
        .iter()
        .map(|address| TcpStream::connect(address).unwrap())
        .collect();

    let (status, stdout, _) = demo.end_by("-INT");
    assert_eq!(status.code(), Some(0));
    assert_eq!(stdout, Vec::<String>::new(), "one line, and no more");
    for address in &addresses {
        assert!(TcpStream::connect(address).is_err(), "{address} is open still");
    }
    drop(idle);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "its state was temporary");
}

#[test]
fn the_text_has_the_addresses_the_people_and_three_things_to_try() {
    let dir = tempfile::tempdir().unwrap();
    let demo = start(dir.path(), &["demo", "--port", "0"]);
    let mut text = String::new();
    while !text.contains("  3. ") {
        text.push_str(&demo.line());
        text.push('\n');
    }
    for part in ["Ctrl-C", "  1. ", "  2. ", "alice-demo", "bob-demo", "carol-demo"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for name in ["app", "console", "provider", "API"] {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        let url = line.split_whitespace().last().unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{line}");
        assert!(get(&format!("{url}/")).status < 500, "{line}");
    }
    assert_eq!(demo.end_by("-TERM").0.code(), Some(0));
}

#[test]
fn state_lives_where_data_says_and_events_go_to_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let (demo, ready) = demo(dir.path(), &["--data", "kept", "--events"]);
    assert_eq!(get(&format!("{}/api/orders", url(&ready, "app"))).status, 401);
    let (status, stdout, stderr) = demo.end_by("-INT");
    assert_eq!((status.code(), stdout.len()), (Some(0), 0));
    let events: Vec<Value> = stderr.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |name: &str| events.iter().find(|event| event["event"] == name);
    assert_eq!(named("started").unwrap()["component"], "demo");
    assert_eq!(named("call_refused").unwrap()["code"], "session.missing");
    assert!(named("stopping").is_some());
    for name in ["portcullis.db", "portcullis.key"] {
        assert!(dir.path().join("kept").join(name).is_file(), "{name}");
    }
    assert!(!dir.path().join("kept/web").exists(), "the pages are the program's own");
}

#[test]
fn a_port_that_is_taken_is_said_and_nothing_runs() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let ended = portcullis(dir.path(), &["demo", "--port", &address.port().to_string()]);
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.starts_with("error: ") && ended.stderr.contains(&address.to_string()),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("in use"), "{}", ended.stderr);
}

#[test]
fn the_configuration_that_it_shows_is_the_one_that_it_writes_and_it_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let shown = portcullis(dir.path(), &["demo", "--print-config"]);
    assert_eq!((shown.status, shown.stderr.as_str()), (0, ""));
    let written = portcullis(dir.path(), &["demo", "--write", "start"]);
    assert_eq!((written.status, written.stderr.as_str()), (0, ""));
    assert!(
        written
            .stdout
            .contains("portcullis serve --config start/portcullis.toml"),
        "{}",
        written.stdout
    );
    let start = dir.path().join("start");
    assert_eq!(fs::read_to_string(start.join("portcullis.toml")).unwrap(), shown.stdout);
    assert!(start.join("idp.toml").is_file() && start.join("web/index.html").is_file());

    fs::write(start.join("shown.toml"), &shown.stdout).unwrap();
    let valid = portcullis(&start, &["check", "--config", "shown.toml"]);
    assert_eq!(
        (valid.status, valid.stdout.as_str()),
        (0, "shown.toml: valid\n"),
        "{}",
        valid.stderr
    );
}

#[test]
fn nothing_is_overwritten() {
    for name in ["portcullis.toml", "idp.toml", "web/index.html"] {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join(name);
        fs::create_dir_all(mine.parent().unwrap()).unwrap();
        fs::write(&mine, "mine").unwrap();
        let before = files(dir.path());
        let ended = portcullis(dir.path(), &["demo", "--write", "."]);
        assert_eq!((ended.status, ended.stdout.as_str()), (1, ""), "{name}");
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine", "{name}");
        assert_eq!(files(dir.path()), before, "{name}: nor is half of it written");
    }
}

fn files(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => BTreeSet::from([path.display().to_string()]),
        })
        .collect()
}
