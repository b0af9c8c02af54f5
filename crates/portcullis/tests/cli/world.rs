//! A provider and two gateways on one store, all of them real processes, for what an administrator does.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Answer, Ended, PATIENCE, Running, free_ports, portcullis, start, try_get};

pub(crate) const SECRET: &str = "the-secret-of-the-cli-client";
pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A provider, an upstream that nobody listens at, and gateways on one store.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    idp: Option<Running>,
    pub(crate) issuer: String,
    idp_token: String,
    pub(crate) app: String,
    pub(crate) admin: String,
    pub(crate) second_app: String,
    pub(crate) second_admin: String,
}

impl World {
    pub(crate) fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let [app, admin, second_app, second_admin, provider] =
            free_ports::<5>().map(|port| format!("127.0.0.1:{port}"));
        // A free port might be somebody's by the time that it is asked.
        let upstream = "127.0.0.1:1";
        fs::write(
            dir.path().join("idp.toml"),
            format!(
                r#"
                listen = "{provider}"
                signing_algorithm = "ES256"
                [[api]]
                audience = "api://orders"
                scopes = ["orders.read"]
                [[client]]
                client_id = "cli"
                secret = "{SECRET}"
                redirect_uris = ["http://{app}/bff/callback"]
                scopes = ["orders.read"]
                [[user]]
                username = "alice"
                sub = "alice"
                scopes = ["orders.read"]
                [[user]]
                username = "bob"
                sub = "bob"
                scopes = ["orders.read"]
                "#
            ),
        )
        .unwrap();
        let admin_token = dir.path().join("admin.token");
        fs::write(&admin_token, format!("{TOKEN}\n")).unwrap();
        make_private(&admin_token);
        for (name, listen, admin) in [("one", &app, &admin), ("two", &second_app, &second_admin)] {
            // One name for both, as replicas have it.
            let text = format!(
                r#"
                [server]
                public_url = "http://{app}"
                listen = "{listen}"
                admin = "{admin}"
                [admin]
                token = {{ file = "admin.token" }}
                [provider.dev]
                issuer = "http://{provider}"
                [client.cli]
                provider = "dev"
                client_id = "cli"
                secret = {{ dev_only = "{SECRET}" }}
                [client.other]
                provider = "dev"
                client_id = "cli"
                secret = {{ dev_only = "not the secret of this client" }}
                [api.orders]
                path = "/api/orders"
                upstream = "http://{upstream}"
                provider = "dev"
                audience = "api://orders"
                policy = "authenticated"
                "#
            );
            fs::write(dir.path().join(format!("{name}.toml")), text).unwrap();
        }
        let mut world = World {
            dir,
            idp: None,
            issuer: format!("http://{provider}"),
            idp_token: String::new(),
            app,
            admin,
            second_app,
            second_admin,
        };
        let idp = start(world.dir.path(), &["idp", "--config", "idp.toml", "--json"]);
        let ready: Value = serde_json::from_str(&idp.line()).unwrap();
        world.idp_token = ready["admin_token"].as_str().unwrap().to_owned();
        world.idp = Some(idp);
        world
    }

    pub(crate) fn serve(&self, name: &str, admin: &str) -> Running {
        let config = format!("{name}.toml");
        let serve = start(self.dir.path(), &["serve", "--config", &config]);
        serve.wait_until("ready", || {
            try_get(&format!("http://{admin}/readyz")).is_some_and(|answer| answer.status == 200)
        });
        serve
    }

    /// An access token of this person's.
    pub(crate) fn token(&self, user: &str) -> String {
        let answer = self.control("/dev/mint", &json!({ "user": user, "client": "cli" }));
        answer["token"].as_str().unwrap().to_owned()
    }

    /// Makes the provider behave in this way.
    pub(crate) fn misbehave(&self, how: &Value) {
        self.control("/dev/behaviour", how);
    }

    fn control(&self, path: &str, body: &Value) -> Value {
        let address = self.issuer.strip_prefix("http://").unwrap();
        let headers = [("Authorization", format!("Bearer {}", self.idp_token)), json_type()];
        let answer = request(address, "POST", path, address, &headers, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// What a call with this token is answered: 502 where it passed, since there is no upstream.
    pub(crate) fn call(&self, address: &str, token: &str) -> u16 {
        let headers = [("Authorization", format!("Bearer {token}"))];
        request(address, "GET", "/api/orders", &self.app, &headers, "").status
    }

    pub(crate) fn cli(&self, arguments: &[&str]) -> Ended {
        portcullis(self.dir.path(), arguments)
    }

    /// Replaces what is different each time.
    pub(crate) fn fixed(&self, text: &str) -> String {
        let text = text.replace(&self.issuer, "ISSUER").replace(&self.admin, "ADMIN");
        let words = text.split_inclusive([' ', '\n']).map(|word| {
            let time = word.len() > 19 && word.as_bytes().get(10) == Some(&b'T') && word.starts_with("20");
            match time {
                true => format!("TIME{}", &word[20..]),
                false => word.to_owned(),
            }
        });
        words.collect()
    }

    /// A call of the admin API.
    pub(crate) fn admin(&self, method: &str, path: &str, headers: &[(&str, String)], body: &str) -> Answer {
        request(&self.admin, method, path, &self.admin, headers, body)
    }
}

pub(crate) fn make_private(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn json_type() -> (&'static str, String) {
    ("Content-Type", "application/json".to_owned())
}

pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    host: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
