//! A provider with three users and seven clients, a browser without JavaScript, and a client.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::{Client as Http, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use portcullis_idp::{Api, Client, Control, GrantType, Idp, IdpConfig, User};
use portcullis_jose::{
    Algorithm, AlgorithmSet, JwkSet, Limits, ManualClock, Secret, UnixTime, UnverifiedJws, base64url_decode,
    base64url_encode, sha256,
};
use serde_json::{Value, json};

/// The secret of every client that has one; it needs form-urlencoding.
pub(crate) const SECRET: &str = "s3cret: +%&=";
pub(crate) const WEB_CALLBACK: &str = "http://127.0.0.1:8080/bff/callback";
pub(crate) const APP_CALLBACK: &str = "com.example.app:/callback";
pub(crate) const AFTER_LOGOUT: &str = "http://127.0.0.1:8080/";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const START: i64 = 1_800_000_000;

pub(crate) fn config() -> IdpConfig {
    let user = |name: &str, scopes: &[&str], claims: Value| User {
        username: name.into(),
        password: Some(Secret::new(format!("{name}-demo"))),
        claims: claims.as_object().cloned().unwrap(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..User::default()
    };
    let client = |id: &str, secret: Option<&str>, redirect: &str| Client {
        client_id: id.into(),
        secret: secret.map(Secret::new),
        redirect_uris: vec![redirect.into()],
        post_logout_redirect_uris: vec![AFTER_LOGOUT.into()],
        scopes: ["orders.read", "orders.write", "billing.read"]
            .map(str::to_owned)
            .to_vec(),
        ..Client::default()
    };
    IdpConfig {
        signing_algorithm: Algorithm::ES256,
        users: vec![
            user(
                "alice",
                &["orders.read", "orders.write", "billing.read"],
                json!({ "name": "Alice Adams", "email": "alice@example.com", "roles": ["Orders.Admin"] }),
            ),
            user("bob", &["orders.read"], json!({ "name": "Bob Brown" })),
            user("carol", &[], json!({})),
        ],
        clients: vec![
            client("web", Some(SECRET), WEB_CALLBACK),
            client("other", Some(SECRET), "https://other.example/cb"),
            client("app", None, APP_CALLBACK),
            Client {
                grants: vec![GrantType::DeviceCode, GrantType::RefreshToken],
                redirect_uris: Vec::new(),
                ..client("tv", Some(SECRET), "")
            },
            Client {
                consent: true,
                ..client("partner", Some(SECRET), "https://partner.example/cb")
            },
            Client {
                grants: vec![GrantType::ClientCredentials],
                redirect_uris: Vec::new(),
                ..client("job", Some(SECRET), "")
            },
            Client {
                grants: vec![GrantType::AuthorizationCode],
                ..client("short", Some(SECRET), "https://short.example/cb")
            },
        ],
        apis: vec![
            Api {
                audience: "api://orders".into(),
                scopes: vec!["orders.read".into(), "orders.write".into()],
            },
            Api {
                audience: "api://billing".into(),
                scopes: vec!["billing.read".into()],
            },
        ],
        ..IdpConfig::default()
    }
}

/// A running provider with a clock that stands still.
pub(crate) struct Stage {
    pub(crate) idp: Idp,
    pub(crate) clock: Arc<ManualClock>,
    http: Http<HttpConnector, Body>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Stage {
    pub(crate) async fn new() -> Stage {
        Stage::with(config()).await
    }

    pub(crate) async fn with(config: IdpConfig) -> Stage {
        let clock = Arc::new(ManualClock::at(UnixTime::from_secs(START)));
        let idp = Idp::start(config, Arc::clone(&clock) as Arc<_>).await.unwrap();
        Stage {
            idp,
            clock,
            http: Http::builder(TokioExecutor::new()).build_http(),
        }
    }

    pub(crate) fn control(&self) -> &Control {
        self.idp.control()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.idp.issuer())
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.http.request(request).await.unwrap().into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(self.url(path)).body(Body::empty()).unwrap())
            .await
    }

    /// Posts a form with a header or none.
    pub(crate) async fn post_with(&self, path: &str, form: &[(&str, &str)], authorization: Option<&str>) -> Answer {
        let mut request =
            Request::post(self.url(path)).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(value) = authorization {
            request = request.header(header::AUTHORIZATION, value);
        }
        self.send(request.body(encode(form).into()).unwrap()).await
    }

    /// Posts a form as this client, which authenticates with `client_secret_post` where it has a secret.
    pub(crate) async fn post_as(&self, client: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.push(("client_id", client));
        if client != "app" {
            form.push(("client_secret", SECRET));
        }
        self.post_with(path, &form, None).await
    }

    pub(crate) async fn token(&self, client: &str, form: &[(&str, &str)]) -> Answer {
        self.post_as(client, "/token", form).await
    }

    pub(crate) async fn exchange(&self, client: &str, redirect_uri: &str, code: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        self.token(client, &form).await
    }

    pub(crate) async fn refresh(&self, client: &str, refresh_token: &str) -> Answer {
        self.token(
            client,
            &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)],
        )
        .await
    }

    /// Signs a user in at the client `web` and returns the token answer.
    pub(crate) async fn sign_in(&self, username: &str, scope: &str) -> Value {
        let mut browser = Browser::new(self);
        let code = browser.code(username, scope).await;
        self.exchange("web", WEB_CALLBACK, &code).await.json()
    }

    pub(crate) async fn userinfo(&self, access_token: &str) -> Answer {
        let bearer = format!("Bearer {access_token}");
        let request = Request::get(self.url("/userinfo")).header(header::AUTHORIZATION, bearer);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Whether introspection calls a token active, asked by `other`.
    pub(crate) async fn is_active(&self, token: &str) -> bool {
        let answer = self.post_as("other", "/introspect", &[("token", token)]).await;
        assert_eq!(answer.status, 200);
        answer.json()["active"].as_bool().unwrap()
    }

    /// The claims of a token, after its signature was verified with the published keys.
    pub(crate) async fn verified(&self, token: &str) -> Value {
        let jwks = self.get("/jwks").await;
        let (keys, ignored) = JwkSet::parse(&jwks.body).unwrap();
        assert!(ignored.is_empty());
        let jws = UnverifiedJws::parse(token, &Limits::default()).unwrap();
        jws.verify(&keys, AlgorithmSet::asymmetric()).unwrap().to_json()
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {} {}", self.status, self.text()))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    /// Asserts an OAuth error and that nothing of it may be cached.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, error: &str) {
        assert_eq!(
            (self.status.as_u16(), self.json()["error"].as_str().unwrap()),
            (status, error),
            "{}",
            self.text()
        );
        assert_eq!(self.header(header::CACHE_CONTROL), "no-store");
    }

    /// The parameters that a redirect carries to this URI.
    #[track_caller]
    pub(crate) fn redirected_to(&self, uri: &str) -> BTreeMap<String, String> {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text());
        let location = self.header(header::LOCATION);
        let (target, query) = location.split_once('?').unwrap_or((location, ""));
        assert_eq!(target, uri, "{location}");
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// The value of a hidden field of the page.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> String {
        let marker = format!("name=\"{name}\" value=\"");
        let (_, rest) = self
            .text()
            .split_once(&marker)
            .unwrap_or_else(|| panic!("no field {name}: {}", self.text()));
        rest.split_once('"').unwrap().0.to_owned()
    }

    pub(crate) fn cookies(&self) -> Vec<&str> {
        self.headers
            .get_all(header::SET_COOKIE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }
}

