//! A call of an API: who asks, may they, and on it goes.

use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use portcullis_audit::{Credential, Event, Refused, RequestId};
use portcullis_bff::{AccessToken, Bff, Failure, Session, StepUp, is_navigation};
use portcullis_guard::{Call, Guard, GuardError, Presented, Scheme, VerifiedToken};
use portcullis_jose::{Refusal, Secret};
use portcullis_oidc::dpop::asks_for_nonce;
use portcullis_policy::{Authorized, NamedPolicy};
use portcullis_proxy::{AuthorizationHeader, ForwardError, ForwardHead, ProxyBody};
use std::sync::Arc;

use super::again::{self, Outcome};
use super::answer::{Answer, Form};
use super::attach::{Attach, Bound};
use super::outlived;
use super::routes::{Api, GuardedApi};
use super::{Gateway, Incoming};

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// What lets a call pass: nothing is forwarded without one.
struct Pass {
    credential: Credential,
    authorization: AuthorizationHeader,
    permit: Permit,
    /// What the caller's next proof needs (RFC 9449 s8.2).
    dpop_nonce: Option<HeaderValue>,
    /// The session that it is made with: what outlives it is cut off.
    session: Option<(Bff, Session)>,
    /// The client's own token, where the upstream gets that.
    own: Option<Secret>,
    /// The key that the upstream's token is bound to, and the token.
    bound: Option<Bound>,
}

enum Permit {
    /// The configuration says that anyone may call.
    Anyone,
    /// A policy said yes to this token.
    Granted(Arc<VerifiedToken>, Authorized),
}

impl Gateway {
    /// One call: admitted and forwarded, or refused.
    pub(super) async fn pass<B>(&self, api: &Api, incoming: Incoming<'_>, body: B) -> Outcome
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let pass = self.let_pass(api, &incoming).await;
        let begun = incoming.begun;
        let (credential, refused, response) = match pass {
            Ok(pass) => (
                pass.credential,
                false,
                self.forward_again(api, incoming, body, pass).await,
            ),
            Err((credential, mut response)) => {
                if let Some(frontend) = self.0.frontends.of_api(api, incoming.host) {
                    let (headers, method) = (&incoming.parts.headers, &incoming.parts.method);
                    let cookies = Box::pin(frontend.bff.carry_out(headers, method)).await;
                    set_cookies(&mut response, cookies);
                }
                (credential, true, *response)
            }
        };
        api.metrics
            .request_finished(credential, response.status().as_u16(), begun.elapsed());
        Outcome {
            credential,
            response,
            refused,
        }
    }

    /// Who makes a call, and the token that its upstream gets for it: what is sent on has gone through here.
    async fn let_pass(&self, api: &Api, incoming: &Incoming<'_>) -> Result<Pass, (Credential, Box<Response<Body>>)> {
        let pass = match &api.guarded {
            None => Pass {
                credential: Credential::None,
                authorization: AuthorizationHeader::Keep,
                permit: Permit::Anyone,
                dpop_nonce: None,
                session: None,
                own: None,
                bound: None,
            },
            Some(guarded) => self.admit(api, guarded, incoming).await?,
        };
        match api.attach {
            Attach::Caller => Ok(pass),
            _ => Box::pin(self.attach(api, incoming, pass)).await,
        }
    }

    /// Gives a call that has passed the token that its upstream is to get.
    async fn attach(
        &self,
        api: &Api,
        incoming: &Incoming<'_>,
        mut pass: Pass,
    ) -> Result<Pass, (Credential, Box<Response<Body>>)> {
        let users = (std::mem::take(&mut pass.authorization), pass.bound.take());
        let frontend = self.0.frontends.of_api(api, incoming.host);
        let bff = frontend.map(|frontend| &frontend.bff);
        match api.attach.attach(users, incoming, bff).await {
            Ok(attached) => {
                pass.authorization = attached.authorization;
                pass.own = attached.own;
                pass.bound = attached.bound;
                if let Some((session, bff)) = attached.session.zip(bff.cloned()) {
                    pass.credential = Credential::Session;
                    pass.session = Some((bff, session));
                }
                Ok(pass)
            }
            Err(refused) => Err(self.refuse_call(api, incoming, refused, pass.credential)),
        }
    }

