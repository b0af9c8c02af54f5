//! The demo in process: provider, API and gateway, with a clock and an audit of the test's own.

mod bearer;
mod callback;
mod leaks;
mod refresh;
mod sessions;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use portcullis::demo::{Demo, DemoArgs};
use portcullis_audit::{Audit, AuditSettings};
use portcullis_jose::{Clock, ManualClock, SystemClock};
use portcullis_oidc::{HttpClient, HyperClient};
use serde_json::Value;
use url::Url;

const LIMIT: usize = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);

/// A demo that runs, with its clock and all that it logged.
struct World {
    demo: Demo,
    clock: Arc<ManualClock>,
    log: Log,
    dir: tempfile::TempDir,
}

/// What was written to the log.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl World {
    async fn start() -> World {
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let log = Log::default();
        let audit = Audit::new(AuditSettings::to_writer(log.clone()), clock.clone());
        let dir = tempfile::tempdir().unwrap();
        let mut args = DemoArgs::default();
        args.port = Some(0);
        args.data = Some(dir.path().to_owned());
        let demo = Demo::start_with(&args, audit, clock.clone()).await.unwrap();
        World { demo, clock, log, dir }
    }

    /// One of the addresses that `demo --json` prints.
    fn address(&self, name: &str) -> String {
        self.demo.json()[name].as_str().unwrap().to_owned()
    }

    fn app(&self, path: &str) -> String {
        format!("{}{path}", self.address("app"))
    }

    /// The codes of the refusals so far, the newest last.
    fn codes(&self) -> Vec<String> {
        let records = self.demo.audit().recent(0);
        records
            .iter()
            .filter_map(|record| record.event.refused())
            .map(|refused| refused.code.to_owned())
            .collect()
    }

    fn last_code(&self) -> String {
        self.codes().pop().unwrap_or_default()
    }

    /// How many requests the provider answered at a path.
    fn asked(&self, path: &str, grant_type: Option<&str>) -> usize {
        let log = self.demo.idp().control().request_log();
        let fits = |entry: &&portcullis_idp::RequestLogEntry| {
            entry.path == path && grant_type.is_none_or(|grant| entry.grant_type == Some(grant))
        };
        log.iter().filter(fits).count()
    }
}

/// A browser without a window: cookies by name and path, no redirect followed by itself, everything remembered.
pub(crate) struct Browser {
    http: HyperClient,
    pub(crate) cookies: BTreeMap<(String, String), String>,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) urls: Vec<String>,
    pub(crate) pages: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) url: Url,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    pub(crate) fn location(&self) -> Option<Url> {
        self.headers
            .get(LOCATION)
            .map(|value| self.url.join(value.to_str().unwrap()).unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Browser {
    pub(crate) fn new() -> Browser {
        // A machine that is busy is no fault of what is tested.
        Browser::with(HyperClient::new().unwrap().within(PATIENCE))
    }

    /// One without cookies that shares this one's connections: to read what the platform trusts takes long.
    fn another(&self) -> Browser {
        Browser::with(self.http.clone())
    }

    fn with(http: HyperClient) -> Browser {
        Browser {
            http,
            cookies: BTreeMap::new(),
            set_cookies: Vec::new(),
            urls: Vec::new(),
            pages: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let url = Url::parse(url).unwrap();
        let mut request = Request::builder().method(method).uri(url.as_str());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((_, path), _)| url.path().starts_with(path.as_str()))
            .map(|((name, _), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        let response = self
            .http
            .send(request.body(Bytes::from(body)).unwrap(), LIMIT)
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        for line in parts.headers.get_all(SET_COOKIE) {
            self.keep(line.to_str().unwrap());
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let visible = parts
            .headers
            .iter()
            .filter(|(name, _)| *name != SET_COOKIE && *name != LOCATION);
        let headers: Vec<String> = visible.map(|(name, value)| format!("{name}: {value:?}")).collect();
        self.urls.push(url.to_string());
        self.pages.push(format!("{}\n{body}", headers.join("\n")));
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            url,
        }
    }

    fn keep(&mut self, line: &str) {
        self.set_cookies.push(line.to_owned());
        let (pair, attributes) = line.split_once(';').unwrap();
        let (name, value) = pair.split_once('=').unwrap();
        let path = attributes
            .split(';')
            .find_map(|attribute| attribute.trim().strip_prefix("Path="))
            .unwrap_or("/");
        let key = (name.to_owned(), path.to_owned());
        if attributes.contains("Max-Age=0") {
            self.cookies.remove(&key);
        } else {
            self.cookies.insert(key, value.to_owned());
        }
    }

    pub(crate) async fn navigate(&mut self, url: &str) -> Answer {
        let headers = [
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        self.send("GET", url, &headers, String::new()).await
    }

    /// Navigates, and goes on to wherever it is sent.
    pub(crate) async fn go(&mut self, url: &str) -> Answer {
        let mut answer = self.navigate(url).await;
        for _ in 0..10 {
            match answer.location() {
                Some(next) => answer = self.navigate(next.as_str()).await,
                None => return answer,
            }
        }
        panic!("redirected in circles at {}", answer.url)
    }

    /// What the page's own script asks.
    pub(crate) async fn fetch(&mut self, method: &str, url: &str, body: &str) -> Answer {
        let origin = Url::parse(url).unwrap().origin().ascii_serialization();
        let headers = [
            ("x-csrf", "1"),
            ("origin", origin.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-mode", "cors"),
            (ACCEPT.as_str(), "application/json"),
            (CONTENT_TYPE.as_str(), "application/json"),
        ];
        self.send(method, url, &headers, body.to_owned()).await
    }

    /// Sends the form of a page, as a person fills it in; follows no redirect.
    pub(crate) async fn submit(&mut self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let action = page
            .url
            .join(between(&page.body, "action=\"", "\"").expect("a form"))
            .unwrap();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        for input in page
            .body
            .split("<input")
            .skip(1)
            .filter(|input| input.contains("type=\"hidden\""))
        {
            let name = between(input, "name=\"", "\"").unwrap();
            form.append_pair(name, between(input, "value=\"", "\"").unwrap_or_default());
        }
        let origin = action.origin().ascii_serialization();
        let headers = [
            (CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded"),
            ("origin", origin.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        self.send("POST", action.as_str(), &headers, form.finish()).await
    }

    /// Begins a login and fills in the provider's page, where it shows one; returns the callback's address, not yet
    /// visited.
    async fn until_callback(&mut self, world: &World, username: &str) -> Url {
        let mut answer = self.navigate(&world.app("/bff/login?return_to=/after")).await;
        for _ in 0..10 {
            match answer.location() {
                Some(next) if next.path() == "/bff/callback" => return next,
                Some(next) => answer = self.navigate(next.as_str()).await,
                None => {
                    assert!(answer.body.contains("name=\"password\""), "{}", answer.body);
                    let password = format!("{username}-demo");
                    answer = self
                        .submit(&answer, &[("username", username), ("password", &password)])
                        .await;
                }
            }
        }
        panic!("no way back from {}", answer.url)
    }

    async fn login(&mut self, world: &World, username: &str) {
        let callback = self.until_callback(world, username).await;
        let answer = self.navigate(callback.as_str()).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        assert_eq!(answer.location().unwrap().as_str(), world.app("/after"));
    }

    fn session_cookie(&self) -> Option<&str> {
        self.cookies
            .get(&("portcullis-shop".to_owned(), "/".to_owned()))
            .map(String::as_str)
    }

    async fn user(&mut self, world: &World) -> Answer {
        self.fetch("GET", &world.app("/bff/user"), "").await
    }
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}