/// A browser: it keeps cookies, and follows redirects only when it is told to.
pub(crate) struct Browser<'a> {
    stage: &'a Stage,
    pub(crate) cookies: HashMap<String, String>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(stage: &'a Stage) -> Browser<'a> {
        Browser {
            stage,
            cookies: HashMap::new(),
        }
    }

    /// Opens an address, absolute or of the provider.
    pub(crate) async fn open(&mut self, address: &str) -> Answer {
        self.navigate(Method::GET, address, Body::empty(), &[]).await
    }

    pub(crate) async fn submit(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.submit_with(path, form, &[("sec-fetch-site", "same-origin")]).await
    }

    pub(crate) async fn submit_with(&mut self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        self.navigate(Method::POST, path, encode(form).into(), headers).await
    }

    /// Asks for a code and follows the redirect to the login page, if there is one.
    pub(crate) async fn authorize(&mut self, parameters: &[(&str, &str)]) -> Answer {
        let answer = self.open(&format!("/authorize?{}", encode(parameters))).await;
        let location = answer.header(header::LOCATION).to_owned();
        if location.starts_with(self.stage.idp.issuer()) {
            self.open(&location).await
        } else {
            answer
        }
    }

    /// Fills the login form of a page in and sends it.
    pub(crate) async fn log_in(&mut self, page: &Answer, username: &str, password: &str) -> Answer {
        assert_eq!(page.status, 200, "{}", page.text());
        let (interaction, csrf) = (page.field("interaction"), page.field("csrf"));
        let form = [
            ("interaction", interaction.as_str()),
            ("csrf", &csrf),
            ("username", username),
            ("password", password),
        ];
        self.submit("/login", &form).await
    }

    /// Signs in and returns the code for the client `web`.
    pub(crate) async fn code(&mut self, username: &str, scope: &str) -> String {
        let page = self.authorize(&request("web", WEB_CALLBACK, &[("scope", scope)])).await;
        let answer = self.log_in(&page, username, &format!("{username}-demo")).await;
        answer.redirected_to(WEB_CALLBACK)["code"].clone()
    }

    async fn navigate(&mut self, method: Method, address: &str, body: Body, headers: &[(&str, &str)]) -> Answer {
        let address = if address.starts_with('/') {
            self.stage.url(address)
        } else {
            address.to_owned()
        };
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = Request::builder().method(&method).uri(address);
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.stage.send(request.body(body).unwrap()).await;
        for cookie in answer.cookies() {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

/// A sound authorization request, with these parameters in place of or beside the usual ones. An empty value leaves
/// a parameter out.
pub(crate) fn request<'a>(
    client: &'a str,
    redirect_uri: &'a str,
    changes: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", redirect_uri),
        ("scope", "openid orders.read"),
        ("state", "the-state"),
        ("nonce", "the-nonce"),
        ("code_challenge", challenge()),
        ("code_challenge_method", "S256"),
    ];
    parameters.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    parameters.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    parameters
}

fn challenge() -> &'static str {
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    assert_eq!(challenge, base64url_encode(&sha256(VERIFIER.as_bytes())));
    challenge
}

pub(crate) fn encode(form: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}

/// Header and claims of a token, without any check.
pub(crate) fn peek(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| base64url_decode(part).unwrap());
    let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (next(), next())
}
