//! The gateway: one request in, one decision, one answer.
//!
//! listener -> head -> host -> path -> route -> (session or bearer) -> policy -> proxy -> upstream

mod again;
pub(crate) mod answer;
mod assets;
mod attach;
pub(crate) mod body;
mod build;
mod call;
mod certificate;
mod client_address;
mod credentials;
mod expiry;
mod frontends;
mod headers;
mod library;
mod outlived;
mod own;
mod providers;
mod ranges;
mod revocations;
mod routes;
mod sealing;
mod words;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use portcullis_audit::{Audit, Credential, Event, Refused, RequestId};
use portcullis_bff::{Bff, Failure, FrontendSettings, MAX_LOGOUT_BODY, Peer, is_navigation};
use portcullis_proxy::{CanonicalPath, Forwarder, HeadLimits, check_request_head, normalise_path, request_host};
use tokio::sync::watch;
use tower::ServiceExt;

use answer::{Answer, Form};
use certificate::Certificates;
use client_address::client_address;
use frontends::{Frontend, Frontends};
use routes::{Api, Routes};

pub(crate) use build::{guard_alone, upstream};
pub(crate) use providers::{client, provider_alone, provider_settings, providers};
pub(crate) use routes::GuardedApi;

pub use build::{BuildError, Extras, Running};
pub(crate) use own::own_keys;
pub(crate) use sealing::key_ring;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PORTCULLIS_REASON: HeaderName = HeaderName::from_static("portcullis-reason");

/// The gateway of one configuration. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Hosts and ports that requests may ask for, as `Host` carries them.
    hosts: Vec<String>,
    scheme: &'static str,
    routes: Routes,
    frontends: Frontends,
    /// Routes of this program's own, such as the demo's.
    extra: Option<(String, axum::Router)>,
    forwarder: Forwarder,
    limits: HeadLimits,
    certificates: Certificates,
    /// Whose word counts about where a call comes from.
    trusted_proxies: Vec<crate::config::Network>,
    /// Key pairs of clients that are made here.
    own: own::Own,
    clock: Arc<dyn portcullis_jose::Clock>,
    /// Whether refusals tell their code in a header: development alone.
    discloses_reason: bool,
    audit: Audit,
    /// Turns true when the program is about to end: what has no end of its own ends then.
    leaving: watch::Sender<bool>,
}

/// A request whose head was found to be in order.
struct Incoming<'a> {
    parts: Parts,
    path: &'a CanonicalPath<'a>,
    /// The one of our hosts that is asked.
    host: &'a str,
    /// The API that the path belongs to.
    api: Option<&'a Api>,
    id: &'a RequestId,
    peer: IpAddr,
    begun: Instant,
}

impl Gateway {
    /// Ends what has no end of its own, WebSockets and event streams, so that clients go elsewhere.
    pub(crate) fn leave(&self) {
        self.0.leaving.send_replace(true);
        for frontend in self.0.frontends.iter() {
            frontend.bff.leave();
        }
    }

    /// Waits until those who were told to have gone.
    pub(crate) async fn left(&self) {
        self.0.leaving.closed().await;
    }

