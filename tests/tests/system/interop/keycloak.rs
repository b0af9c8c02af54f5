//! Keycloak: the server's own distribution, started in development mode.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use portcullis_jose::UnverifiedJws;
use portcullis_oidc::{HttpClient, HyperClient};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::app::{App, claims, start_api};
use super::browser::{Browser, Page};
use super::provider::API;

const START: Duration = Duration::from_secs(300);
const STEP: Duration = Duration::from_millis(250);
/// Tokens of 15 minutes are due 10 minutes before their end.
const DUE: i64 = 310;
const CALLS: usize = 20;

/// The server's process. It ends with this value.
#[derive(Debug)]
struct Keycloak {
    child: Child,
    base: String,
    http: HyperClient,
    admin: String,
    _dir: tempfile::TempDir,
}

impl Keycloak {
    /// Starts it, with the realm of `interop/keycloak` for an app at `origin`.
    async fn start(origin: &str) -> Keycloak {
        let dir = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(dir.path().join("keycloak.log")).unwrap();
        let [http, management] = [free_port().await, free_port().await];
        let mut child = Command::new("bash")
            .arg(home().join("bin/kc.sh"))
            .args(["start-dev", "--db=dev-mem", "--http-host=127.0.0.1", "--log-level=warn"])
            .arg(format!("--http-port={http}"))
            .arg(format!("--http-management-port={management}"))
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin")
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", "admin")
            .env("JAVA_OPTS_KC_HEAP", "-Xms64m -Xmx512m")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let base = format!("http://127.0.0.1:{http}");
        let client = HyperClient::new().unwrap().within(Duration::from_secs(60));
        let begun = Instant::now();
        let admin = loop {
            if let Some(token) = admin_token(&client, &base).await {
                break token;
            }
            let said = || std::fs::read_to_string(dir.path().join("keycloak.log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "Keycloak ended: {}", said());
            assert!(begun.elapsed() < START, "Keycloak does not start: {}", said());
            tokio::time::sleep(STEP).await;
        };
        let keycloak = Keycloak {
            child,
            base,
            http: client,
            admin,
            _dir: dir,
        };
        let realm = include_str!("../../../../interop/keycloak/realm.json").replace("ORIGIN", origin);
        assert_eq!(keycloak.ask(Method::POST, "", &realm).await.0, 201);
        keycloak
    }

    fn issuer(&self) -> String {
        format!("{}/realms/shop", self.base)
    }

    /// A call of the admin API.
    async fn ask(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/admin/realms{path}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", self.admin))
            .header(CONTENT_TYPE, "application/json");
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let answer = self.http.send(request, 1 << 20).await.unwrap();
        let told = serde_json::from_slice(answer.body()).unwrap_or_default();
        (answer.status().as_u16(), told)
    }

    /// An administrator ends all sessions of a person.
    async fn sign_out(&self, username: &str) {
        let (_, people) = self
            .ask(Method::GET, &format!("/shop/users?username={username}"), "")
            .await;
        let id = people[0]["id"].as_str().expect("a person").to_owned();
        assert_eq!(
            self.ask(Method::POST, &format!("/shop/users/{id}/logout"), "").await.0,
            204
        );
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        // The script has become the server: `exec` keeps its number.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where `cargo xtask test` puts it: in the target directory that this program is in too.
fn home() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let mut homes = this.ancestors().map(|directory| directory.join("tools/keycloak"));
    homes
        .find(|home| home.join("bin/kc.sh").is_file())
        .expect("Keycloak in target/tools: run `cargo xtask test`")
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

/// A token of the administrator's, as soon as the server gives one.
async fn admin_token(http: &HyperClient, base: &str) -> Option<String> {
    let request = Request::post(format!("{base}/realms/master/protocol/openid-connect/token"))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from_static(
            b"grant_type=password&client_id=admin-cli&username=admin&password=admin",
        ));
    let answer = http.send(request.unwrap(), 1 << 20).await.ok()?;
    let answer: Value = serde_json::from_slice(answer.body()).ok()?;
    Some(answer["access_token"].as_str()?.to_owned())
}

/// The manual's, with the addresses of this test.
fn configuration(origin: &str, issuer: &str, upstream: &str) -> String {
    let page = include_str!("../../../../docs/keycloak.md");
    let text = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut text = text.expect("the manual has a configuration").to_owned();
    for (there, here) in [
        ("https://app.example.com", origin),
        ("https://login.example.com/realms/shop", issuer),
        ("http://127.0.0.1:8081", upstream),
        (
            r#"{ file = "web.secret" }"#,
            r#"{ dev_only = "the-secret-of-the-web-client" }"#,
        ),
    ] {
        assert!(text.contains(there), "{there}");
        text = text.replace(there, here);
    }
    text
}

async fn sign_in(app: &App<Keycloak>, name: &str) -> Browser {
    let mut browser = Browser::new();
    let form = browser.go(&app.url("/bff/login"), "nowhere").await;
    assert!(form.url.as_str().starts_with(&app.provider.issuer()), "{}", form.url);
    let home = enter(&mut browser, &form, name).await;
    assert_eq!((home.status.as_u16(), home.url.as_str()), (200, app.url("/").as_str()));
    browser
}

/// Fills in Keycloak's own form.
async fn enter(browser: &mut Browser, form: &Page, name: &str) -> Page {
    assert!(form.body.contains("kc-form-login"), "{}: {}", form.status, form.body);
    let password = format!("{name}-password");
    let answer = browser
        .submit(form, &[("username", name), ("password", &password)])
        .await;
    let next = answer.location.unwrap_or_else(|| panic!("{}", answer.body));
    browser.go(next.as_str(), "nowhere").await
}

async fn status(app: &App<Keycloak>, browser: &mut Browser, path: &str) -> u16 {
    browser.fetch(Method::GET, &app.url(path)).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_way_on_keycloak() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let keycloak = Keycloak::start(&origin).await;
    let (upstream, calls) = start_api().await;
    let text = configuration(&origin, &keycloak.issuer(), &upstream);
    let app = App::serve(listener, keycloak, calls, &text).await;

    let mut alice = sign_in(&app, "alice").await;
    let (_, who) = alice.fetch(Method::GET, &app.url("/bff/user")).await;
    assert_eq!(
        (&who["claims"]["name"], &who["claims"]["email"]),
        (&json!("Alice Archer"), &json!("alice@example.test"))
    );
    assert_eq!(status(&app, &mut alice, "/api/orders").await, 200);
    let token = app.last_token();
    assert_eq!(
        UnverifiedJws::parse(&token, &Default::default())
            .unwrap()
            .header()
            .typ(),
        Some("at+jwt")
    );
    let audiences = claims(&token)["aud"].to_string();
    assert!(audiences.contains(API), "{audiences}");

    // A role of the realm is in `realm_access.roles`.
    let mut bob = sign_in(&app, "bob").await;
    assert_eq!(status(&app, &mut alice, "/api/orders/report").await, 200);
    assert_eq!(status(&app, &mut bob, "/api/orders/report").await, 403);
    assert_eq!(status(&app, &mut bob, "/api/orders").await, 200);

    // Back-channel logout: Keycloak tells the gateway before it answers its administrator.
    app.provider.sign_out("bob").await;
    let (ended, problem) = bob.fetch(Method::GET, &app.url("/bff/user")).await;
    assert_eq!((ended, &problem["code"]), (401, &json!("session.expired")), "{problem}");
    assert_eq!(status(&app, &mut bob, "/api/orders").await, 401);
    assert_eq!(app.events("logged_out", None), 1);
    assert_eq!(status(&app, &mut alice, "/api/orders").await, 200, "she is still there");

    // Each refresh token is good for once. Two rounds in a row show that the new one was kept.
    let mut seen = vec![app.last_token()];
    for round in 1..=2 {
        app.clock.advance(DUE);
        let orders = app.url("/api/orders");
        let asked = (0..CALLS).map(|_| {
            let (mut tab, orders) = (alice.another_tab(), orders.clone());
            tokio::spawn(async move { tab.fetch(Method::GET, &orders).await.0 })
        });
        for call in asked.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap(), 200);
        }
        assert_eq!(
            (app.events("token_refreshed", None), app.events("refresh_failed", None)),
            (round, 0)
        );
        assert!(!seen.contains(&app.last_token()));
        seen.push(app.last_token());
    }

    // Logout here is logout there: the next login asks who it is.
    let (_, who) = alice.fetch(Method::GET, &app.url("/bff/user")).await;
    let home = alice.go(&app.url(who["logout_url"].as_str().unwrap()), "nowhere").await;
    assert_eq!((home.status.as_u16(), home.url.path()), (200, "/"), "{}", home.url);
    assert_eq!(status(&app, &mut alice, "/bff/user").await, 401);
    let form = alice.go(&app.url("/bff/login"), "nowhere").await;
    assert!(form.body.contains("kc-form-login"), "{}: {}", form.url, form.body);
    for token in app.tokens() {
        assert!(!alice.seen.contains(&token), "a token was shown to the page");
    }
}
