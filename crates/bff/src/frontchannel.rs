//! Logout that the provider tells by a frame in its own page: OpenID Connect Front-Channel Logout 1.0.
//!
//! The frame is another site's, so browsers send no cookie of ours with it: the session is found by the provider's
//! `sid`. Nobody but the provider knows that, which is what stands between this and any site that would like to sign
//! people out. It is the weaker way of the two; a provider that knows Back-Channel Logout should use that.

use axum_core::body::Body;
use http::request::Parts;
use http::{Response, StatusCode};
use portcullis_audit::{Event, Refused, RequestId};
use portcullis_jose::random_token;
use portcullis_store::IndexKey;

use crate::pages::{self, Frames};
use crate::session::store_refused;
use crate::{Bff, Failure};

impl Bff {
    pub(crate) async fn frontchannel_logout(&self, request: &Parts, id: &RequestId) -> Result<Response<Body>, Failure> {
        let frontend = self.0.settings.name.clone();
        let named = named_session(request.uri.query().unwrap_or_default())
            .and_then(|named| self.of_our_provider(named))
            .and_then(|named| match &named {
                Some(_) => self.needs_store().map(|()| named),
                None => Ok(None),
            })
            .inspect_err(|refused| {
                let (frontend, refused) = (frontend.clone(), refused.clone());
                self.0.audit.emit(Some(id), Event::LogoutRefused { frontend, refused });
            })
            .map_err(|refused| Failure {
                told: true,
                ..refused.into()
            })?;
        if let Some((issuer, sid)) = named {
            let ended = self.0.store.delete_by_sid(IndexKey::sid(&issuer, &sid)).await;
            let ended = ended.map_err(store_refused)?;
            // Anybody may ask, so that what names no session costs nothing but the question.
            if ended > 0 {
                self.0.copies.forget_all();
                self.0.watches.look_now();
            }
            for _ in 0..ended {
                let (frontend, how) = (frontend.clone(), "front_channel");
                let event = Event::LoggedOut {
                    frontend,
                    subject: String::new(),
                    how,
                };
                self.0.audit.emit(Some(id), event);
            }
        }
        // Without parameters nobody is named. A cookie alone ends nothing: any page could make a frame of this.
        let nonce = random_token(16);
        let page = pages::SignedOutThere { nonce: &nonce };
        Ok(pages::response(&page, &nonce, StatusCode::OK, Frames::All))
    }

    fn of_our_provider(&self, named: Option<(String, String)>) -> Result<Option<(String, String)>, Refused> {
        let provider = self.0.settings.client.provider();
        match named {
            Some((issuer, _)) if !provider.issuer_rule().matches(&issuer) => {
                let refused = Refused::new("logout.frame_invalid").expected(provider.issuer());
                Err(refused.found(format!("iss {issuer}")))
            }
            named => Ok(named),
        }
    }
}

/// s3: `iss` and `sid`, both or neither.
fn named_session(query: &str) -> Result<Option<(String, String)>, Refused> {
    let (mut iss, mut sid) = (None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let slot = match &*name {
            "iss" => &mut iss,
            "sid" => &mut sid,
            _ => continue,
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(Refused::new("logout.frame_invalid").found(format!("two {name}")));
        }
    }
    match (iss, sid) {
        (None, None) => Ok(None),
        (Some(iss), Some(sid)) if !sid.is_empty() => Ok(Some((iss, sid))),
        _ => Err(Refused::new("logout.frame_invalid").found("one of iss and sid alone")),
    }
}
