use axum_core::body::Body;
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use portcullis_audit::{Event, Refused, RequestId};
use portcullis_jose::{Claims, Refusal, Secret, Verified, random_token, sha256};
use portcullis_oidc::login::{CallbackParameters, LoginError, LoginRequest, validate_callback};
use portcullis_oidc::{ProviderError, TokenResponse};
use portcullis_store::SessionKey;

use crate::attempt::{LIFETIME, Pending, Purpose, Silent};
use crate::callbacks::Finished;
use crate::csrf::is_navigation;
use crate::pages::{self, Frames};
use crate::session::{SessionData, store_refused};
use crate::sessions;
use crate::wish::Wish;
use crate::{AccessToken, Bff, Failure, SameSite, StepUp};

/// Claims that say something of the token, not of the person.
const PROTOCOL_CLAIMS: [&str; 12] = [
    "iss", "aud", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "azp", "sid", "s_hash",
];

/// How far a callback got.
#[derive(Default)]
struct Progress {
    purpose: Option<Purpose>,
    set_cookies: Vec<HeaderValue>,
}

/// Where a request for a login comes from, as browsers say in `Sec-Fetch-Site` and `Sec-Fetch-Dest` (W3C Fetch Metadata).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Our own pages, an address that was typed, or a client that does not say.
    Ours,
    /// A link or a form of another site's, which the person sees.
    AnotherSite,
    /// An image, a frame or a script of another site's.
    Hidden,
}

impl Origin {
    fn of(headers: &HeaderMap) -> Origin {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        match (text("sec-fetch-site"), text("sec-fetch-dest")) {
            (None | Some("same-origin" | "none"), _) => Origin::Ours,
            (Some(_), None | Some("document")) => Origin::AnotherSite,
            (Some(_), Some(_)) => Origin::Hidden,
        }
    }
}

impl Bff {
    /// Sends the browser to the provider. `form` is the query, or the body of a POST (OpenID Connect Core 1.0 s4).
    pub(crate) async fn login(
        &self,
        request: &Parts,
        form: &[u8],
        frame: bool,
        id: &RequestId,
    ) -> Result<Response<Body>, Failure> {
        let settings = &self.0.settings;
        let from = Origin::of(&request.headers);
        if from == Origin::Hidden {
            let found = "another site, not as a page";
            return Err(Refused::new("csrf.cross_site")
                .expected("a navigation")
                .found(found)
                .into());
        }
        let mut wish = Wish::parse(form, settings)?;
        // s4: another party may say where to sign in, and only at a provider that we know.
        let rule = settings.client.provider().issuer_rule();
        if let Some(issuer) = wish.issuer.as_ref().filter(|issuer| !rule.matches(issuer)) {
            let refused = Refused::new("login.issuer_unknown").expected(settings.client.provider().issuer());
            return Err(refused.found(issuer).into());
        }
        if from == Origin::AnotherSite && request.method == Method::POST {
            // Without our lax cookies, so that the logins that are under way are not seen. They come with a GET.
            return redirect(&wish.url(settings), Vec::new());
        }
        if frame {
            wish.prompt = Some("none".to_owned());
        }
        if wish.keep_fragment && request.method == Method::GET && is_navigation(&request.headers) {
            wish.keep_fragment = false;
            let (nonce, login) = (random_token(16), wish.url(settings));
            let page = pages::Fragment {
                nonce: &nonce,
                login: &login,
            };
            return Ok(pages::response(&page, &nonce, StatusCode::OK, Frames::None));
        }
        let again = wish.url(settings);
        // What an API demanded is remembered as it was demanded: it may demand the same again.
        let demanded = StepUp {
            acr_values: wish.acr_values.clone(),
            max_age: wish.max_age,
        };
        wish.complete(&settings.login);
        let redirect_uri = settings.redirect_uri();
        let mut login = LoginRequest::new(&redirect_uri, &settings.scopes);
        login.resource = settings.resource.as_deref();
        wish.fill(&mut login);
        let begun = settings.client.begin_login(&login).await;
        let (url, attempt) = begun.map_err(|error| Failure {
            again: Some(again),
            ..provider_refused(&error).into()
        })?;
        let purpose = Purpose {
            silent: match (frame, wish.is_silent()) {
                (true, _) => Silent::Frame,
                (false, true) => Silent::Page,
                (false, false) => Silent::No,
            },
            max_age: wish.max_age,
            demanded,
            return_to: wish.return_to,
        };
        let set_cookies = self.remember_attempt(&request.headers, &attempt, purpose)?;
        let (frontend, provider) = (settings.name.clone(), settings.client.provider().name().to_owned());
        self.0.audit.emit(Some(id), Event::LoginStarted { frontend, provider });
        redirect(url.as_str(), set_cookies)
    }

