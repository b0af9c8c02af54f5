//! Logins that must not succeed, each beside one that does.

use portcullis_idp::Behaviour;

use super::browser::Browser;
use super::{KEPT, World, assert_fails, url_of};
use crate::process::portcullis;

#[test]
fn a_foreign_callback_does_not_end_the_login() {
    let world = World::new();
    let login = world.begin(&KEPT);
    let url = url_of(&login);
    let mut browser = Browser::new(&world);
    let back = browser.sign_in(&url);
    let (address, query) = back.split_once('?').unwrap();
    assert!(
        address.starts_with("http://127.0.0.1:") && address.ends_with("/callback"),
        "{address}"
    );
    for (target, status) in [
        (format!("{address}?code=planted&state=unknown"), 400),
        (format!("{address}?code=planted"), 400),
        (format!("{address}/x?{query}"), 404),
    ] {
        let page = browser.open(&target);
        assert_eq!(page.status, status, "{target}");
        assert!(!page.body.contains("planted"));
    }
    let page = browser.open(&back);
    assert_eq!(page.status, 200);
    assert!(page.body.contains("You can close this window"), "{}", page.body);
    let ended = login.ended();
    assert_eq!(ended.status, 0, "{ended:?}");
    // Late: the listener is gone, and with it the port.
    let port = address
        .trim_start_matches("http://127.0.0.1:")
        .trim_end_matches("/callback");
    assert!(std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
}

#[test]
fn the_other_family_of_addresses_works_too() {
    let world = World::new();
    let options = [&KEPT[..], &["--redirect-uri", "http://[::1]/other"]].concat();
    let ended = world.sign_in(&options);
    assert_eq!(ended.status, 0, "{ended:?}");
}

#[test]
fn a_provider_that_misbehaves_signs_nobody_in() {
    let world = World::new();
    for (behaviour, words) in [
        (
            Behaviour {
                wrong_iss_parameter: true,
                ..Behaviour::default()
            },
            "login.issuer_mismatch",
        ),
        (
            Behaviour {
                omit_iss_parameter: true,
                ..Behaviour::default()
            },
            "login.issuer_missing",
        ),
    ] {
        world.idp.control().set_behaviour(behaviour);
        let login = world.begin(&KEPT);
        let mut browser = Browser::new(&world);
        let back = browser.sign_in(&url_of(&login));
        let page = browser.open(&back);
        assert_eq!(
            (page.status, page.body.contains("did not succeed")),
            (400, true),
            "{}",
            page.body
        );
        assert_fails(&login.ended(), 1, words);
    }
    for (behaviour, words) in [
        (
            Behaviour {
                wrong_nonce: true,
                ..Behaviour::default()
            },
            "nonce",
        ),
        (
            Behaviour {
                omit_id_token: true,
                ..Behaviour::default()
            },
            "login.id_token_invalid",
        ),
        (
            Behaviour {
                id_token_wrong_audience: true,
                ..Behaviour::default()
            },
            "audience",
        ),
        (
            Behaviour {
                wrong_at_hash: true,
                ..Behaviour::default()
            },
            "at_hash",
        ),
    ] {
        world.idp.control().set_behaviour(behaviour);
        assert_fails(&world.sign_in(&KEPT), 1, words);
    }
    assert!(world.kept().is_empty(), "nothing was kept");
    world.idp.control().set_behaviour(Behaviour::default());
    assert_eq!(world.sign_in(&KEPT).status, 0);
}

#[test]
fn nobody_waits_for_ever_and_a_wrong_command_line_is_told() {
    let world = World::new();
    let ended = world.begin(&[&KEPT[..], &["--wait", "1"]].concat()).ended();
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stderr.contains("explain login.attempt_expired"), "{ended:?}");
    let run = |options: &[&str]| portcullis(world.dir(), &[&["login"], options].concat());
    for (options, words) in [
        (&["--client-id", "tool"][..], "--provider"),
        (&["--issuer", "https://a.example"], "--client-id"),
        (&["--issuer", "http://a.example", "--client-id", "tool"], "not https"),
        (
            &[
                "--issuer",
                "https://a.example",
                "--client-id",
                "t",
                "--redirect-uri",
                "https://a.example/cb",
            ],
            "loopback",
        ),
        (
            &["--issuer", "https://a.example", "--client-id", "t", "--login", "../x"],
            "no name of a login",
        ),
        (
            &[
                "--issuer",
                "https://a.example",
                "--client-id",
                "t",
                "--id-token-algorithm",
                "HS256",
            ],
            "public keys",
        ),
        (
            &[
                "--issuer",
                "https://a.example",
                "--client-id",
                "t",
                "--key-file",
                "k",
                "--passphrase",
            ],
            "cannot be used",
        ),
        (&["--provider", "dev"], "--config"),
    ] {
        assert_fails(&run(options), 2, words);
    }
}

#[test]
fn the_configuration_names_the_provider_and_its_public_client() {
    let world = World::new();
    let issuer = world.idp.issuer();
    let config = format!(
        r#"
        [server]
        public_url = "http://127.0.0.1:1"
        listen = "127.0.0.1:1"
        [provider.dev]
        issuer = "{issuer}"
        id_token_algorithm = "ES256"
        [client.web]
        provider = "dev"
        client_id = "web"
        secret = {{ dev_only = "web-secret" }}
        [client.tool]
        provider = "dev"
        client_id = "tool"
        auth = "none"
        [api.orders]
        path = "/api"
        upstream = "http://127.0.0.1:2"
        provider = "dev"
        audience = "api://orders"
        policy = "authenticated"
        "#
    );
    std::fs::write(world.dir().join("portcullis.toml"), config).unwrap();
    let named = [
        "login",
        "--provider",
        "dev",
        "--config",
        "portcullis.toml",
        "--no-browser",
    ];
    let run = |options: &[&str]| portcullis(world.dir(), &[&named[..], &KEPT, options].concat());
    assert_fails(&run(&["--client", "web"]), 2, "client web is confidential");
    assert_fails(&run(&["--client", "nobody"]), 2, "there is no client nobody");
    let login = crate::process::start(world.dir(), &[&named[..], &KEPT].concat());
    let mut browser = Browser::new(&world);
    let back = browser.sign_in(&url_of(&login));
    assert_eq!(browser.open(&back).status, 200);
    let ended = login.ended();
    assert_eq!(ended.status, 0, "{ended:?}");
    // The configuration is not needed any more.
    std::fs::remove_file(world.dir().join("portcullis.toml")).unwrap();
    assert_eq!(world.run("token", &["--refresh"]).status, 0);
}
