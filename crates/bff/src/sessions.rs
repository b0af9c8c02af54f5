//! A person's own sessions: which there are, and an end to one, to all others, or to all.

use std::net::IpAddr;

use axum_core::body::Body;
use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderValue, Response};
use portcullis_audit::{Event, Refused, RequestId};
use portcullis_jose::{base64url_encode, sha256};
use portcullis_store::{IndexKey, SessionKey};
use serde_json::json;

use crate::session::store_refused;
use crate::user::{answered, signed_in};
use crate::{Bff, Failure, Session};

/// Of what a browser says of itself, so many bytes are kept.
const MAX_DEVICE: usize = 200;

/// Where a request came from; whoever hands a request to [`Bff::handle`] puts it among the extensions.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "an address is all it is")]
pub struct Peer(pub IpAddr);

impl Bff {
    /// All sessions of the person here, the oldest first.
    pub(crate) async fn list_sessions(&self, request: &Parts) -> Result<Response<Body>, Failure> {
        self.check_same_origin(&request.headers)?;
        self.needs_store()?;
        let own = signed_in(self.session(&request.headers, &request.method).await)?;
        let now = self.0.clock.now();
        let mut sessions = Vec::new();
        for session in self.sessions_of(&own).await? {
            let times = &session.times;
            // A request moves the idle limit on when a tenth of it has passed.
            let seen = times
                .idle_expires
                .plus(-self.0.settings.idle)
                .max(times.created)
                .min(now);
            sessions.push(json!({
                "id": public_id(&session.key),
                "current": session.key == own.key,
                "device": session.data.device,
                "address": session.data.address,
                "since": times.created.as_secs(),
                "last_seen": seen.as_secs(),
                "seconds_left": session.seconds_left(now),
            }));
        }
        Ok(answered(&json!({ "sessions": sessions })))
    }

    /// Ends one session of the person, `others` or `all`.
    pub(crate) async fn end_sessions_of(
        &self,
        request: &Parts,
        which: &str,
        id: &RequestId,
    ) -> Result<Response<Body>, Failure> {
        self.check_same_origin(&request.headers)?;
        self.needs_store()?;
        let own = signed_in(self.session(&request.headers, &request.method).await)?;
        let ended = match which {
            "all" => self.end_everywhere(&own, id).await?,
            _ => {
                let chosen: Vec<Session> = self.sessions_of(&own).await?;
                let chosen = chosen.into_iter().filter(|session| match which {
                    "others" => session.key != own.key,
                    one => public_id(&session.key) == one,
                });
                let mut ended = 0;
                for session in chosen {
                    if self.delete(session.key).await? {
                        ended += 1;
                        self.revoke_in_background(&session, id);
                        self.tell_ended(&own, "ended_by_person", id);
                    }
                }
                if ended == 0 && which != "others" {
                    return Err(Refused::new("route.not_found")
                        .found("no session of this person")
                        .into());
                }
                ended
            }
        };
        let mut response = answered(&json!({ "ended": ended }));
        if which == "all" || which == public_id(&own.key) {
            for cookie in self.0.settings.clear_session_cookies() {
                response.headers_mut().append(http::header::SET_COOKIE, cookie);
            }
        }
        Ok(response)
    }

    /// Ends all sessions of a session's person, also those of other frontends on the same store, and revokes their refresh
    /// tokens.
    pub(crate) async fn end_everywhere(&self, own: &Session, id: &RequestId) -> Result<u64, Refused> {
        let mut sessions = Vec::new();
        let others = self.0.others.get().into_iter().flatten();
        for bff in others
            .filter_map(|other| other.upgrade().map(Bff))
            .chain([self.clone()])
        {
            let of_frontend = bff.sessions_of(own).await?;
            sessions.extend(of_frontend.into_iter().map(|session| (bff.clone(), session)));
        }
        self.0.copies.forget_all();
        let subject = IndexKey::subject(&own.data.issuer, &own.data.subject);
        let ended = self.0.store.delete_by_subject(subject).await.map_err(store_refused)?;
        self.0.watches.look_now();
        for (bff, session) in &sessions {
            bff.revoke_in_background(session, id);
        }
        for _ in 0..ended {
            self.tell_ended(own, "everywhere", id);
        }
        Ok(ended)
    }

    /// The person's sessions that this frontend can open.
    async fn sessions_of(&self, own: &Session) -> Result<Vec<Session>, Refused> {
        self.sessions_of_subject(&own.data.issuer, &own.data.subject).await
    }

    fn tell_ended(&self, own: &Session, how: &'static str, id: &RequestId) {
        let (frontend, subject) = (self.0.settings.name.clone(), own.data.subject.clone());
        self.0.audit.emit(Some(id), Event::LoggedOut { frontend, subject, how });
    }
}

/// Names a session to its person: it is neither its key in the store nor its cookie.
pub(crate) fn public_id(key: &SessionKey) -> String {
    let mut input = b"portcullis session id ".to_vec();
    input.extend_from_slice(key.as_bytes());
    base64url_encode(sha256(&input).get(..12).unwrap_or_default())
}

/// What the browser says of itself, and where it is.
pub(crate) fn whereabouts(request: &Parts) -> (Option<String>, Option<String>) {
    let device = request
        .headers
        .get(USER_AGENT)
        .map(readable)
        .filter(|device| !device.is_empty());
    let address = request
        .extensions
        .get::<Peer>()
        .map(|Peer(address)| address.to_canonical().to_string());
    (device, address)
}

fn readable(value: &HeaderValue) -> String {
    let visible = value.as_bytes().iter().take(MAX_DEVICE);
    visible
        .map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '?',
        })
        .collect()
}