    /// The same in a frame, which asks nobody. The page around it is told of everything that comes of it.
    pub(crate) async fn silent_login(
        &self,
        request: &Parts,
        query: &[u8],
        id: &RequestId,
    ) -> Result<Response<Body>, Failure> {
        match self.login(request, query, true, id).await {
            Err(failure) if failure.refused.code != "csrf.cross_site" => {
                let (frontend, refused) = (self.0.settings.name.clone(), failure.refused);
                let code = refused.code;
                self.0.audit.emit(Some(id), Event::LoginFailed { frontend, refused });
                Ok(told_in_frame(false, code, failure.set_cookies))
            }
            done => done,
        }
    }

    /// Takes the provider's answer: the query, or the form of a POST.
    pub(crate) async fn callback(
        &self,
        request: &Parts,
        answer: &[u8],
        id: &RequestId,
    ) -> Result<Response<Body>, Failure> {
        let mut progress = Progress::default();
        let result = self.finish_login(request, answer, id, &mut progress).await;
        let Progress { purpose, set_cookies } = progress;
        let silent = purpose.as_ref().map(|purpose| purpose.silent).unwrap_or_default();
        let return_to = purpose.map(|purpose| purpose.return_to);
        let refused = match result {
            Ok(()) if silent == Silent::Frame => return Ok(told_in_frame(true, "", set_cookies)),
            Ok(()) => {
                let to = return_to.unwrap_or_else(|| self.0.settings.home());
                return match self.0.settings.same_site {
                    SameSite::Strict => Ok(onward(&to, set_cookies)),
                    _ => redirect(&to, set_cookies),
                };
            }
            // What keeps sessions is at fault: whoever signs in has none that would go on.
            Err(refused) if refused.status() == 503 && refused.code.starts_with("store.") => {
                let found = refused.found.as_deref().unwrap_or_default();
                Refused::new("login.not_stored").found(format!("{}: {found}", refused.code))
            }
            Err(refused) => refused,
        };
        // A stale or repeated callback of somebody who is signed in by now: they are where they wanted to be.
        if refused.code == "login.attempt_expired"
            && matches!(self.session(&request.headers, &request.method).await, Ok(Some(_)))
        {
            return redirect(&return_to.unwrap_or_else(|| self.0.settings.home()), set_cookies);
        }
        let frontend = self.0.settings.name.clone();
        let failed = Event::LoginFailed {
            frontend,
            refused: refused.clone(),
        };
        self.0.audit.emit(Some(id), failed);
        let wants_person = refused.code == "login.interaction_required";
        match (silent, return_to) {
            (Silent::Frame, _) => Ok(told_in_frame(false, refused.code, set_cookies)),
            // That the provider would have to ask is an answer, not a fault.
            (Silent::Page, Some(return_to)) if wants_person => redirect(&return_to, set_cookies),
            (_, return_to) => Err(Failure {
                again: return_to.map(|return_to| self.login_url(&return_to)),
                refused,
                set_cookies,
                told: true,
            }),
        }
    }

    /// The address that begins a login which goes back to a path of this app.
    pub(crate) fn login_url(&self, return_to: &str) -> String {
        let wish = Wish {
            return_to: return_to.to_owned(),
            ..Wish::default()
        };
        wish.url(&self.0.settings)
    }

    /// Begins the session, or takes the one that the same answer has just begun. What becomes known on the way is in
    /// `progress`, also where it fails.
    async fn finish_login(
        &self,
        request: &Parts,
        answer: &[u8],
        id: &RequestId,
        progress: &mut Progress,
    ) -> Result<(), Refused> {
        let answer = std::str::from_utf8(answer).unwrap_or_default();
        let parameters = CallbackParameters::parse(answer).map_err(login_refused)?;
        let state = parameters.state().ok_or_else(|| Refused::new("login.state_missing"))?;
        let (pending, used_up) = self.take_attempt(&request.headers, state).map_err(|not| {
            progress.purpose = not.return_to.map(|return_to| Purpose {
                return_to,
                ..Purpose::default()
            });
            not.refused
        })?;
        progress.purpose = Some(pending.purpose.clone());
        progress.set_cookies.extend(used_up);
        let state = sha256(state.expose().as_bytes());
        let (bff, request, id) = (self.clone(), request.clone(), id.clone());
        let work = async move { bff.complete_login(&request, parameters, pending, state, &id).await };
        let work = self.0.work.counted(work);
        let finished = self.0.callbacks.once(state, &self.0.clock, work).await;
        progress.set_cookies =
            finished.ok_or_else(|| Refused::new("internal.error").found("the program is ending"))??;
        Ok(())
    }

