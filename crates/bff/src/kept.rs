//! What a person was doing when they had to sign in: a form that is kept until they have, and the demand of an API for
//! a stronger or newer login (RFC 9470).

use axum_core::body::Body;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use portcullis_audit::Refused;
use portcullis_jose::{UnixTime, base64url_decode, base64url_encode, random_token, sha256};
use serde::{Deserialize, Serialize};

use crate::pages::{self, Frames};
use crate::user::signed_in;
use crate::wish::Wish;
use crate::{Bff, Failure, SameSite, Session, cookies};

/// The largest form that is kept, in bytes.
pub const MAX_FORM: usize = 64 * 1024;
/// A form is kept for so long, in seconds.
const FORM_LIFETIME: i64 = 3600;
/// The login that an API demanded is not begun again by itself for so long, in seconds.
const STEPPED: i64 = 60;
/// And not for so long, however short the time is for which an API trusts a login.
const SOON: i64 = 10;
/// What sealed forms are bound to.
const FORM: &[u8] = b"form";

/// How an API wants the person to have signed in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepUp {
    /// The classes of authentication that would do, the best first.
    pub acr_values: Option<String>,
    /// The authentication may be so many seconds old.
    pub max_age: Option<u64>,
}

/// A form in the clear, for sealing alone.
#[derive(Serialize, Deserialize)]
struct Form {
    /// Path and query.
    target: String,
    body: String,
    since: UnixTime,
}

// === impl StepUp ===

impl StepUp {
    /// The demand in the challenges of an answer, if there is one (RFC 9470 s3).
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<StepUp> {
        let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
        let mut all = challenges.filter_map(|value| value.to_str().ok()).map(parameters);
        let found = all.find(|found| {
            let error = found.iter().find(|(name, _)| name == "error");
            error.is_some_and(|(_, error)| error == "insufficient_user_authentication")
        })?;
        let value = |wanted: &str| found.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        Some(StepUp {
            acr_values: value("acr_values").filter(|value| !value.is_empty()).cloned(),
            max_age: value("max_age").and_then(|value| value.parse().ok()),
        })
    }

    /// What is remembered of a demand that was met, for a place to come back to.
    fn mark(&self, return_to: &str) -> String {
        let place = return_to.split('#').next().unwrap_or_default();
        let text = format!("{:?}\n{:?}\n{place}", self.acr_values, self.max_age);
        let hash = base64url_encode(&sha256(text.as_bytes()));
        hash.get(..16).unwrap_or_default().to_owned()
    }
}

/// The parameters of a challenge (RFC 9110 s11.2): names in lower case, values without their quotes.
fn parameters(challenge: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = challenge;
    while let Some((before, after)) = rest.split_once('=') {
        let start = before.rfind([' ', ',', '\t']).map_or(0, |at| at + 1);
        let name = before.get(start..).unwrap_or_default().to_ascii_lowercase();
        let mut value = String::new();
        let mut chars = after.chars();
        match after.starts_with('"') {
            true => {
                chars.next();
                while let Some(char) = chars.next().filter(|char| *char != '"') {
                    value.extend(if char == '\\' { chars.next() } else { Some(char) });
                }
            }
            false => value.extend(chars.by_ref().take_while(|char| !matches!(char, ',' | ' ' | '\t'))),
        }
        rest = chars.as_str();
        found.push((name, value));
    }
    found
}

// === impl Bff ===

impl Bff {
    /// The address of a login that goes back to a path of this app, and fulfils a demand. `keep_fragment`: the browser
    /// is at that path now, and has the part after `#`.
    #[must_use]
    pub fn login_for(&self, return_to: &str, step_up: Option<&StepUp>, keep_fragment: bool) -> String {
        let wish = Wish {
            return_to: return_to.to_owned(),
            acr_values: step_up.and_then(|step_up| step_up.acr_values.clone()),
            max_age: step_up.and_then(|step_up| step_up.max_age),
            keep_fragment,
            ..Wish::default()
        };
        wish.url(&self.0.settings)
    }

