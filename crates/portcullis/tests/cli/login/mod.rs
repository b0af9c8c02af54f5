//! `portcullis login`, `token`, `whoami` and `logout`: real processes against the development provider.

mod browser;
mod device;
mod refusals;
mod sealing;
mod sessions;
mod tokens;
mod told;

use std::path::Path;
use std::sync::Arc;

use portcullis_idp::{Api, Client, GrantType, Idp, IdpConfig, User};
use portcullis_jose::{Algorithm, Secret, SystemClock};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::process::{Ended, Running, portcullis, start_with};

use browser::Browser;

/// A provider in this process, and a directory for what the command keeps.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) runtime: Runtime,
    pub(super) idp: Idp,
}

/// Nobody is at a terminal in a test, so a key file seals.
pub(super) const KEPT: [&str; 4] = ["--dir", "logins", "--key-file", "login.key"];

pub(super) fn config() -> IdpConfig {
    let scopes = || {
        ["orders.read", "orders.write", "billing.read"]
            .map(str::to_owned)
            .to_vec()
    };
    let api = |audience: &str, scopes: &[&str]| Api {
        audience: audience.into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    IdpConfig {
        signing_algorithm: Algorithm::ES256,
        device_code_interval: 1,
        users: vec![User {
            username: "alice".into(),
            password: Some(Secret::new("alice-demo")),
            sub: Some("alice-1".into()),
            claims: json!({ "name": "Alice Adams", "email": "alice@example.com" })
                .as_object()
                .cloned()
                .unwrap(),
            scopes: scopes(),
            ..User::default()
        }],
        clients: vec![Client {
            client_id: "tool".into(),
            redirect_uris: ["http://127.0.0.1/callback", "http://[::1]/other"]
                .map(str::to_owned)
                .to_vec(),
            grants: vec![
                GrantType::AuthorizationCode,
                GrantType::RefreshToken,
                GrantType::DeviceCode,
            ],
            scopes: scopes(),
            ..Client::default()
        }],
        apis: vec![
            api("api://orders", &["orders.read", "orders.write"]),
            api("api://billing", &["billing.read"]),
        ],
        ..IdpConfig::default()
    }
}

impl World {
    pub(super) fn new() -> World {
        World::with(config())
    }

    pub(super) fn with(config: IdpConfig) -> World {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let idp = runtime.block_on(Idp::start(config, Arc::new(SystemClock))).unwrap();
        World {
            dir: tempfile::tempdir().unwrap(),
            runtime,
            idp,
        }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Begins a login with these options beside those that name provider and client.
    pub(super) fn begin(&self, options: &[&str]) -> Running {
        self.begin_with(options, &[])
    }

    pub(super) fn begin_with(&self, options: &[&str], env: &[(&str, &str)]) -> Running {
        let issuer = self.idp.issuer();
        let named = [
            "login",
            "--issuer",
            issuer,
            "--client-id",
            "tool",
            "--id-token-algorithm",
            "ES256",
            "--no-browser",
        ];
        start_with(self.dir(), &[&named[..], options].concat(), env)
    }

    /// Signs alice in with these options, to the end.
    pub(super) fn sign_in(&self, options: &[&str]) -> Ended {
        self.sign_in_with(options, &[])
    }

    /// The same with variables of the environment.
    pub(super) fn sign_in_with(&self, options: &[&str], env: &[(&str, &str)]) -> Ended {
        let login = self.begin_with(options, env);
        let url = url_of(&login);
        let mut browser = Browser::new(self);
        let back = browser.sign_in(&url);
        let page = browser.open(&back);
        assert_eq!(page.status, 200, "{}", page.body);
        login.ended()
    }

    /// Runs a command about the login that is kept.
    pub(super) fn run(&self, command: &str, options: &[&str]) -> Ended {
        portcullis(self.dir(), &[&[command, "--dir", "logins"], options].concat())
    }

    /// The claims that userinfo has for this token.
    pub(super) fn userinfo(&self, token: &str) -> (u16, Value) {
        let answer = Browser::new(self).get(&format!("{}/userinfo", self.idp.issuer()), Some(token));
        (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
    }

    /// How often the token endpoint was asked with this grant, and with what success.
    pub(super) fn grants(&self, grant: &str) -> Vec<u16> {
        let log = self.idp.control().request_log();
        let of_grant = log.iter().filter(|entry| entry.grant_type == Some(grant));
        of_grant.map(|entry| entry.status).collect()
    }

    /// No code, token or cookie that the provider gave out is in this.
    #[track_caller]
    pub(super) fn assert_no_secret(&self, text: &str) {
        for secret in self.idp.control().issued_secrets() {
            assert!(!text.contains(&secret), "a secret is in: {text}");
        }
    }

    /// What is kept, file by file.
    pub(super) fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = std::fs::read_dir(self.dir().join("logins")) else {
            return Vec::new();
        };
        let entries = entries.map(|entry| entry.unwrap());
        let mut kept: Vec<_> = entries
            .map(|entry| {
                (
                    entry.file_name().into_string().unwrap(),
                    std::fs::read(entry.path()).unwrap(),
                )
            })
            .collect();
        kept.sort();
        kept
    }
}

/// The address that a login tells.
pub(super) fn url_of(login: &Running) -> String {
    loop {
        let line = login.error_line();
        if line.starts_with("http") {
            return line;
        }
    }
}

#[track_caller]
pub(super) fn assert_fails(ended: &Ended, status: i32, words: &str) {
    assert_eq!(ended.status, status, "{ended:?}");
    assert!(ended.stderr.contains(words), "{words:?} is not in {ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
}
