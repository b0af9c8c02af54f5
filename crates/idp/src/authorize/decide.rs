use portcullis_jose::UnixTime;

use super::{AuthorizationRequest, AuthorizeError};
use crate::state::Session;

/// What comes next in a login.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Login,
    Consent(&'a Session),
    Grant(&'a Session),
    Refuse(AuthorizeError),
}

/// Decides by what is known: the request, who is signed in, and whether that happened for this very request.
pub(super) fn next_step<'a>(
    request: &AuthorizationRequest,
    session: Option<&'a Session>,
    just_signed_in: bool,
    client_wants_consent: bool,
    now: UnixTime,
) -> Step<'a> {
    let hinted = |session: &Session| request.hinted_sub.as_ref().is_none_or(|sub| *sub == session.sub);
    // OpenID Connect Core s3.1.2.1: max_age=0 means the same as prompt=login.
    let fresh_enough = |session: &Session| {
        request
            .max_age
            .is_none_or(|max| max > 0 && now.since(session.auth_time) <= max)
    };
    let session = match session {
        // OpenID Connect Core s3.1.2.1: somebody else than the hint says.
        Some(session) if just_signed_in && !hinted(session) => {
            return Step::Refuse(AuthorizeError::new(
                "login_required",
                "another user signed in than the hint names",
            ));
        }
        Some(session) if just_signed_in => session,
        Some(session) if hinted(session) && fresh_enough(session) && !request.prompt.login => session,
        _ if request.prompt.none => {
            return Step::Refuse(AuthorizeError::new("login_required", "the user is not signed in"));
        }
        _ => return Step::Login,
    };
    let agreed = session
        .consents
        .get(&request.client_id)
        .is_some_and(|agreed| request.scopes.is_subset(agreed));
    let ask = request.prompt.consent || (client_wants_consent && !agreed);
    match (ask, request.prompt.none) {
        (false, _) => Step::Grant(session),
        (true, true) => Step::Refuse(AuthorizeError::new("consent_required", "the user has not agreed yet")),
        (true, false) => Step::Consent(session),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::authorize::{Prompt, sample};

    const NOW: UnixTime = UnixTime::from_secs(10_000);

    fn session() -> Session {
        Session {
            username: "alice".into(),
            sub: "a".into(),
            sid: "sid".into(),
            auth_time: NOW.plus(-100),
            expires: NOW.plus(100),
            consents: HashMap::new(),
        }
    }

    fn step(
        change: impl Fn(&mut AuthorizationRequest),
        session: Option<&Session>,
        just: bool,
        consent: bool,
    ) -> String {
        let mut request = sample();
        request.scopes = ["openid".to_owned()].into();
        change(&mut request);
        match next_step(&request, session, just, consent, NOW) {
            Step::Login => "login".into(),
            Step::Consent(_) => "consent".into(),
            Step::Grant(_) => "grant".into(),
            Step::Refuse(error) => error.error.into(),
        }
    }

    const NONE: Prompt = Prompt {
        none: true,
        login: false,
        consent: false,
    };
    const LOGIN: Prompt = Prompt {
        none: false,
        login: true,
        consent: false,
    };
    const CONSENT: Prompt = Prompt {
        none: false,
        login: false,
        consent: true,
    };

    #[test]
    fn who_is_signed_in_is_not_asked_again() {
        let alice = session();
        assert_eq!(step(|_| (), None, false, false), "login");
        assert_eq!(step(|_| (), Some(&alice), false, false), "grant");
        assert_eq!(step(|r| r.prompt = NONE, None, false, false), "login_required");
        assert_eq!(step(|r| r.prompt = NONE, Some(&alice), false, false), "grant");
    }

    #[test]
    fn unless_the_client_wants_it() {
        let alice = session();
        assert_eq!(step(|r| r.prompt = LOGIN, Some(&alice), false, false), "login");
        assert_eq!(step(|r| r.prompt = LOGIN, Some(&alice), true, false), "grant");
        assert_eq!(step(|r| r.max_age = Some(99), Some(&alice), false, false), "login");
        assert_eq!(step(|r| r.max_age = Some(100), Some(&alice), false, false), "grant");
        assert_eq!(
            step(|r| (r.max_age, r.prompt) = (Some(99), NONE), Some(&alice), false, false),
            "login_required"
        );
    }

    #[test]
    fn a_hint_names_the_user() {
        let alice = session();
        let other = |r: &mut AuthorizationRequest| r.hinted_sub = Some("b".into());
        assert_eq!(
            step(|r| r.hinted_sub = Some("a".into()), Some(&alice), false, false),
            "grant"
        );
        assert_eq!(step(other, Some(&alice), false, false), "login");
        assert_eq!(step(other, Some(&alice), true, false), "login_required");
    }

    #[test]
    fn consent_is_asked_once_for_the_same_scopes() {
        let mut alice = session();
        assert_eq!(step(|_| (), Some(&alice), false, true), "consent");
        assert_eq!(step(|r| r.prompt = NONE, Some(&alice), false, true), "consent_required");
        alice.consents.insert("web".into(), ["openid".to_owned()].into());
        assert_eq!(step(|_| (), Some(&alice), false, true), "grant");
        assert_eq!(
            step(|r| r.scopes.extend(["more".to_owned()]), Some(&alice), false, true),
            "consent"
        );
        assert_eq!(step(|r| r.prompt = CONSENT, Some(&alice), false, true), "consent");
        assert_eq!(step(|r| r.prompt = CONSENT, Some(&alice), false, false), "consent");
    }
}
