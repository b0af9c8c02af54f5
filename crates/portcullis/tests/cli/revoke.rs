//! `portcullis revoke --client`: a token revoked at a real provider and a real gateway.

use std::fs;

use serde_json::{Value, json};

use crate::fake::{Fake, Reply};
use crate::world::{SECRET, World, request};

#[test]
fn a_token_is_revoked_at_the_provider_too() {
    let world = World::new();
    let _one = world.serve("one", &world.admin);
    let [alice, bob, carol] = [world.token("alice"), world.token("bob"), world.token("bob")];
    for (name, token) in [("alice", &alice), ("bob", &bob), ("carol", &carol)] {
        fs::write(world.dir.path().join(name), format!("{token}\n")).unwrap();
    }
    let active = |token: &str| {
        let address = world.issuer.strip_prefix("http://").unwrap();
        let form = [("Content-Type", "application/x-www-form-urlencoded".to_owned())];
        let body = format!("client_id=cli&client_secret={SECRET}&token={token}");
        let answer = request(address, "POST", "/introspect", address, &form, &body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["active"].as_bool().unwrap()
    };
    let revoke = |arguments: &[&str]| world.cli(&[&["revoke", "--config", "one.toml"], arguments].concat());

    let both = revoke(&["alice", "--client", "cli"]);
    assert_eq!((both.status, both.stderr.as_str()), (0, ""));
    let shown = world.fixed(&both.stdout);
    let mut lines = shown.lines();
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("revoked: token ")
            && first.ends_with(" at ISSUER, until TIME; take it back by its number, 1"),
        "{shown}"
    );
    assert_eq!(
        lines.collect::<Vec<_>>(),
        ["revoked at the provider dev, as client cli"]
    );
    assert!(!active(&alice) && active(&bob) && active(&carol));
    assert_eq!(
        (world.call(&world.app, &alice), world.call(&world.app, &bob)),
        (401, 502)
    );

    // At the provider alone: a gateway that looks at JWTs by itself does not hear of it.
    let alone = revoke(&["bob", "--client", "cli", "--provider-only", "--json"]);
    assert_eq!((alone.status, alone.stderr.as_str()), (0, ""));
    let told: Value = serde_json::from_str(&alone.stdout).unwrap();
    assert_eq!(
        told,
        json!({ "gateway": null, "provider": { "provider": "dev", "client": "cli" } })
    );
    assert!(!active(&bob) && active(&carol));
    assert_eq!(world.call(&world.app, &bob), 502);

    // The provider says no: the gateway's list has it nevertheless, and both are said.
    let refused = revoke(&["carol", "--client", "other"]);
    assert_eq!((refused.status, refused.stdout.as_str()), (1, ""));
    insta::assert_snapshot!(refused.stderr, @r"
    error: not revoked at the provider dev: the provider refused: invalid_client
    hint: portcullis explain provider.client_rejected
    note: the gateway takes it no more all the same (revocation 2)
    ");
    assert!(active(&carol));
    assert_eq!(world.call(&world.app, &carol), 401);

    let unknown = revoke(&["carol", "--client", "nobody", "--provider-only"]);
    assert_eq!((unknown.status, unknown.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(unknown.stderr, @"error: there is no client nobody; there are: cli, other");
    for token in [&alice, &bob, &carol] {
        let all = [&both, &alone, &refused, &unknown].map(|ended| format!("{}{}", ended.stdout, ended.stderr));
        assert!(
            all.iter()
                .all(|text| !text.contains(token.as_str()) && !text.contains(SECRET))
        );
    }
}

#[test]
fn a_refresh_token_is_a_matter_of_the_provider_alone() {
    let world = World::new();
    let _one = world.serve("one", &world.admin);
    fs::write(world.dir.path().join("token"), world.token("alice")).unwrap();
    let revoke = ["revoke", "--config", "one.toml", "token", "--client", "cli"];
    let ended = world.cli(&[&revoke[..], &["--hint", "refresh_token"]].concat());
    assert_eq!(
        (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
        (0, "revoked at the provider dev, as client cli\n", "")
    );
    let listed = world.cli(&["revocations", "list", "--config", "one.toml"]);
    assert_eq!(listed.stdout, "nothing is revoked\n");
    // The other kind is on the list.
    let ended = world.cli(&[&revoke[..], &["--hint", "access_token"]].concat());
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let listed = world.cli(&["revocations", "list", "--config", "one.toml"]);
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
}

#[test]
fn who_was_not_asked_is_said() {
    let world = World::new();
    fs::write(world.dir.path().join("token"), world.token("alice")).unwrap();
    // No gateway runs.
    let ended = world.cli(&["revoke", "--config", "one.toml", "token", "--client", "cli"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(ended.stderr.contains("does the gateway run?"), "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .ends_with("note: the provider was not asked; --provider-only asks it alone\n"),
        "{}",
        ended.stderr
    );
    let alone = world.cli(&[
        "revoke",
        "--config",
        "one.toml",
        "token",
        "--client",
        "cli",
        "--provider-only",
    ]);
    assert_eq!(alone.status, 0, "{}", alone.stderr);

    // A provider that revokes nothing.
    let other = Fake::start(|origin, asked| match asked.target.as_str() {
        "/.well-known/openid-configuration" => Reply::json(&json!({
            "issuer": origin, "jwks_uri": format!("{origin}/keys"), "token_endpoint": format!("{origin}/token"),
        })),
        _ => Reply::status(404),
    });
    let text = fs::read_to_string(world.dir.path().join("one.toml")).unwrap();
    let text = text.replace(&world.issuer, &other.origin);
    fs::write(world.dir.path().join("other.toml"), text).unwrap();
    let ended = world.cli(&[
        "revoke",
        "--config",
        "other.toml",
        "token",
        "--client",
        "cli",
        "--provider-only",
    ]);
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.contains("names no revocation_endpoint"),
        "{}",
        ended.stderr
    );
}