    /// Answers one request of a client at `peer`.
    pub async fn handle<B>(&self, request: Request<B>, peer: IpAddr) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let begun = Instant::now();
        let id = RequestId::new();
        let (mut parts, body) = request.into_parts();
        self.0.certificates.settle(&mut parts, peer);
        let peer = client_address(&parts.headers, peer, &self.0.trusted_proxies);
        parts.extensions.insert(Peer(peer));
        // A clone of the URI shares its text: the path can be looked at while the head goes on its way.
        let uri = parts.uri.clone();
        let mut response = match self.check_head(&parts, &uri) {
            Err((refused, status)) => self.refuse_early(&refused, status, &parts, &id),
            Ok((path, host)) => {
                let path = &path;
                let incoming = Incoming {
                    parts,
                    path,
                    host,
                    api: self.0.routes.find(path.as_str()),
                    id: &id,
                    peer,
                    begun,
                };
                self.answer(incoming, body).await
            }
        };
        if let Ok(id) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().entry(X_REQUEST_ID).or_insert(id);
        }
        response
    }

    /// The answer, with what browsers have to know besides.
    async fn answer<B>(&self, incoming: Incoming<'_>, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(frontend) = self.frontend(&incoming) else {
            return self.dispatch(incoming, body).await;
        };
        let foreign = frontend.headers.foreign_origin(&incoming.parts.headers);
        let mut response = match &foreign {
            Some(origin) if headers::is_preflight(&incoming.parts) => headers::preflight(&incoming.parts, origin),
            _ => self.dispatch(incoming, body).await,
        };
        let all = response.headers_mut();
        if let Some(origin) = &foreign {
            headers::allow(all, origin);
        }
        if frontend.headers.varies_by_origin() {
            all.append(http::header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(transport) = &frontend.headers.transport {
            headers::transport(all, transport);
        }
        response
    }

    /// The frontend that a request is about: of an API the one whose sessions count, else the one at the path.
    fn frontend(&self, incoming: &Incoming<'_>) -> Option<&Frontend> {
        let frontends = &self.0.frontends;
        let of_api = incoming.api.and_then(|api| frontends.of_api(api, incoming.host));
        of_api.or_else(|| frontends.at(incoming.host, incoming.path.as_str()))
    }

    /// What is checked before it matters who asks for what.
    fn check_head<'a>(
        &'a self,
        parts: &Parts,
        uri: &'a Uri,
    ) -> Result<(CanonicalPath<'a>, &'a str), (Refused, StatusCode)> {
        check_request_head(parts, &self.0.limits)
            .map_err(|error| (Refused::new(error.code()).found(error.to_string()), error.status()))?;
        // A name that is not ours is somebody else's page that resolves to us (DNS rebinding), or a mistake.
        let host = request_host(parts).unwrap_or_default();
        let own_port = if self.0.scheme == "https" { ":443" } else { ":80" };
        let name = host.strip_suffix(own_port).unwrap_or(host);
        let name = name.trim_end_matches('.');
        let Some(host) = self.0.hosts.iter().find(|known| name.eq_ignore_ascii_case(known)) else {
            let refused = Refused::new("request.misdirected").expected(self.0.hosts.join(", "));
            return Err((refused.found(host), StatusCode::MISDIRECTED_REQUEST));
        };
        normalise_path(uri.path())
            .map(|path| (path, host.as_str()))
            .map_err(|error| (Refused::new(error.code()).found(error.to_string()), error.status()))
    }

    // What a call carries around is as large as the largest of its ways: all but the usual one are boxed, here and where
    // it leads to.
    async fn dispatch<B>(&self, incoming: Incoming<'_>, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = incoming.path.as_str();
        let frontend = self.0.frontends.at(incoming.host, path);
        if let Some(bff) = frontend.map(|frontend| &frontend.bff).filter(|bff| bff.owns(path)) {
            if bff.takes_logout_messages(path) && incoming.parts.method == Method::POST {
                return Box::pin(self.take_logout_message(bff, &incoming, body)).await;
            }
            return Box::pin(self.endpoint(bff, &incoming, body)).await;
        }
        if path == own::PATH && !self.0.own.is_empty() {
            return own::published(&self.0.own, &incoming.parts.method, &self.0.clock);
        }
        if let Some(metadata) = self.0.routes.metadata(path) {
            return metadata.response(&incoming.parts.method).map(Body::from);
        }
        if let Some(api) = incoming.api {
            return self.call(api, incoming, body).await;
        }
        if let Some((_, router)) = self.0.extra.as_ref().filter(|(prefix, _)| path.starts_with(prefix)) {
            let checked = frontend.map(|frontend| frontend.bff.check_same_origin(&incoming.parts.headers));
            if let Some(Err(refused)) = checked {
                return self.refuse(&incoming, refused.into(), Credential::None);
            }
            let request = Request::from_parts(incoming.parts, Body::new(body.map_err_into()));
            return Box::pin(router.clone().oneshot(request))
                .await
                .unwrap_or_else(|never| match never {});
        }
        match frontend.and_then(|frontend| Some((frontend.assets.as_ref()?, frontend))) {
            Some((assets, frontend)) => Box::pin(assets.serve(self, frontend, incoming, body)).await,
            None => self.refuse(
                &incoming,
                Refused::new("route.not_found").found(path).into(),
                Credential::None,
            ),
        }
    }

    async fn endpoint<B>(&self, bff: &Bff, incoming: &Incoming<'_>, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if incoming.path.as_str() == bff.settings().endpoint("portcullis.js") {
            return library::response(&incoming.parts);
        }
        let body = match bff.body_limit(&incoming.parts) {
            0 => Ok(Bytes::new()),
            limit => body::read(body, limit).await,
        };
        let answered = match body {
            Ok(body) => bff.handle(&incoming.parts, &body, incoming.id).await,
            Err(refused) => Err(refused.into()),
        };
        answered.unwrap_or_else(|failure| self.refuse(incoming, failure, Credential::Session))
    }

    /// Whoever sends it needs no cookie and no header of ours: the provider's signature is the proof.
    async fn take_logout_message<B>(&self, bff: &Bff, incoming: &Incoming<'_>, body: B) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match body::read(body, MAX_LOGOUT_BODY).await {
            Ok(body) => {
                bff.backchannel_logout(&incoming.parts.headers, &body, incoming.id)
                    .await
            }
            Err(refused) => self.refuse(incoming, refused.into(), Credential::None),
        }
    }

    fn refuse_early(&self, refused: &Refused, status: StatusCode, parts: &Parts, id: &RequestId) -> Response<Body> {
        self.tell(refused, status, parts, parts.uri.path(), None, Credential::None, id);
        let mut response = Answer::new(refused, status, Form::Problem, id).response();
        self.disclose(refused, &mut response);
        response
    }

    /// In development a caller is told the code, as the guard does for tokens.
    fn disclose(&self, refused: &Refused, response: &mut Response<Body>) {
        if self.0.discloses_reason {
            let code = HeaderValue::from_static(refused.code);
            response.headers_mut().insert(PORTCULLIS_REASON, code);
        }
    }

    /// Refuses outside of any API: on an endpoint of the BFF, or where there is nothing.
    fn refuse(&self, incoming: &Incoming<'_>, failure: Failure, credential: Credential) -> Response<Body> {
        self.refuse_on(None, incoming, failure, credential)
    }

    fn refuse_on(
        &self,
        api: Option<&Api>,
        incoming: &Incoming<'_>,
        failure: Failure,
        credential: Credential,
    ) -> Response<Body> {
        let Failure {
            refused,
            set_cookies,
            told,
            again,
        } = failure;
        let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !told {
            let route = api.map(|api| api.name.as_str());
            self.tell(
                &refused,
                status,
                &incoming.parts,
                incoming.path.as_str(),
                route,
                credential,
                incoming.id,
            );
        }
        let form = if is_navigation(&incoming.parts.headers) {
            Form::Page
        } else {
            Form::Problem
        };
        let unauthorized = status == StatusCode::UNAUTHORIZED;
        let settings = self.frontend(incoming).map(|frontend| frontend.bff.settings());
        let login = settings.map(|settings| settings.endpoint("login"));
        let home = settings.map_or_else(|| "/".to_owned(), FrontendSettings::home);
        let challenges = api.filter(|_| unauthorized).map(Api::challenges).unwrap_or_default();
        let answer = Answer {
            home: &home,
            again: again.as_deref().or(login.as_deref()),
            login: login.as_deref().filter(|_| unauthorized),
            challenges: &challenges,
            set_cookies,
            ..Answer::new(&refused, status, form, incoming.id)
        };
        let mut response = answer.response();
        self.disclose(&refused, &mut response);
        // RFC 9110 s15.5.6: a 405 says what would do. Beside the APIs almost everything is read only.
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let others = || refused.expected.clone().unwrap_or_else(|| "GET, HEAD".to_owned());
            let allow = api.map_or_else(others, |api| api.allow(incoming.path.as_str()));
            if let Ok(allow) = HeaderValue::from_str(&allow) {
                response.headers_mut().insert(http::header::ALLOW, allow);
            }
        }
        response
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of the event")]
    fn tell(
        &self,
        refused: &Refused,
        status: StatusCode,
        parts: &Parts,
        path: &str,
        route: Option<&str>,
        credential: Credential,
        id: &RequestId,
    ) {
        let (route, method, path) = (route.map(str::to_owned), parts.method.to_string(), path.to_owned());
        let (status, refused) = (status.as_u16(), refused.clone());
        let event = if refused.code.starts_with("csrf.") || refused.code.starts_with("cors.") {
            let origin = parts
                .headers
                .get(http::header::ORIGIN)
                .and_then(|value| value.to_str().ok());
            Event::CsrfBlocked {
                route,
                method,
                path,
                origin: origin.map(str::to_owned),
                status,
                refused,
            }
        } else {
            Event::CallRefused {
                route,
                method,
                path,
                credential,
                subject: None,
                client: None,
                status,
                checks: Vec::new(),
                refused,
            }
        };
        self.0.audit.emit(Some(id), event);
    }
}

/// `map_err(Into::into)` with a type that can be named in a bound.
trait MapErrInto: http_body::Body + Sized {
    fn map_err_into(self) -> http_body_util::combinators::MapErr<Self, fn(Self::Error) -> axum::Error>;
}

impl<B> MapErrInto for B
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn map_err_into(self) -> http_body_util::combinators::MapErr<Self, fn(Self::Error) -> axum::Error> {
        http_body_util::BodyExt::map_err(self, |error| axum::Error::new(error.into()))
    }
}
