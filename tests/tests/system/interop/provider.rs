//! npm's `oidc-provider`, as `interop/oidc-provider` starts it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use portcullis_jose::Secret;
use serde_json::Value;

/// The API that the provider issues JWT access tokens for.
pub(super) const API: &str = "https://api.example.test";
/// The lifetime of access tokens, in seconds.
pub(super) const TOKEN_SECONDS: i64 = 3600;

const START: Duration = Duration::from_secs(60);
const INSTALL: &str = "run `cargo xtask test`, which installs what is missing";

/// The provider's process. It ends with this value.
#[derive(Debug)]
pub(super) struct OtherProvider {
    child: Child,
    pub(super) issuer: String,
    pub(super) web_secret: Secret,
    pub(super) service_secret: Secret,
}

impl OtherProvider {
    /// Starts it for an app at `origin`.
    pub(super) fn start(origin: &str, settings: &[(&str, &str)]) -> OtherProvider {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interop/oidc-provider");
        let package = dir.join("node_modules/oidc-provider");
        assert!(package.is_dir(), "npm's oidc-provider is not installed: {INSTALL}");
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(dir)
            .env("REDIRECT_URIS", format!("{origin}/bff/callback"))
            .env("POST_LOGOUT_REDIRECT_URIS", format!("{origin}/"))
            .env("ACCESS_TOKEN_TTL", TOKEN_SECONDS.to_string())
            .envs(settings.iter().copied())
            // Its other end is in this process: when that is gone, so is the provider.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be started ({error}): {INSTALL}"));
        let Some(ready) = first_line(&mut child) else {
            child.kill().unwrap();
            let mut why = String::new();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            panic!("the provider does not start: {why}\n{INSTALL}");
        };
        let ready: Value = serde_json::from_str(&ready).unwrap();
        assert_eq!(ready["api"], API);
        let secret = |client: &str| Secret::new(ready["clients"][client]["secret"].as_str().unwrap());
        OtherProvider {
            child,
            issuer: ready["issuer"].as_str().unwrap().to_owned(),
            web_secret: secret("web"),
            service_secret: secret("service"),
        }
    }
}

impl Drop for OtherProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn first_line(child: &mut Child) -> Option<String> {
    let stdout = child.stdout.take()?;
    let (sender, line) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        if BufReader::new(stdout)
            .read_line(&mut text)
            .is_ok_and(|length| length > 0)
        {
            // Nobody waits any more where the time is over.
            let _ = sender.send(text);
        }
    });
    line.recv_timeout(START).ok()
}
