//! A login from its begin to its end, and what scripts get of it.

use std::process::{Command, Stdio};

use portcullis_idp::{Behaviour, Endpoint, FailNext};
use serde_json::Value;

use super::{KEPT, World, assert_fails};

#[test]
fn a_person_signs_in_gets_tokens_and_signs_out() {
    let world = World::new();
    let ended = world.sign_in(&[&KEPT[..], &["--scope", "orders.read orders.write"]].concat());
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(
        ended
            .stdout
            .starts_with("signed in as Alice Adams at http://127.0.0.1:"),
        "{ended:?}"
    );
    world.assert_no_secret(&format!("{}{}", ended.stdout, ended.stderr));
    // What is kept can be read by its owner alone, and by nobody without the key.
    let kept = world.kept();
    assert_eq!(
        kept.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["default.lock", "default.login"]
    );
    world.assert_no_secret(&String::from_utf8_lossy(&kept[1].1));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &str| std::fs::metadata(world.dir().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode("logins"), mode("logins/default.login"), mode("login.key")),
            (0o700, 0o600, 0o600)
        );
    }

    let who = world.run("whoami", &[]);
    assert_eq!(who.status, 0, "{who:?}");
    for words in [
        "Alice Adams",
        "alice-1",
        "tool",
        "orders.read",
        "refreshable  yes",
        "the key file",
    ] {
        assert!(who.stdout.contains(words), "{words}: {}", who.stdout);
    }
    world.assert_no_secret(&who.stdout);
    let who: Value = serde_json::from_str(&world.run("whoami", &["--json"]).stdout).unwrap();
    assert_eq!(
        (&who["subject"], &who["refreshable"]),
        (&"alice-1".into(), &true.into())
    );

    let token = world.run("token", &[]);
    assert_eq!((token.status, token.stderr.as_str()), (0, ""), "{token:?}");
    let token = token.stdout.trim_end().to_owned();
    assert_eq!(world.userinfo(&token).1["sub"], "alice-1");
    assert!(
        world.grants("refresh_token").is_empty(),
        "the first token is good for minutes"
    );

    let out = world.run("logout", &[]);
    assert_eq!(
        (out.status, out.stdout.contains("revoked and forgotten")),
        (0, true),
        "{out:?}"
    );
    assert_eq!(world.idp.control().token_counts().live_refresh_tokens, 0);
    assert_eq!(world.userinfo(&token).0, 401, "it is revoked at the provider");
    assert_eq!(
        world.kept().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["default.lock"]
    );
    for command in ["token", "whoami", "logout"] {
        assert_fails(
            &world.run(command, &[]),
            1,
            "nobody is signed in as \"default\": run portcullis login",
        );
    }
}

#[test]
fn scripts_get_the_form_that_they_want() {
    let world = World::new();
    assert_eq!(
        world.sign_in(&[&KEPT[..], &["--scope", "orders.read"]].concat()).status,
        0
    );
    let plain = world.run("token", &[]).stdout;
    let token = plain.trim_end();
    assert_eq!(
        world.run("token", &["--header"]).stdout,
        format!("Authorization: Bearer {plain}")
    );
    let json: Value = serde_json::from_str(&world.run("token", &["--json"]).stdout).unwrap();
    assert_eq!(
        (&json["access_token"], &json["token_type"]),
        (&token.into(), &"Bearer".into())
    );
    assert!(
        (1..=300).contains(&json["expires_in"].as_i64().unwrap()),
        "{}",
        json["expires_in"]
    );
    assert!(json["scope"].as_str().unwrap().contains("orders.read"));
    let credential: Value = serde_json::from_str(&world.run("token", &["--exec-credential"]).stdout).unwrap();
    assert_eq!(credential["apiVersion"], "client.authentication.k8s.io/v1");
    assert_eq!(credential["kind"], "ExecCredential");
    assert_eq!(credential["status"]["token"], token);
    assert_eq!(credential["status"]["expirationTimestamp"], json["expires"]);
    assert!(json["expires"].as_str().unwrap().ends_with('Z'));
    // The API server of Kubernetes takes ID tokens.
    let id_token = world.run("token", &["--exec-credential", "--id-token"]).stdout;
    let id_token: Value = serde_json::from_str(&id_token).unwrap();
    let claims = claims(id_token["status"]["token"].as_str().unwrap());
    assert_eq!((&claims["aud"], &claims["sub"]), (&"tool".into(), &"alice-1".into()));
    assert_eq!(world.run("token", &["--json", "--header"]).status, 2);
}

