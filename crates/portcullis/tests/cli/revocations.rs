//! `portcullis revocations` and `portcullis revoke`, and the admin API behind them: real gateways, real processes.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fixed::{fixed, fixed_json};
use crate::process::{Answer, Ended, free_ports, portcullis};
use crate::world::{TOKEN, World, json_type, request};

/// `portcullis revoke - ...` with the token on standard input.
fn revoke_by_pipe(world: &World, token: &str) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["revoke", "-", "--config", "one.toml", "--reason", "leaked"])
        .current_dir(world.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ended {
        status: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn an_opaque_token_is_revoked_by_its_text_where_such_tokens_are_taken() {
    let world = World::new();
    world.misbehave(&json!({ "opaque_access_tokens": true }));
    let (leaked, other) = (world.token("alice"), world.token("alice"));
    assert!(!leaked.contains('.'));
    {
        let _one = world.serve("one", &world.admin);
        assert_eq!(world.call(&world.app, &leaked), 401, "nobody is asked about it");
        let refused = revoke_by_pipe(&world, &leaked);
        assert_eq!(refused.status, 1, "{}", refused.stdout);
        assert!(refused.stderr.contains("no signed JWT"), "{}", refused.stderr);
    }
    let config = world.dir.path().join("one.toml");
    let text = fs::read_to_string(&config).unwrap();
    let issuer = format!("issuer = \"{}\"", world.issuer);
    let asks = format!("{issuer}\nintrospection = {{ client = \"cli\" }}");
    fs::write(&config, text.replacen(&issuer, &asks, 1)).unwrap();

    let _one = world.serve("one", &world.admin);
    for token in [&leaked, &other] {
        assert_eq!(world.call(&world.app, token), 502, "it passes, and is remembered");
    }
    let revoked = revoke_by_pipe(&world, &leaked);
    assert_eq!((revoked.status, revoked.stderr.as_str()), (0, ""));
    assert_eq!(world.call(&world.app, &leaked), 401);
    assert_eq!(world.call(&world.app, &other), 502, "another token of hers");
}

#[test]
fn what_is_revoked_is_refused_here_at_once_there_soon_and_after_a_restart() {
    let world = World::new();
    let (one, two) = (
        world.serve("one", &world.admin),
        world.serve("two", &world.second_admin),
    );
    let (leaked, alice, bob) = (world.token("alice"), world.token("alice"), world.token("bob"));
    for token in [&leaked, &alice, &bob] {
        assert_eq!(world.call(&world.app, token), 502, "it passes, and is remembered");
    }
    let connection = ["--config", "one.toml"];
    let cli = |arguments: &[&str]| world.cli(&[arguments, &connection[..]].concat());

    let listed = cli(&["revocations", "list"]);
    assert_eq!(
        (listed.status, listed.stdout.as_str(), listed.stderr.as_str()),
        (0, "nothing is revoked\n", "")
    );
    let revoked = revoke_by_pipe(&world, &leaked);
    assert_eq!((revoked.status, revoked.stderr.as_str()), (0, ""));
    assert!(!revoked.stdout.contains(&leaked));
    assert_eq!(world.call(&world.app, &leaked), 401, "at once");
    assert_eq!(world.call(&world.app, &alice), 502, "another token of hers");
    let added = cli(&[
        "revocations",
        "add",
        "--issuer",
        &world.issuer,
        "--subject",
        "bob",
        "--issued-before",
        "now",
        "--reason",
        "left",
    ]);
    assert_eq!((added.status, added.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(world.fixed(&added.stdout), @"revoked: subject bob at ISSUER, until TIME; take it back by its number, 2");
    assert_eq!(world.call(&world.app, &bob), 401);
    two.wait_until("the other replica refuses", || {
        world.call(&world.second_app, &bob) == 401 && world.call(&world.second_app, &leaked) == 401
    });
    assert_eq!(world.call(&world.second_app, &alice), 502);

    let json = cli(&["revocations", "list", "--json"]);
    insta::assert_snapshot!(
        "revocations_list_json",
        fixed_json(&json.stdout, &[(&world.issuer, "ISSUER")])
    );
    let table = world.fixed(&cli(&["revocations", "list"]).stdout);
    insta::assert_snapshot!("revocations_list", fixed(&table, &[]));
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(rows[0], ["ID", "KIND", "WHAT", "ISSUED BEFORE", "ENDS", "REASON"]);
    assert_eq!(
        (rows[1][0], rows[1][1], rows[1][5]),
        ("1", "token", "leaked"),
        "{table}"
    );
    assert!(rows[1][2].ends_with(" at ISSUER"), "{table}");
    assert_eq!(rows[2], ["2", "subject", "bob at ISSUER", "TIME", "TIME", "left"]);

    let (status, stdout, _) = one.end_by("-TERM");
    assert_eq!(status.code(), Some(0));
    let events: Vec<Value> = stdout.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!(named("revoked")[1]["reason"], "left");
    assert_eq!(named("revoked")[1]["how"], "administrator");
    let refused: Vec<_> = named("call_refused")
        .iter()
        .map(|event| event["reason"].as_str().unwrap())
        .collect();
    assert_eq!(refused, ["revoked", "revoked"]);
    assert!(
        stdout
            .iter()
            .all(|line| !line.contains(&leaked) && !line.contains(TOKEN))
    );
    let stored = fs::read(world.dir.path().join("portcullis.db")).unwrap();
    let wal = fs::read(world.dir.path().join("portcullis.db-wal")).unwrap_or_default();
    let signature = leaked.rsplit('.').next().unwrap();
    assert!(
        !String::from_utf8_lossy(&[stored, wal].concat()).contains(signature),
        "the token is nowhere"
    );

    let _one = world.serve("one", &world.admin);
    assert_eq!(
        (world.call(&world.app, &bob), world.call(&world.app, &leaked)),
        (401, 401),
        "after a restart"
    );
    let removed = cli(&["revocations", "remove", "2"]);
    assert_eq!(
        (removed.status, removed.stdout.as_str(), removed.stderr.as_str()),
        (0, "taken back: 2\n", "")
    );
    assert_eq!(
        (world.call(&world.app, &bob), world.call(&world.app, &leaked)),
        (502, 401)
    );
    two.wait_until("the other replica lets bob in", || {
        world.call(&world.second_app, &bob) == 502
    });
    let again = cli(&["revocations", "remove", "2"]);
    assert_eq!((again.status, again.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(again.stderr, @r"
    error: admin.not_found: No revocation with this number is in force, or the person has no session of this name: it was taken back or ended already, or it is over by itself.
    hint: portcullis explain admin.not_found
    ");
}

#[test]
fn every_kind_of_target_is_entered_and_told_as_json() {
    let world = World::new();
    let _one = world.serve("one", &world.admin);
    let admin = format!("http://{}", world.admin);
    let connection = ["--admin", &admin, "--token-file", "admin.token", "--json"];
    let alice = world.token("alice");
    let issuer = world.issuer.as_str();
    let hash = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
    for (target, expected, refuses_alice) in [
        (
            &["--session", "s1"][..],
            json!({"kind": "session", "iss": issuer, "sid": "s1"}),
            false,
        ),
        (
            &["--subject", "alice"],
            json!({"kind": "subject", "iss": issuer, "sub": "alice"}),
            true,
        ),
        (
            &["--client", "cli"],
            json!({"kind": "client", "iss": issuer, "client_id": "cli"}),
            true,
        ),
        (
            &["--jti", "t1"],
            json!({"kind": "token", "id": {"jti": {"iss": issuer, "jti": "t1"}}}),
            false,
        ),
        (
            &["--signed-part", hash],
            json!({"kind": "token", "id": {"signed_part": hash}}),
            false,
        ),
        (&["--whole-issuer"], json!({"kind": "issuer", "iss": issuer}), true),
        (
            &["--whole-issuer", "--issued-before", "2020-01-01T00:00:00Z"],
            json!({"kind": "issuer", "iss": issuer}),
            false,
        ),
        (
            &["--whole-issuer", "--issued-before", "2099-01-01T00:00:00Z"],
            json!({"kind": "issuer", "iss": issuer}),
            true,
        ),
    ] {
        let of_issuer = ["--issuer", issuer];
        let of_issuer = if target[0] == "--signed-part" {
            &[]
        } else {
            &of_issuer[..]
        };
        let added = world.cli(&[&["revocations", "add"], target, of_issuer, &connection[..]].concat());
        assert_eq!((added.status, added.stderr.as_str()), (0, ""), "{target:?}");
        let entry: Value = serde_json::from_str(&added.stdout).unwrap();
        assert_eq!(entry["target"], expected);
        // It lasts for as long as what is issued until then.
        let until = entry["issued_before"].as_i64();
        assert_eq!(until.is_some(), target.contains(&"--issued-before"), "{entry}");
        assert!(entry["expires"].as_i64() > until, "{entry}");
        let listed = world.cli(&[&["revocations", "list"][..], &connection[..]].concat());
        let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
        assert_eq!(listed["revocations"], json!([entry]));
        let status = world.call(&world.app, &alice);
        assert_eq!(status, if refuses_alice { 401 } else { 502 }, "{target:?}");
        let id = entry["id"].to_string();
        let removed = world.cli(&[&["revocations", "remove", &id][..], &connection[..]].concat());
        assert_eq!(removed.stdout, format!("{{\"removed\":{id}}}\n"));
        assert_eq!(world.call(&world.app, &alice), 502, "{target:?}");
    }
}

#[test]
fn the_admin_api_is_for_whoever_has_the_token_and_for_no_page() {
    let world = World::new();
    let one = world.serve("one", &world.admin);
    let path = "/admin/v1/revocations";
    let bearer = || ("Authorization", format!("Bearer {TOKEN}"));
    let body = json!({ "target": { "kind": "issuer", "iss": world.issuer } }).to_string();
    let code = |answer: &Answer| {
        let problem: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
        assert!(
            answer.head.contains("content-type: application/problem+json"),
            "{answer:?}"
        );
        assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
        assert_eq!(problem["status"], answer.status);
        problem["code"].as_str().unwrap().to_owned()
    };
    let unauthorized = (401, "admin.unauthorized");
    for (headers, expected) in [
        (vec![json_type()], unauthorized),
        (
            vec![json_type(), ("Authorization", format!("Bearer {TOKEN}x"))],
            unauthorized,
        ),
        (vec![json_type(), ("Authorization", "Bearer ".into())], unauthorized),
        (
            vec![json_type(), ("Authorization", format!("Basic {TOKEN}"))],
            unauthorized,
        ),
        (vec![json_type(), bearer(), bearer()], unauthorized),
        (
            vec![json_type(), bearer(), ("Origin", format!("http://{}", world.admin))],
            (403, "admin.browser"),
        ),
        (
            vec![json_type(), bearer(), ("Origin", "null".into())],
            (403, "admin.browser"),
        ),
        (
            vec![json_type(), bearer(), ("Sec-Fetch-Site", "cross-site".into())],
            (403, "admin.browser"),
        ),
        (vec![bearer()], (415, "admin.media_type")),
        (
            vec![bearer(), ("Content-Type", "text/plain".into())],
            (415, "admin.media_type"),
        ),
    ] {
        let answer = world.admin("POST", path, &headers, &body);
        assert_eq!((answer.status, code(&answer).as_str()), expected, "{headers:?}");
        let challenge = answer
            .head
            .contains("www-authenticate: bearer realm=\"portcullis admin\"");
        assert_eq!(challenge, answer.status == 401);
    }
    let foreign = request(
        &world.admin,
        "POST",
        path,
        "evil.example",
        &[json_type(), bearer()],
        &body,
    );
    assert_eq!(foreign.status, 421, "a name that was rebound");
    for (method, path) in [("GET", path), ("DELETE", "/admin/v1/revocations/1")] {
        let answer = world.admin(method, path, &[], "");
        assert_eq!((answer.status, code(&answer).as_str()), unauthorized, "{method}");
    }
    for (body, says) in [
        ("", "column"),
        ("[]", "column"),
        (r#"{"target":{"kind":"device","iss":"i"}}"#, "column"),
        (r#"{"target":{"kind":"issuer","iss":""}}"#, "1 to 1024 bytes"),
        (r#"{"tokens":"secret-text"}"#, "column"),
        (r#"{"token":"secret-text"}"#, "no signed JWT"),
        (r#"{"reason":"x"}"#, "either"),
        (r#"{"target":{"kind":"issuer","iss":"i"},"token":"a.b.c"}"#, "either"),
        (r#"{"target":{"kind":"issuer","iss":"i"},"reason":"a\nb"}"#, "one line"),
        (r#"{"token":"a.b.c","expires":1}"#, "itself"),
        (
            r#"{"target":{"kind":"issuer","iss":"i"},"issued_before":-1}"#,
            "since 1970",
        ),
        (
            r#"{"target":{"kind":"issuer","iss":"i"},"issued_before":0}"#,
            "since 1970",
        ),
    ] {
        let answer = world.admin("POST", path, &[json_type(), bearer()], body);
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (400, "admin.bad_request"),
            "{body}"
        );
        assert!(
            answer.body.contains(says) && !answer.body.contains("secret-text"),
            "{body}: {}",
            answer.body
        );
    }
    for (target, expected) in [
        (
            json!({ "target": { "kind": "issuer", "iss": format!("{}/", world.issuer) } }),
            "admin.unknown_issuer",
        ),
        (
            json!({ "target": { "kind": "issuer", "iss": world.issuer }, "expires": 1 }),
            "admin.bad_request",
        ),
    ] {
        let answer = world.admin("POST", path, &[json_type(), bearer()], &target.to_string());
        assert_eq!((answer.status, code(&answer).as_str()), (400, expected));
    }
    let large = json!({ "token": "a".repeat(64 * 1024) }).to_string();
    let answer = world.admin("POST", path, &[json_type(), bearer()], &large);
    assert_eq!((answer.status, code(&answer).as_str()), (413, "request.body_too_large"));
    let empty = world.admin("GET", path, &[bearer()], "");
    assert_eq!(
        (empty.status, empty.body.as_str()),
        (200, r#"{"revocations":[]}"#),
        "nothing has happened"
    );

    let good = world.admin("POST", path, &[json_type(), bearer()], &body);
    assert_eq!(good.status, 201, "{}", good.body);
    assert!(
        good.head.contains("\r\nlocation: /admin/v1/revocations/1"),
        "{}",
        good.head
    );
    let ready = world.admin("GET", "/readyz", &[], "");
    assert!(
        ready
            .body
            .contains(r#""name":"revocations","ready":true,"detail":"1 in the list"#),
        "{}",
        ready.body
    );
    let metrics = world.admin("GET", "/metrics", &[], "").body;
    assert!(metrics.contains("\nportcullis_revocations_age_seconds "), "{metrics}");
    let (_, stdout, _) = one.end_by("-TERM");
    let refused = stdout.iter().filter(|line| line.contains(r#""route":"admin""#)).count();
    assert_eq!(refused, 28, "every call that was refused is an event");
    assert!(
        stdout
            .iter()
            .all(|line| !line.contains("secret-text") && !line.contains(TOKEN))
    );
}

#[test]
fn without_an_admin_token_nobody_revokes() {
    let world = World::new();
    let config = world.dir.path().join("one.toml");
    let text = fs::read_to_string(&config).unwrap();
    let without = text
        .replace("[admin]", "")
        .replace(r#"token = { file = "admin.token" }"#, "");
    fs::write(&config, without).unwrap();
    let _one = world.serve("one", &world.admin);
    let bearer = ("Authorization", format!("Bearer {TOKEN}"));
    let answer = world.admin("GET", "/admin/v1/revocations", &[bearer], "");
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("admin.disabled"), "{}", answer.body);
    let ended = world.cli(&["revocations", "list", "--config", "one.toml"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ended.stderr, @"error: the configuration has no [admin] table with a `token`");
}

#[test]
fn a_command_line_that_names_nothing_to_revoke_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("admin.token"), TOKEN).unwrap();
    let [nobody] = free_ports::<1>();
    let admin = format!("http://127.0.0.1:{nobody}");
    let connection = ["--admin", &admin, "--token-file", "admin.token"];
    for (arguments, says) in [
        (&["revocations"][..], "Usage: portcullis revocations <COMMAND>"),
        (&["revocations", "list"], "--config <FILE>"),
        (
            &["revocations", "list", "--admin", "http://127.0.0.1:1"],
            "--token-file <FILE>",
        ),
        (&["revocations", "add", "--issuer", "i"], "--session <SID>"),
        (&["revocations", "add", "--subject", "alice"], "--issuer <URL>"),
        (
            &["revocations", "add", "--issuer", "i", "--subject", "a", "--client", "c"],
            "cannot be used with",
        ),
        (
            &[
                "revocations",
                "add",
                "--issuer",
                "i",
                "--whole-issuer",
                "--expires",
                "soon",
            ],
            "seconds since 1970",
        ),
        (&["revocations", "add", "--signed-part", "abc"], "32 bytes in base64url"),
        (&["revocations", "remove", "all"], "invalid digit"),
        (&["revoke"], "<FILE>"),
    ] {
        let all = match arguments.contains(&"add") || arguments.contains(&"remove") {
            true => [arguments, &connection[..]].concat(),
            false => arguments.to_vec(),
        };
        let ended = portcullis(dir.path(), &all);
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ended.stderr.contains(says), "{arguments:?}: {}", ended.stderr);
    }
    let away = portcullis(dir.path(), &[&["revocations", "list"][..], &connection[..]].concat());
    assert_eq!((away.status, away.stdout.as_str()), (1, ""));
    assert!(away.stderr.contains("does the gateway run?"), "{}", away.stderr);
    let remote = [
        "revocations",
        "list",
        "--admin",
        "http://gateway.example",
        "--token-file",
        "admin.token",
    ];
    let remote = portcullis(dir.path(), &remote);
    assert_eq!(
        (remote.status, remote.stdout.as_str()),
        (2, ""),
        "the token is not sent over plain http"
    );
    // A token where a file's name belongs is not repeated.
    let token = portcullis(
        dir.path(),
        &[&["revoke", "eyJhbGciOiJub25lIn0.e30."][..], &connection[..]].concat(),
    );
    assert_eq!((token.status, token.stdout.as_str()), (1, ""));
    assert!(
        !token.stderr.contains("eyJ") && token.stderr.contains("standard input"),
        "{}",
        token.stderr
    );
}