    /// Whether the person has just signed in in the way that is demanded and come back to this place: then to demand it
    /// again would go in circles.
    #[must_use]
    pub fn has_stepped_up(&self, headers: &HeaderMap, step_up: &StepUp, return_to: &str) -> bool {
        let now = self.0.clock.now();
        let stepped = cookies::single(headers, &self.stepped_cookie()).and_then(|value| value.split_once('.'));
        // After its own `max_age` a demand is another one.
        let age = step_up.max_age.and_then(|age| i64::try_from(age).ok());
        let window = age.map_or(STEPPED, |age| age.clamp(SOON, STEPPED));
        stepped.is_some_and(|(mark, at)| {
            let since = at.parse().map(|at| now.since(UnixTime::from_secs(at)));
            mark == step_up.mark(return_to) && since.is_ok_and(|since| (0..=window).contains(&since))
        })
    }

    pub(crate) fn stepped_up(&self, step_up: &StepUp, return_to: &str) -> Option<HeaderValue> {
        let (name, settings) = (self.stepped_cookie(), &self.0.settings);
        let value = format!("{}.{}", step_up.mark(return_to), self.0.clock.now().as_secs());
        settings.set_cookie(&name, &value, Some(STEPPED), SameSite::Lax)
    }

    fn stepped_cookie(&self) -> String {
        format!("{}-stepped", self.0.settings.session_cookie())
    }

    fn form_key(&self) -> String {
        format!("portcullis-form-{}", self.0.settings.name)
    }

    /// Whether the form was sent again already, after a login as it is demanded.
    #[must_use]
    pub fn has_stepped_up_for_form(&self, headers: &HeaderMap, step_up: &StepUp) -> bool {
        self.has_stepped_up(headers, step_up, &self.0.settings.endpoint("resubmit"))
    }

    /// The page that keeps a form in the tab while the person signs in. `form` is the body where it can be kept;
    /// `target` is where it goes.
    ///
    /// # Errors
    /// When it cannot be sealed.
    pub fn keep_form(
        &self,
        target: &str,
        form: Option<&[u8]>,
        step_up: Option<&StepUp>,
    ) -> Result<Response<Body>, Refused> {
        let sealed = match form.and_then(as_text) {
            Some(body) => self.seal_form(target, body)?,
            None => String::new(),
        };
        let login = self.login_for(&self.0.settings.endpoint("resubmit"), step_up, false);
        let nonce = random_token(16);
        let page = pages::Kept {
            nonce: &nonce,
            login: &login,
            sealed: &sealed,
            key: &self.form_key(),
        };
        Ok(pages::response(&page, &nonce, StatusCode::UNAUTHORIZED, Frames::None))
    }

    /// The page that gets the form out of the tab again.
    pub(crate) fn fetch_kept(&self) -> Response<Body> {
        let nonce = random_token(16);
        let settings = &self.0.settings;
        let page = pages::FetchKept {
            nonce: &nonce,
            action: &settings.endpoint("resubmit"),
            home: &settings.home(),
            key: &self.form_key(),
        };
        pages::response(&page, &nonce, StatusCode::OK, Frames::None)
    }

    /// Shows what is to be sent, to whom it belongs to now. Nothing is sent before the person says so.
    pub(crate) async fn send_again(&self, request: &Parts, body: &[u8]) -> Result<Response<Body>, Failure> {
        self.check_page(request)?;
        let again = |refused: Refused| Failure {
            again: Some(self.login_url(&self.0.settings.endpoint("resubmit"))),
            ..refused.into()
        };
        let session = self.session(&request.headers, &request.method).await;
        let session = signed_in(session).map_err(again)?;
        let sealed = form_urlencoded::parse(body).find(|(name, _)| name == "sealed");
        let form = sealed.and_then(|(_, sealed)| self.open_form(&sealed));
        let form = form.ok_or_else(|| Refused::new("session.form_lost"))?;
        let fields: Vec<(String, String)> = form_urlencoded::parse(form.body.as_bytes()).into_owned().collect();
        let nonce = random_token(16);
        let page = pages::SendAgain {
            nonce: &nonce,
            who: who(&session),
            path: form.target.split('?').next().unwrap_or_default(),
            target: &form.target,
            fields: &fields,
            key: &self.form_key(),
        };
        Ok(pages::response(&page, &nonce, StatusCode::OK, Frames::None))
    }