#[test]
fn a_token_is_for_the_api_and_the_scopes_that_are_asked_for() {
    let world = World::new();
    let scopes = [
        "--scope",
        "orders.read",
        "--scope",
        "orders.write",
        "--scope",
        "billing.read",
    ];
    let ended = world.sign_in(&[&KEPT[..], &scopes, &["--audience", "api://orders"]].concat());
    assert_eq!(ended.status, 0, "{ended:?}");
    let of = |options: &[&str]| {
        let ended = world.run("token", options);
        assert_eq!(ended.status, 0, "{ended:?}");
        claims(ended.stdout.trim_end())
    };
    assert_eq!(of(&[])["aud"], "api://orders");
    let narrow = of(&["--audience", "api://orders", "--scope", "orders.read"]);
    assert_eq!(
        (&narrow["aud"], &narrow["scope"]),
        (&"api://orders".into(), &"orders.read".into())
    );
    assert_eq!(
        of(&["--scope", "orders.read", "--audience", "api://orders"]),
        narrow,
        "it is kept"
    );
    assert_eq!(world.grants("refresh_token"), [200]);
    assert_fails(&world.run("token", &["--scope", "admin"]), 1, "invalid_scope");
    // That refusal did not end the login.
    assert_ne!(
        of(&["--refresh"])["jti"],
        of(&["--scope", "orders.read", "--audience", "api://orders"])["jti"]
    );
    assert_eq!(world.idp.control().token_counts().reuses, 0);
}

#[test]
fn many_processes_at_once_refresh_once_and_use_no_refresh_token_twice() {
    let world = World::new();
    assert_eq!(
        world
            .sign_in(&[&KEPT[..], &["--scope", "orders.read orders.write"]].concat())
            .status,
        0
    );
    let many = |options: &[&str]| -> Vec<String> {
        let children: Vec<_> = (0..16)
            .map(|_| {
                Command::new(env!("CARGO_BIN_EXE_portcullis"))
                    .args([&["token", "--dir", "logins"], options].concat())
                    .current_dir(world.dir())
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap());
        outputs
            .map(|output| {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8(output.stdout).unwrap()
            })
            .collect()
    };
    // Nobody has this token yet, so each of them wants to refresh.
    let tokens = many(&["--scope", "orders.read"]);
    assert!(tokens.iter().all(|token| *token == tokens[0] && token.len() > 100));
    assert_eq!(
        world.grants("refresh_token"),
        [200],
        "one of them asked, the others waited"
    );
    let counts = world.idp.control().token_counts();
    assert_eq!((counts.refreshes, counts.reuses, counts.live_refresh_tokens), (1, 0, 1));
    // Each wants a new one now: as many refreshes as it takes, and none with a token that was used.
    let tokens = many(&["--refresh"]);
    assert!(tokens.iter().all(|token| token.len() > 100));
    let counts = world.idp.control().token_counts();
    assert_eq!((counts.reuses, counts.live_refresh_tokens), (0, 1), "{counts:?}");
    assert!((2..=17).contains(&counts.refreshes), "{counts:?}");
}

#[test]
fn a_provider_that_is_down_ends_nothing() {
    let world = World::new();
    assert_eq!(
        world
            .sign_in(&[&KEPT[..], &["--scope", "orders.read orders.write"]].concat())
            .status,
        0
    );
    let token = world.run("token", &[]).stdout;
    let down = |times| {
        world.idp.control().set_behaviour(Behaviour {
            fail_next: vec![FailNext {
                endpoint: Endpoint::Token,
                status: 503,
                times,
            }],
            ..Behaviour::default()
        });
    };
    down(2);
    assert_eq!(world.run("token", &[]).stdout, token, "it is good for minutes");
    assert_fails(&world.run("token", &["--refresh"]), 1, "status 503");
    assert_fails(&world.run("token", &["--scope", "orders.read"]), 1, "status 503");
    assert_eq!(
        world.run("token", &["--scope", "orders.read"]).status,
        0,
        "it is up again"
    );
    // Over for good: the person is told what to do.
    assert_eq!(world.idp.control().revoke_all_refresh(), 1);
    assert_fails(
        &world.run("token", &["--refresh"]),
        1,
        "sign in again\nhint: portcullis explain refresh.rejected",
    );
    // A logout at a provider that fails forgets all the same, and says so.
    world.idp.control().set_behaviour(Behaviour {
        fail_next: vec![FailNext {
            endpoint: Endpoint::Revocation,
            status: 500,
            times: 1,
        }],
        ..Behaviour::default()
    });
    assert_fails(
        &world.run("logout", &[]),
        1,
        "forgotten here, and could not be revoked at the provider",
    );
    assert_fails(&world.run("token", &[]), 1, "nobody is signed in");
}

#[test]
fn a_refresh_that_answers_with_somebody_else_is_refused() {
    let world = World::new();
    assert_eq!(
        world.sign_in(&[&KEPT[..], &["--scope", "orders.read"]].concat()).status,
        0
    );
    world.idp.control().set_behaviour(Behaviour {
        refresh_wrong_sub: true,
        ..Behaviour::default()
    });
    assert_fails(&world.run("token", &["--refresh"]), 1, "somebody else's ID token");
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&portcullis_jose::base64url_decode(payload).unwrap()).unwrap()
}
