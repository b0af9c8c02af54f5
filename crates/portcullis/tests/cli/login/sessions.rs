//! `portcullis sessions`, and the admin API behind it: a real gateway, people who are signed in at it.

use portcullis_idp::Client;
use portcullis_oidc::{HttpClient, HyperClient};
use serde_json::{Value, json};

use super::browser::Browser;
use super::{World, assert_fails};
use crate::fixed::{fixed, fixed_json};
use crate::process::{Ended, Running, free_ports, portcullis, start, try_get};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A key of 32 bytes, as `openssl rand -hex 32` prints one.
const SEAL: &str = "8f1d0c5b7a3e49621f0e8d7c6b5a493827161504f3e2d1c0bfae9d8c7b6a5948";

struct Gateway {
    world: World,
    app: String,
    admin: String,
    _serve: Running,
}

impl Gateway {
    fn new() -> Gateway {
        Gateway::with_store("")
    }

    fn with_store(store: &str) -> Gateway {
        let world = World::new();
        let [app, admin] = free_ports::<2>().map(|port| format!("127.0.0.1:{port}"));
        let client = Client {
            client_id: "shop".into(),
            redirect_uris: vec![format!("http://{app}/bff/callback")],
            ..Client::default()
        };
        world.idp.control().put_client(client).unwrap();
        let issuer = world.idp.issuer();
        let config = format!(
            r#"
            [server]
            public_url = "http://{app}"
            listen = "{app}"
            admin = "{admin}"
            {store}
            [admin]
            token = {{ file = "admin.token" }}
            [provider.dev]
            issuer = "{issuer}"
            id_token_algorithm = "ES256"
            [client.shop]
            provider = "dev"
            client_id = "shop"
            auth = "none"
            [frontend.shop]
            client = "shop"
            scopes = ["openid", "offline_access"]
            "#
        );
        std::fs::write(world.dir().join("portcullis.toml"), config).unwrap();
        super::sealing::write_private(&world.dir().join("admin.token"), TOKEN);
        super::sealing::write_private(&world.dir().join("seal.key"), SEAL);
        let serve = start(world.dir(), &["serve", "--config", "portcullis.toml"]);
        serve.wait_until("ready", || {
            try_get(&format!("http://{admin}/readyz")).is_some_and(|answer| answer.status == 200)
        });
        Gateway {
            world,
            app,
            admin,
            _serve: serve,
        }
    }

    /// A browser in which alice is signed in.
    fn signed_in(&self) -> Browser<'_> {
        let mut browser = Browser::new(&self.world);
        let sent = browser
            .open(&format!("http://{}/bff/login", self.app))
            .location
            .unwrap();
        let back = browser.sign_in(&sent);
        let page = browser.open(&back);
        assert_eq!(page.status, 303, "{}", page.body);
        assert_eq!(self.user(&mut browser), 200);
        browser
    }

    fn user(&self, browser: &mut Browser<'_>) -> u16 {
        browser.get(&format!("http://{}/bff/user", self.app), None).status
    }

    fn sessions(&self, action: &str, options: &[&str]) -> Ended {
        let arguments = ["sessions", action, "--config", "portcullis.toml"];
        portcullis(self.world.dir(), &[&arguments[..], options].concat())
    }

    fn listed(&self) -> Vec<Value> {
        let ended = self.sessions("list", &["--subject", "alice-1", "--json"]);
        assert_eq!(ended.status, 0, "{ended:?}");
        let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
        self.world.assert_no_secret(&ended.stdout);
        answer["sessions"].as_array().unwrap().clone()
    }

    /// What the admin API answers to this.
    fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("http://{}{target}", self.admin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let http = HyperClient::new().unwrap();
        let request = request.body(body.to_string().into()).unwrap();
        let answer = self.world.runtime.block_on(http.send(request, 1024 * 1024)).unwrap();
        let told = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), told)
    }
}

#[test]
fn sessions_are_listed_without_a_secret_and_ended() {
    let gateway = Gateway::new();
    assert!(gateway.listed().is_empty());
    let mut first = gateway.signed_in();
    let mut second = gateway.signed_in();
    let listed = gateway.listed();
    assert_eq!(listed.len(), 2, "{listed:?}");
    for session in &listed {
        assert_eq!(session["frontend"], "shop");
        assert_eq!(session["issuer"], gateway.world.idp.issuer());
        assert_eq!(
            (&session["subject"], &session["address"]),
            (&"alice-1".into(), &"127.0.0.1".into())
        );
        let text = session.to_string();
        let cookies = first.cookies().chain(second.cookies());
        assert!(
            cookies.clone().count() > 1 && cookies.clone().all(|cookie| !text.contains(cookie)),
            "{text}"
        );
    }
    let table = gateway.sessions("list", &["--subject", "alice-1"]);
    assert!(
        table.stdout.starts_with("ID") && table.stdout.contains("shop"),
        "{table:?}"
    );
    assert_eq!(table.stdout.lines().count(), 3);
    let ids = listed.iter().map(|session| (session["id"].as_str().unwrap(), "ID"));
    let known: Vec<_> = ids.chain([(gateway.world.idp.issuer(), "ISSUER")]).collect();
    insta::assert_snapshot!("sessions_list", fixed(&table.stdout, &known));
    let json = gateway.sessions("list", &["--subject", "alice-1", "--json"]);
    insta::assert_snapshot!("sessions_list_json", fixed_json(&json.stdout, &known));
    let nobody = gateway.sessions("list", &["--subject", "bob-1"]);
    assert_eq!(
        (nobody.status, nobody.stdout.as_str()),
        (0, "this person has no session here\n")
    );

    // One of somebody else's is not found under this name.
    let id = listed[0]["id"].as_str().unwrap();
    assert_fails(
        &gateway.sessions("end", &["--subject", "bob-1", "--id", id]),
        1,
        "admin.not_found",
    );
    assert_fails(
        &gateway.sessions("end", &["--subject", "alice-1", "--id", "unknown"]),
        1,
        "admin.not_found",
    );
    assert_eq!((gateway.user(&mut first), gateway.user(&mut second)), (200, 200));
    let ended = gateway.sessions("end", &["--subject", "alice-1", "--id", id]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "ended: 1 session\n"),
        "{ended:?}"
    );
    let mut left = [gateway.user(&mut first), gateway.user(&mut second)];
    left.sort_unstable();
    assert_eq!(left, [200, 401], "one of them, and not the other");
    assert_eq!(gateway.listed().len(), 1);

    let mut third = gateway.signed_in();
    let ended = gateway.sessions("end", &["--subject", "alice-1", "--all", "--json"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "{\"ended\":2}\n"),
        "{ended:?}"
    );
    let left = [&mut first, &mut second, &mut third].map(|browser| gateway.user(browser));
    assert_eq!(left, [401, 401, 401]);
    assert!(gateway.listed().is_empty());
    let again = gateway.sessions("end", &["--subject", "alice-1", "--all"]);
    assert_eq!(
        (again.status, again.stdout.as_str()),
        (0, "this person has no session here\n")
    );
}