    fn seal_form(&self, target: &str, body: &str) -> Result<String, Refused> {
        let form = Form {
            target: target.to_owned(),
            body: body.to_owned(),
            since: self.0.clock.now(),
        };
        let clear = serde_json::to_vec(&form).unwrap_or_default();
        let sealed = self.0.attempts.seal(FORM, &clear);
        let sealed = sealed.map_err(|_| Refused::new("internal.error").found("sealing"))?;
        Ok(base64url_encode(&sealed))
    }

    fn open_form(&self, sealed: &str) -> Option<Form> {
        let opened = self.0.attempts.open(FORM, &base64url_decode(sealed)?).ok()?;
        let form: Form = serde_json::from_slice(&opened.plaintext).ok()?;
        (self.0.clock.now().since(form.since) <= FORM_LIFETIME).then_some(form)
    }
}

/// Whether a request is a form that a browser sends, of the kind that can be kept.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// A form that is sent again as it was: what it says in another encoding than UTF-8 would be lost.
fn as_text(form: &[u8]) -> Option<&str> {
    let lossy = |text: &str| text.contains(char::REPLACEMENT_CHARACTER);
    let mut fields = form_urlencoded::parse(form);
    (!fields.any(|(name, value)| lossy(&name) || lossy(&value)))
        .then(|| std::str::from_utf8(form).ok())
        .flatten()
}

/// A name that the person knows themselves by.
fn who(session: &Session) -> &str {
    let claim = |name: &str| session.data.claims.get(name).and_then(serde_json::Value::as_str);
    let names = ["name", "preferred_username", "email"];
    names.into_iter().find_map(claim).unwrap_or(&session.data.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demanded(values: &[&'static str]) -> Option<StepUp> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        StepUp::of(&headers)
    }

    #[test]
    fn a_demand_is_found_among_challenges() {
        let step_up = |acr_values: Option<&str>, max_age| StepUp {
            acr_values: acr_values.map(str::to_owned),
            max_age,
        };
        // RFC 9470 s3, the two examples.
        assert_eq!(
            demanded(&["Bearer error=\"insufficient_user_authentication\", \
                        error_description=\"A different authentication level, is required\", acr_values=\"myACR\""]),
            Some(step_up(Some("myACR"), None))
        );
        assert_eq!(
            demanded(&[
                "Basic realm=\"x\"",
                "Bearer realm=\"a=b\", error=\"insufficient_user_authentication\", max_age=\"5\""
            ]),
            Some(step_up(None, Some(5)))
        );
        assert_eq!(
            demanded(&["DPoP ERROR=insufficient_user_authentication,acr_values=\"a \\\"b\\\"\",max_age=soon"]),
            Some(step_up(Some("a \"b\""), None))
        );
        for other in [
            "Bearer error=\"invalid_token\", max_age=\"5\"",
            "Bearer error_description=\"error=insufficient_user_authentication\"",
            "Bearer",
            "=",
            "error=\"insufficient_user_authentication",
        ] {
            let expected = other.starts_with("error=").then(StepUp::default);
            assert_eq!(demanded(&[other]), expected, "{other}");
        }
    }

    #[test]
    fn only_plain_forms_are_kept() {
        let kind = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            is_form(&headers)
        };
        assert!(kind("application/x-www-form-urlencoded; charset=UTF-8"));
        assert!(!kind("multipart/form-data; boundary=x") && !kind("application/json") && !is_form(&HeaderMap::new()));
        for good in [&b""[..], b"a=1&b=%C3%A9", "a=\u{e9}".as_bytes()] {
            assert!(as_text(good).is_some(), "{good:?}");
        }
        for other in [&b"a=%E9"[..], b"%FF=1", b"a=\xe9"] {
            assert!(as_text(other).is_none(), "{other:?}");
        }
    }
}