    /// Redeems the code and stores the session. Gives the cookies that it has.
    async fn complete_login(
        &self,
        request: &Parts,
        parameters: CallbackParameters,
        pending: Pending,
        state: [u8; 32],
        id: &RequestId,
    ) -> Finished {
        let client = &self.0.settings.client;
        let metadata = client
            .provider()
            .metadata()
            .await
            .map_err(|error| provider_refused(&error))?;
        let callback = validate_callback(client.provider().issuer_rule(), &metadata, &pending.attempt, parameters)
            .map_err(login_refused)?;
        let answered = callback.issuer().map(str::to_owned);
        let asked = self.0.clock.now();
        // A code that comes twice is one that was stolen, for all that the provider knows: it may revoke what it has given.
        let expires = pending.attempt.started().plus(2 * LIFETIME);
        let first = self.0.store.mark("login", &state, expires).await;
        if !first.map_err(store_refused)? {
            return Err(Refused::new("login.attempt_expired").found("an answer that was used already"));
        }
        let response = client
            .exchange_code(callback, &pending.attempt)
            .await
            .map_err(|error| match error {
                ProviderError::OAuth(_) if error.is_invalid_grant() => {
                    Refused::new("login.code_rejected").found(error.to_string())
                }
                other => provider_refused(&other),
            })?;
        let (claims, id_token) = self.verify_id_token(&response, &pending).await?;
        // RFC 9207 s2.4, where the provider has several issuers.
        if let Some(answered) = answered.filter(|answered| claims.str("iss") != Some(answered)) {
            let found = claims.str("iss").unwrap_or_default();
            return Err(Refused::new("login.issuer_mismatch").expected(answered).found(found));
        }
        self.check_age(&claims, pending.purpose.max_age)?;
        let mut data = self.session_data(response, &claims, id_token, asked).await?;
        (data.device, data.address) = sessions::whereabouts(request);

        let cookie = self
            .begin_session(&data)
            .await
            .inspect_err(|_| self.revoke_token_in_background(data.refresh_token.clone(), id))?;
        self.check_still_signed_in(&cookie, claims, &data, id).await?;
        // A new name at each login; the session of an old or planted cookie is over. It goes last: a login that fails
        // costs nobody the session that they have.
        self.end_session_of(&request.headers).await?;
        if let Some(replaced) = pending.replaces {
            self.delete(replaced).await?;
        }
        let mut set_cookies: Vec<HeaderValue> = self.attempt_done(&pending)?.into_iter().collect();
        set_cookies.extend(self.0.settings.set_session_cookies(cookie.expose()));
        let Purpose {
            demanded, return_to, ..
        } = pending.purpose;
        if demanded != StepUp::default() {
            set_cookies.extend(self.stepped_up(&demanded, &return_to));
        }
        self.tell_login(&data, id);
        Ok(set_cookies)
    }

    /// A logout that came in while the login was finished has found no session to end. It was entered first, so it is
    /// seen now.
    async fn check_still_signed_in(
        &self,
        cookie: &Secret,
        claims: Verified<Claims>,
        data: &SessionData,
        id: &RequestId,
    ) -> Result<(), Refused> {
        let covered = self.0.revoke.covers(claims).await;
        if matches!(covered, Ok(false)) {
            return Ok(());
        }
        self.revoke_token_in_background(data.refresh_token.clone(), id);
        self.delete(SessionKey::from_cookie(cookie.expose())).await?;
        covered.map_err(store_refused)?;
        Err(Refused::new("login.ended_meanwhile"))
    }

    /// OpenID Connect Core 1.0 s3.1.3.7 (13): where an age was asked for, the answer has to keep to it.
    fn check_age(&self, claims: &Claims, max_age: Option<u64>) -> Result<(), Refused> {
        let Some(max_age) = max_age else { return Ok(()) };
        let refused = || Refused::new("login.authentication_too_old").expected(format!("at most {max_age} s ago"));
        let at = claims.time("auth_time").ok().flatten();
        let at = at.ok_or_else(|| refused().found("no auth_time"))?;
        let age = self.0.clock.now().since(at);
        let leeway = self.0.settings.client.provider().settings().leeway;
        match age <= i64::try_from(max_age).unwrap_or(i64::MAX).saturating_add(leeway) {
            true => Ok(()),
            false => Err(refused().found(format!("{age} s ago"))),
        }
    }

    async fn verify_id_token(
        &self,
        response: &TokenResponse,
        pending: &Pending,
    ) -> Result<(Verified<Claims>, Secret), Refused> {
        let missing = || {
            Refused::new("login.id_token_invalid")
                .expected("an ID token")
                .found("none")
        };
        let id_token = response.id_token.clone().ok_or_else(missing)?;
        let nonce = Some(pending.attempt.nonce());
        let verified = self
            .0
            .settings
            .client
            .verify_id_token(&id_token, nonce, Some(&response.access_token))
            .await;
        let claims = verified.map_err(|error| match error {
            ProviderError::Token(Refusal::ClaimValue { claim, .. }) if claim == "nonce" => {
                Refused::new("login.nonce_mismatch")
            }
            ProviderError::Token(refusal) => Refused::new("login.id_token_invalid")
                .expected_if(refusal.expected())
                .found(format!("{}: {refusal}", refusal.code())),
            other => provider_refused(&other),
        })?;
        Ok((claims, id_token))
    }