#[test]
fn only_an_administrator_who_says_what_is_meant_is_heard() {
    let gateway = Gateway::new();
    let mut browser = gateway.signed_in();
    let bearer = format!("Bearer {TOKEN}");
    let admin = ("authorization", bearer.as_str());
    let json_type = ("content-type", "application/json");
    let list = "/admin/v1/sessions?subject=alice-1";
    let end = "/admin/v1/sessions/end";
    let all = json!({ "subject": "alice-1", "all": true });
    let good = gateway.ask("GET", list, &[admin], &Value::Null);
    assert_eq!((good.0, good.1["sessions"].as_array().map(Vec::len)), (200, Some(1)));
    let issuer = gateway.world.idp.issuer();
    let of_other = format!("{list}&issuer=https%3A%2F%2Fother.example");
    for (method, target, headers, body, status, code) in [
        ("GET", list, &[][..], &Value::Null, 401, "admin.unauthorized"),
        (
            "GET",
            list,
            &[("authorization", "Bearer wrong")],
            &Value::Null,
            401,
            "admin.unauthorized",
        ),
        (
            "GET",
            list,
            &[admin, ("origin", "https://evil.example")],
            &Value::Null,
            403,
            "admin.browser",
        ),
        (
            "GET",
            "/admin/v1/sessions",
            &[admin],
            &Value::Null,
            400,
            "admin.bad_request",
        ),
        (
            "GET",
            "/admin/v1/sessions?subject=a&subject=b",
            &[admin],
            &Value::Null,
            400,
            "admin.bad_request",
        ),
        ("GET", &of_other, &[admin], &Value::Null, 400, "admin.unknown_issuer"),
        ("POST", end, &[json_type], &all, 401, "admin.unauthorized"),
        ("POST", end, &[admin], &all, 415, "admin.media_type"),
        (
            "POST",
            end,
            &[admin, json_type],
            &json!({ "subject": "alice-1" }),
            400,
            "admin.bad_request",
        ),
        (
            "POST",
            end,
            &[admin, json_type],
            &json!({ "subject": "alice-1", "id": "x", "all": true }),
            400,
            "admin.bad_request",
        ),
        (
            "POST",
            end,
            &[admin, json_type],
            &json!({ "all": true }),
            400,
            "admin.bad_request",
        ),
        (
            "POST",
            end,
            &[admin, json_type],
            &json!({ "subject": "", "all": true }),
            400,
            "admin.bad_request",
        ),
        (
            "POST",
            end,
            &[admin, json_type],
            &json!({ "subject": "alice-1", "al": true }),
            400,
            "admin.bad_request",
        ),
    ] {
        let (found, told) = gateway.ask(method, target, headers, body);
        assert_eq!(
            (found, &told["code"]),
            (status, &code.into()),
            "{method} {target} {body}: {told}"
        );
    }
    assert_eq!(gateway.user(&mut browser), 200, "none of that ended anything");
    let good = json!({ "subject": "alice-1", "issuer": issuer, "all": true });
    assert_eq!(
        gateway.ask("POST", end, &[admin, json_type], &good),
        (200, json!({ "ended": 1 }))
    );
    assert_eq!(gateway.user(&mut browser), 401);
}

/// Where browsers carry their sessions, nobody knows of them, and nobody is told that there is none.
#[test]
fn sessions_that_browsers_carry_are_not_listed_and_not_ended() {
    let gateway = Gateway::with_store("[store]\nurl = \"cookie\"\nkeys = [{ file = \"seal.key\" }]");
    let mut browser = gateway.signed_in();
    for arguments in [
        &["list", "--subject", "alice-1"][..],
        &["end", "--subject", "alice-1", "--all"],
    ] {
        let (action, rest) = arguments.split_first().unwrap();
        let refused = gateway.sessions(action, rest);
        assert_ne!(refused.status, 0, "{refused:?}");
        assert!(refused.stderr.contains("session.not_kept"), "{refused:?}");
    }
    assert_eq!(gateway.user(&mut browser), 200);
}