    async fn admit(
        &self,
        api: &Api,
        guarded: &GuardedApi,
        incoming: &Incoming<'_>,
    ) -> Result<Pass, (Credential, Box<Response<Body>>)> {
        let parts = &incoming.parts;
        // A preflight carries no credential and must not reach the upstream without one (Fetch s4.8).
        if parts.method == Method::OPTIONS && parts.headers.contains_key("access-control-request-method") {
            let origin = parts
                .headers
                .get("origin")
                .and_then(|value| value.to_str().ok())
                .unwrap_or("none");
            let refused = Refused::new("cors.origin_denied").found(origin);
            return Err(self.refuse_call(api, incoming, refused, Credential::None));
        }
        let frontend = guarded.session.then(|| self.0.frontends.of_api(api, incoming.host));
        let bff = frontend.flatten().map(|frontend| &frontend.bff);
        let has_bearer = parts.headers.contains_key(AUTHORIZATION) || has_query_token(parts.uri.query());
        if let Some(bff) = bff.filter(|_| !has_bearer || !guarded.bearer) {
            return self.admit_session(api, guarded, bff, incoming).await;
        }
        if !guarded.bearer {
            // At a host whose frontend does not count here: a token of the caller's own is none of what is accepted.
            let refused = Refused::new("session.missing");
            return Err(self.refuse_call(api, incoming, refused, Credential::None));
        }
        let credential = match Scheme::of(&parts.headers) {
            Some(Scheme::Dpop) => Credential::Dpop,
            _ if has_bearer => Credential::Bearer,
            _ => Credential::None,
        };
        let refuse = |error: &GuardError, token: Option<&VerifiedToken>| {
            (
                credential,
                Box::new(refuse_by_guard(api, guarded, incoming, error, credential, token)),
            )
        };
        let presented = Guard::credential(parts).map_err(|error| refuse(&error, None))?;
        let presented = presented.called(parts.method.as_str(), incoming.path.as_str());
        let verified = verify(&guarded.guard, &presented).await;
        let token = verified.map_err(|error| refuse(&error, None))?;
        let policy = self.policy(api, guarded, incoming, credential)?;
        let authorized = guarded
            .guard
            .authorize(&token, &presented, policy)
            .map_err(|error| refuse(&error, Some(&token)))?;
        Ok(Pass {
            credential,
            authorization: AuthorizationHeader::Keep,
            permit: Permit::Granted(token, authorized),
            dpop_nonce: guarded.guard.next_dpop_nonce(&presented),
            session: None,
            own: None,
            bound: None,
        })
    }

