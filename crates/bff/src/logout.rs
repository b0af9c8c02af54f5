use axum_core::body::Body;
use http::Response;
use http::request::Parts;
use portcullis_audit::{Event, Refused, RequestId};
use portcullis_jose::{Secret, random_token};

use crate::login::redirect;
use crate::user::has_parameter;
use crate::{Bff, Failure, Session};

/// An ID token of more characters is not put into a URL: servers take lines of 8 KB, and the person would be left at an
/// error page of the provider's.
const MAX_HINT: usize = 4_096;

impl Bff {
    pub(crate) async fn logout(&self, request: &Parts, id: &RequestId) -> Result<Response<Body>, Failure> {
        let settings = &self.0.settings;
        let session = match self.session(&request.headers, &request.method).await {
            Ok(Some(session)) => session,
            // Nothing to end: a second click, or a session that is over.
            Ok(None) => return redirect(&settings.home(), Vec::new()),
            Err(refused) if refused.status() < 500 => {
                return redirect(&settings.home(), settings.clear_session_cookies());
            }
            Err(refused) => return Err(refused.into()),
        };
        // Another site can make the browser go here; it cannot know the token.
        if let Err(refused) = check_token(request.uri.query(), &session) {
            let event = Event::LogoutRefused {
                frontend: settings.name.clone(),
                refused: refused.clone(),
            };
            self.0.audit.emit(Some(id), event);
            return Err(Failure {
                told: true,
                ..Failure::from(refused)
            });
        }
        if has_parameter(request.uri.query(), "everywhere", "true") {
            self.needs_store()?;
            self.end_everywhere(&session, id).await?;
        } else {
            self.end_session(&session).await?;
            self.revoke_in_background(&session, id);
            let (frontend, subject) = (settings.name.clone(), session.data.subject.clone());
            let how = "local";
            self.0.audit.emit(Some(id), Event::LoggedOut { frontend, subject, how });
        }
        let cookies = settings.clear_session_cookies();
        redirect(&self.after_logout(&session).await, cookies)
    }

    /// The provider's logout page, or our own start where the provider has none or cannot be asked.
    async fn after_logout(&self, session: &Session) -> String {
        let settings = &self.0.settings;
        let home = format!("{}{}", settings.origin(), settings.home());
        let id_token = &session.data.id_token;
        let hint = (settings.id_token_hint && id_token.expose().len() <= MAX_HINT).then_some(id_token);
        match settings.client.end_session_url(hint, &home, &random_token(16)).await {
            Ok(Some(mut url)) => {
                // RP-Initiated Logout 1.0 s2: the session's `sid` is a hint that is no token.
                if let (None, Some(sid)) = (hint, &session.data.sid) {
                    url.query_pairs_mut().append_pair("logout_hint", sid);
                }
                url.into()
            }
            Ok(None) | Err(_) => home,
        }
    }

    /// RFC 7009. The person does not wait for it, and a failure is an event.
    pub(crate) fn revoke_in_background(&self, session: &Session, id: &RequestId) {
        self.revoke_token_in_background(session.data.refresh_token.clone(), id);
    }

    /// The same for a token that is in no session.
    pub(crate) fn revoke_token_in_background(&self, refresh_token: Option<Secret>, id: &RequestId) {
        let Some(token) = refresh_token else {
            return;
        };
        let (bff, id) = (self.clone(), id.clone());
        let work = async move {
            let client = &bff.0.settings.client;
            if let Err(error) = client.revoke(&token, "refresh_token").await {
                let refused = Refused::new(error.code()).found(error.to_string());
                let provider = client.provider().name().to_owned();
                let event = Event::ProviderUnavailable {
                    provider,
                    operation: "revocation",
                    refused,
                };
                bff.0.audit.emit(Some(&id), event);
            }
        };
        tokio::spawn(self.0.work.counted(work));
    }
}

fn check_token(query: Option<&str>, session: &Session) -> Result<(), Refused> {
    let mut tokens = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(name, _)| name == "token");
    match (tokens.next(), tokens.next()) {
        (None, _) => Err(Refused::new("logout.token_missing")),
        (Some((_, token)), None) if Secret::new(token.as_ref()) == session.logout_token() => Ok(()),
        _ => Err(Refused::new("logout.token_mismatch")),
    }
}