    async fn session_data(
        &self,
        response: TokenResponse,
        claims: &Claims,
        id_token: Secret,
        asked: portcullis_jose::UnixTime,
    ) -> Result<SessionData, Refused> {
        let client = &self.0.settings.client;
        // The rules of an ID token guarantee issuer and subject.
        let issuer = claims.str("iss").unwrap_or_default().to_owned();
        let subject = claims.str("sub").unwrap_or_default().to_owned();
        let userinfo = match client.userinfo(&response.access_token, &subject).await {
            Ok(userinfo) => userinfo,
            // RFC 6750 s3.1: the token is for an API, and not for userinfo. The ID token has said who it is.
            Err(ProviderError::BadStatus { status: 401 | 403, .. }) => None,
            Err(ProviderError::SubjectMismatch) => return Err(Refused::new("login.userinfo_mismatch")),
            Err(other) => return Err(provider_refused(&other)),
        };
        let mut person = claims.to_json();
        if let (Some(person), Some(more)) = (
            person.as_object_mut(),
            userinfo.as_ref().and_then(|more| more.as_object()),
        ) {
            for (name, value) in more {
                person.entry(name).or_insert_with(|| value.clone());
            }
        }
        if let Some(person) = person.as_object_mut() {
            person.retain(|name, _| !PROTOCOL_CLAIMS.contains(&name.as_str()));
        }
        let mut data = SessionData {
            issuer,
            sid: claims.str("sid").map(str::to_owned),
            subject,
            claims: person,
            id_token,
            access_token: AccessToken::new(response.access_token.clone()),
            access_expires: None,
            access_issued: asked,
            refresh_token: None,
            nonce: claims.str("nonce").map(str::to_owned),
            device: None,
            address: None,
            generation: 0,
        };
        data.take_tokens(response, asked);
        Ok(data)
    }

    fn tell_login(&self, data: &SessionData, id: &RequestId) {
        let (frontend, subject) = (self.0.settings.name.clone(), data.subject.clone());
        let client_id = Some(self.0.settings.client.client_id().to_owned());
        let succeeded = Event::LoginSucceeded {
            frontend: frontend.clone(),
            subject: subject.clone(),
            client_id,
        };
        self.0.audit.emit(Some(id), succeeded);
        let expires_in = data
            .access_expires
            .map_or(0, |expires| expires.since(self.0.clock.now()));
        let refreshable = data.refresh_token.is_some();
        self.0.audit.emit(
            Some(id),
            Event::TokenStored {
                frontend,
                subject,
                expires_in,
                refreshable,
            },
        );
    }
}

/// The answer inside of a frame that tried to sign in without asking.
fn told_in_frame(signed_in: bool, error: &str, set_cookies: Vec<HeaderValue>) -> Response<Body> {
    let nonce = random_token(16);
    let page = pages::Silent {
        nonce: &nonce,
        signed_in,
        error,
    };
    with_cookies(pages::response(&page, &nonce, StatusCode::OK, Frames::Own), set_cookies)
}

/// A navigation that began at the provider comes without a strict cookie, whatever redirects lead it here. The page begins
/// another one, which is ours.
fn onward(to: &str, set_cookies: Vec<HeaderValue>) -> Response<Body> {
    let nonce = random_token(16);
    let page = pages::Onward { nonce: &nonce, to };
    with_cookies(
        pages::response(&page, &nonce, StatusCode::OK, Frames::None),
        set_cookies,
    )
}

fn with_cookies(mut response: Response<Body>, set_cookies: Vec<HeaderValue>) -> Response<Body> {
    for cookie in set_cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

pub(crate) fn redirect(location: &str, set_cookies: Vec<HeaderValue>) -> Result<Response<Body>, Failure> {
    let mut response = Response::new(Body::empty());
    // RFC 9700 s4.12: 303, so that no form is posted on.
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(location).map_err(|_| Refused::new("internal.error").found("location"))?;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(with_cookies(response, set_cookies))
}

pub(crate) fn provider_refused(error: &ProviderError) -> Refused {
    Refused::new(error.code()).found(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "it is the shape that map_err asks for")]
fn login_refused(error: LoginError) -> Refused {
    let refused = Refused::new(error.code());
    match &error {
        LoginError::IssuerMismatch { expected, found } => refused.expected(expected).found(found),
        LoginError::Provider { error, description } => match description {
            Some(description) => refused.found(format!("{error}: {description}")),
            None => refused.found(error),
        },
        LoginError::DuplicateParameter(name) => refused.found(name),
        _ => refused,
    }
}