    async fn admit_session(
        &self,
        api: &Api,
        guarded: &GuardedApi,
        bff: &Bff,
        incoming: &Incoming<'_>,
    ) -> Result<Pass, (Credential, Box<Response<Body>>)> {
        let headers = &incoming.parts.headers;
        let refuse = |refused: Refused| {
            // A script wants to know. The cookie stays: a login in another tab may just have replaced it, and an answer
            // that takes it away would sign the person out of the new session.
            if matches!(refused.status(), 401) && incoming.parts.method == Method::GET && is_navigation(headers) {
                return (Credential::None, Box::new(again::to_login(bff, incoming)));
            }
            let credential = if refused.code == "session.missing" {
                Credential::None
            } else {
                Credential::Session
            };
            (
                credential,
                Box::new(self.refuse_on(Some(api), incoming, refused.into(), credential)),
            )
        };
        if !headers.contains_key(COOKIE) || !bff.has_cookie(headers) {
            return Err(refuse(Refused::new("session.missing")));
        }
        let same_origin = match headers.contains_key(UPGRADE) {
            true => bff.check_upgrade_origin(headers),
            false if guarded.pages => bff.check_page(&incoming.parts),
            false => bff.check_same_origin(headers),
        };
        same_origin.map_err(&refuse)?;
        let (method, path) = (&incoming.parts.method, incoming.path.as_str());
        let read = async || {
            let session = bff.session(headers, method).await?;
            let session = session.ok_or_else(|| Refused::new("session.missing"))?;
            let access_token = bff.access_token(&session, incoming.id).await?;
            Ok::<_, Refused>((session, access_token))
        };
        let (mut session, mut access_token) = read().await.map_err(&refuse)?;
        let credential = Credential::Session;
        let presented = of_session(&access_token, method, path);
        let mut verified = verify(&guarded.guard, &presented).await;
        if matches!(verified, Err(GuardError::Token(Refusal::Expired { .. })))
            && Box::pin(bff.renew_refused(bff.used(&session), incoming.id)).await
        {
            // It was alive a moment ago.
            (session, access_token) = Box::pin(read()).await.map_err(&refuse)?;
            verified = verify(&guarded.guard, &of_session(&access_token, method, path)).await;
        }
        let presented = of_session(&access_token, method, path);
        let token = match verified {
            Ok(token) => token,
            Err(GuardError::Token(Refusal::Expired { .. })) => {
                let found = "the access token has expired, and there is no other";
                return Err(refuse(match session.is_refreshable() {
                    true => Refused::new("refresh.unavailable").found(found),
                    false => Refused::new("session.token_expired"),
                }));
            }
            Err(GuardError::Token(refusal @ (Refusal::UnknownKid { .. } | Refusal::SignatureInvalid)))
                if !Box::pin(bff.keys_are_newer(&session)).await.map_err(&refuse)? =>
            {
                // Somebody's made-up `kid` may keep the keys from being fetched just now (or a cache its old copy).
                return Err(refuse(
                    Refused::new("keys.unavailable").found(refusal.found().unwrap_or_default()),
                ));
            }
            Err(error @ GuardError::Token(_)) if is_over(&error) => {
                // The event says why. For the person the session is over: with this token it is worth nothing.
                drop(refuse_by_guard(api, guarded, incoming, &error, credential, None));
                Box::pin(bff.end_session(&session)).await.map_err(&refuse)?;
                let failure = Failure {
                    told: true,
                    ..Refused::new("session.expired").into()
                };
                return Err((
                    credential,
                    Box::new(self.refuse_on(Some(api), incoming, failure, credential)),
                ));
            }
            Err(error) => {
                let response = refuse_by_guard(api, guarded, incoming, &error, credential, None);
                return Err((credential, Box::new(response)));
            }
        };
        let refuse = |error: &GuardError, token: Option<&VerifiedToken>| {
            (
                credential,
                Box::new(refuse_by_guard(api, guarded, incoming, error, credential, token)),
            )
        };
        let policy = self.policy(api, guarded, incoming, credential)?;
        let authorized = guarded
            .guard
            .authorize(&token, &presented, policy)
            .map_err(|error| refuse(&error, Some(&token)))?;
        let dpop = bff
            .settings()
            .client
            .options()
            .dpop
            .clone()
            .filter(|_| token.binding().jkt().is_some());
        let header = match &dpop {
            None => access_token.bearer(),
            Some(_) => access_token.dpop(),
        };
        let authorization = AuthorizationHeader::Set(header);
        Ok(Pass {
            credential,
            authorization,
            permit: Permit::Granted(token, authorized),
            dpop_nonce: None,
            session: Some((bff.clone(), session)),
            own: None,
            bound: dpop.map(|key| (key, access_token.secret().clone())),
        })
    }

    fn policy<'g>(
        &self,
        api: &Api,
        guarded: &'g GuardedApi,
        incoming: &Incoming<'_>,
        credential: Credential,
    ) -> Result<&'g Arc<NamedPolicy>, (Credential, Box<Response<Body>>)> {
        let method = incoming.parts.method.as_str();
        guarded
            .policy(method, incoming.path.as_str())
            .map_err(|refused| self.refuse_call(api, incoming, refused, credential))
    }

    fn refuse_call(
        &self,
        api: &Api,
        incoming: &Incoming<'_>,
        refused: Refused,
        credential: Credential,
    ) -> (Credential, Box<Response<Body>>) {
        (
            credential,
            Box::new(self.refuse_on(Some(api), incoming, refused.into(), credential)),
        )
    }

    /// Forwards a call. Where the API refuses a session's token, it is renewed, and a call without a body is forwarded
    /// once more: with a 401 nothing was done (RFC 9110 s15.5.2).
    async fn forward_again<B>(&self, api: &Api, incoming: Incoming<'_>, body: B, pass: Pass) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let repeatable = body.is_end_stream() && !incoming.parts.headers.contains_key(UPGRADE);
        // Where the upstream did not see it, it says nothing about the session's token.
        let session = pass
            .session
            .as_ref()
            .filter(|_| api.attach.sends_session(pass.own.is_some()));
        let used = session.map(|(bff, session)| (bff.clone(), bff.used(session)));
        let Some((bff, used)) = used.filter(|_| repeatable) else {
            return self.forward(api, incoming, body, pass).await;
        };
        let is_bound = pass.bound.is_some();
        let spare = Incoming {
            parts: incoming.parts.clone(),
            ..incoming
        };
        let response = self.forward(api, incoming, body, pass).await;
        // A demand for a stronger login, or for another proof, is no word about the token.
        let headers = response.headers();
        let is_refused = response.status() == StatusCode::UNAUTHORIZED
            && StepUp::of(headers).is_none()
            && !(is_bound && asks_for_nonce(headers));
        if !is_refused || !Box::pin(bff.renew_refused(used, spare.id)).await {
            return response;
        }
        match Box::pin(self.let_pass(api, &spare)).await {
            Ok(pass) => Box::pin(self.forward(api, spare, Body::empty(), pass)).await,
            Err((_, refused)) => *refused,
        }
    }

    async fn forward<B>(&self, api: &Api, incoming: Incoming<'_>, body: B, pass: Pass) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ours = self.0.frontends.cookies();
        let Incoming {
            mut parts,
            path,
            host,
            id,
            peer,
            begun,
            ..
        } = incoming;
        let (uri, method) = (parts.uri.clone(), parts.method.clone());
        let session = pass.session.as_ref();
        let permitted = match &pass.permit {
            Permit::Granted(token, _) => api.guarded.as_ref().map(|guarded| (&guarded.guard, token)),
            Permit::Anyone => None,
        };
        let end = || outlived::end_of(session, permitted);
        let upgrade = parts.headers.contains_key(UPGRADE);
        let head_with = |authorization| {
            let mut head = ForwardHead::new(path, peer);
            head.query = uri.query();
            head.authorization = authorization;
            if upgrade {
                head.cut = end();
                head.leaving = Some(self.0.leaving.subscribe());
            }
            head.remove_cookies = &ours;
            head.remove = &self.0.certificates.remove;
            head.request_id = id.as_str();
            head.scheme = self.0.scheme;
            head.host = host;
            head
        };
        let target = api.upstream.url_of(path.as_str());
        let bound = pass.bound.as_ref();
        // RFC 9449 s7: our proof, for the upstream's own address.
        let prove = |parts: &mut Parts, bound: Option<&Bound>| {
            let Some((key, token)) = bound else {
                return Some(String::new());
            };
            let now = self.0.clock.now();
            let proof = key.proof(method.as_str(), &target, Some(token), now).ok()?;
            parts.headers.insert("dpop", HeaderValue::try_from(&proof).ok()?);
            Some(proof)
        };
        // A proof of the caller's own is for the token that it came with.
        if !matches!(pass.authorization, AuthorizationHeader::Keep) {
            parts.headers.remove("dpop");
        }
        let Some(mut proof) = prove(&mut parts, bound) else {
            let refused = Refused::new("internal.error").found("the DPoP proof cannot be made");
            let mut response = Answer::new(&refused, StatusCode::INTERNAL_SERVER_ERROR, Form::Problem, id).response();
            self.disclose(&refused, &mut response);
            return response;
        };
        // A request without a body can be sent once more, if the upstream refuses the client's own token, or wants
        // another proof.
        let repeatable = (pass.own.is_some() || bound.is_some()) && body.is_end_stream() && !upgrade;
        let mut again = repeatable.then(|| {
            let mut parts = parts.clone();
            parts.extensions.clear();
            parts
        });
        let request = Request::from_parts(parts, body);
        let forwarder = &self.0.forwarder;
        let authorization = bound.map(|_| pass.authorization.clone());
        let mut answer = forwarder
            .forward(&api.upstream, request, head_with(pass.authorization))
            .await;
        let wants_another = |proof: &str, answer: &Result<_, _>| match (answer, bound) {
            (Ok(response), Some((key, _))) => key.wants_another(&target, proof, response),
            _ => false,
        };
        if wants_another(&proof, &answer)
            && let (Some(mut parts), Some(authorization)) = (again.take(), authorization)
            && let Some(second) = prove(&mut parts, bound)
        {
            proof = second;
            let request = Request::from_parts(parts, Body::empty());
            answer = Box::pin(forwarder.forward(&api.upstream, request, head_with(authorization))).await;
            wants_another(&proof, &answer);
        }
        if let (Ok(response), Some(own)) = (&answer, &pass.own)
            && response.status() == StatusCode::UNAUTHORIZED
            && let Some(other) = Box::pin(api.attach.instead_of(own)).await
            && let Some(mut parts) = again
            && prove(&mut parts, other.bound.as_ref()).is_some()
        {
            let request = Request::from_parts(parts, Body::empty());
            answer = Box::pin(forwarder.forward(&api.upstream, request, head_with(other.authorization))).await;
        }
        match answer {
            Ok(mut response) => {
                let (token, policy) = match &pass.permit {
                    Permit::Anyone => (None, None),
                    Permit::Granted(token, authorized) => (Some(&**token), Some(authorized.policy().to_owned())),
                };
                let event = Event::CallForwarded {
                    route: api.name.clone(),
                    method: method.to_string(),
                    path: path.as_str().to_owned(),
                    credential: pass.credential,
                    subject: token.and_then(VerifiedToken::subject).map(str::to_owned),
                    client: token.and_then(VerifiedToken::client).map(str::to_owned),
                    policy,
                    status: response.status().as_u16(),
                    duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                };
                self.0.audit.emit(Some(id), event);
                if pass.credential == Credential::Session || api.attach.depends_on_cookie() {
                    // Another person at the same cache must not get this one's data.
                    portcullis_proxy::forbid_caching(response.headers_mut());
                }
                if let Some(nonce) = pass.dpop_nonce {
                    // RFC 9449 s8.2: out of a cache it would be an old one.
                    response.headers_mut().insert(DPOP_NONCE, nonce);
                    portcullis_proxy::forbid_caching(response.headers_mut());
                }
                if let Some((bff, session)) = &pass.session {
                    set_cookies(&mut response, bff.carry(session).await);
                }
                // An answer without a known end may go on for longer than the session: events, for example.
                let endless = response.body().size_hint().exact().is_none();
                let end = if endless { end() } else { None };
                let leaving = is_event_stream(&response).then(|| self.0.leaving.subscribe());
                let ends = end.into_iter().chain(leaving);
                response.map(|body| Body::new(ends.fold(body, ProxyBody::cut_when)))
            }
            Err(error) => {
                let mut response = self.upstream_failed(api, id, &error);
                if let Some((bff, session)) = &pass.session {
                    set_cookies(&mut response, bff.carry(session).await);
                }
                response
            }
        }
    }

    fn upstream_failed(&self, api: &Api, id: &RequestId, error: &ForwardError) -> Response<Body> {
        let refused = Refused::new(error.code()).found(error.to_string());
        if error.is_upstream_fault() {
            let event = Event::UpstreamFailed {
                route: api.name.clone(),
                refused: refused.clone(),
            };
            self.0.audit.emit(Some(id), event);
        }
        let mut response = Answer::new(&refused, error.status(), Form::Problem, id).response();
        self.disclose(&refused, &mut response);
        response
    }
}

fn set_cookies<B>(response: &mut Response<B>, cookies: Vec<HeaderValue>) {
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// Whether a token will never be good again, anywhere. One that is good elsewhere (another audience or type) is a fault
/// of the configuration, and costs nobody a session.
fn is_over(error: &GuardError) -> bool {
    use Refusal::{KeyUnusable, Revoked, SignatureInvalid, UnknownKid};
    let GuardError::Token(refusal) = error else {
        return false;
    };
    matches!(
        refusal,
        KeyUnusable { .. } | Revoked { .. } | SignatureInvalid | UnknownKid { .. }
    )
}

fn refuse_by_guard(
    api: &Api,
    guarded: &GuardedApi,
    incoming: &Incoming<'_>,
    error: &GuardError,
    credential: Credential,
    token: Option<&VerifiedToken>,
) -> Response<Body> {
    let (method, path) = (incoming.parts.method.as_str(), incoming.path.as_str());
    let call = Call {
        route: Some(&api.name),
        method,
        path,
        credential,
        token,
    };
    guarded.guard.refuse(error, &call, Some(incoming.id)).map(Body::from)
}

async fn verify(guard: &Guard, presented: &Presented<'_>) -> Result<Arc<VerifiedToken>, GuardError> {
    match guard.try_verify(presented) {
        Some(verified) => verified,
        None => Box::pin(guard.verify(presented)).await,
    }
}

/// The token of a session, as the guard judges it.
fn of_session<'a>(token: &'a AccessToken, method: &'a Method, path: &'a str) -> Presented<'a> {
    Presented::token_alone(token.secret().expose())
        .held()
        .called(method.as_str(), path)
}

fn has_query_token(query: Option<&str>) -> bool {
    query.is_some_and(|query| form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token"))
}

/// Whether it is an answer that goes on for ever, whose client comes back by itself.
fn is_event_stream<B>(response: &Response<B>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
