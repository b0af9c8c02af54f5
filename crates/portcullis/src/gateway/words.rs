//! What a person reads when something was refused. Cause and fix of the catalogue are for those who run the system;
//! the code and the request's number on the page lead there.

/// What a page says.
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// Whether to sign in again helps.
    pub(super) again: bool,
}

const fn words(title: &'static str, text: &'static str, again: bool) -> Words {
    Words { title, text, again }
}

/// The words for a code.
pub(super) fn of(code: &str) -> Words {
    match code {
        "login.access_denied" => words(
            "You were not signed in",
            "The sign-in was cancelled, or your account may not use this application. If you think that it should, tell \
             the people who run the application.",
            true,
        ),
        "login.interaction_required" => words(
            "Please sign in",
            "The service where you sign in wants to ask you something first.",
            true,
        ),
        "login.authentication_unmet" => words(
            "Your account cannot do this yet",
            "This part of the application asks for a stronger sign-in, such as a second factor, and your account has \
             none set up. Set it up where you sign in, and try again.",
            true,
        ),
        "login.authentication_too_old" | "login.step_up_failed" => words(
            "More is needed to open this",
            "You signed in, but not in the way that this part of the application asks for. You can try once more. If it \
             happens again, tell the people who run the application.",
            true,
        ),
        "login.not_stored" => words(
            "Signing in is not possible just now",
            "You signed in, but the application cannot remember it at the moment. Please try again in a few minutes. If \
             it happens again, tell the people who run the application.",
            true,
        ),
        "login.ended_meanwhile" => words(
            "You were signed out",
            "You, or somebody for you, signed out while this sign-in was under way. You can sign in again.",
            true,
        ),
        "login.attempt_expired" | "login.state_missing" | "login.state_mismatch" => words(
            "This sign-in is no longer valid",
            "It took too long, was opened a second time, or began in another browser. Nothing is lost: please start \
             again.",
            true,
        ),
        "login.return_path_refused" | "login.parameter_invalid" | "login.issuer_unknown" => words(
            "This link does not work",
            "The link that brought you here is damaged or was not made for this application. Begin at its start page.",
            false,
        ),
        "login.provider_unavailable" => not_available(),
        "session.missing" => words(
            "Please sign in",
            "You are not signed in, and this page needs to know who you are.",
            true,
        ),
        "session.token_expired" => words(
            "Please sign in again",
            "You are known here, but what this needs can only be had by signing in once more.",
            true,
        ),
        "session.expired" | "session.invalid" | "refresh.rejected" => words(
            "You were signed out",
            "Your session has ended. Please sign in again.",
            true,
        ),
        "session.form_lost" => words(
            "Your form could not be kept",
            "It is too long ago that you filled it in. Nothing was sent. Please fill it in once more.",
            false,
        ),
        "route.not_found" => words(
            "There is nothing here",
            "The address is wrong, or the page has moved.",
            false,
        ),
        "request.body_too_large" => words(
            "That was too much",
            "What you sent is larger than can be taken here.",
            false,
        ),
        _ => of_family(code.split('.').next().unwrap_or_default()),
    }
}

fn of_family(family: &str) -> Words {
    match family {
        "login" => words(
            "Signing in did not work",
            "The answer of the service where you sign in could not be used. Please start again. If it happens again, \
             tell the people who run the application.",
            true,
        ),
        "logout" => words(
            "You are still signed in",
            "The link that was to sign you out is not complete, or belongs to an earlier session. Go back to the \
             application and sign out there.",
            false,
        ),
        "provider" => not_available(),
        "policy" | "token" | "dpop" => words(
            "You may not do this",
            "Your account does not have the permission. If you think that it should, tell the people who run the \
             application.",
            false,
        ),
        "csrf" | "cors" => words(
            "This cannot be done from here",
            "Another website asked for it, not the application itself. Open the application and try again there.",
            false,
        ),
        "upstream" => words(
            "This part does not answer",
            "A part of the application does not answer as it should. Please try again in a few minutes.",
            false,
        ),
        "store" | "keys" | "refresh" | "internal" => words(
            "This does not work just now",
            "You are still signed in. Please try again in a few minutes.",
            false,
        ),
        _ => words(
            "This could not be done",
            "The request was not understood, and nothing was changed.",
            false,
        ),
    }
}

const fn not_available() -> Words {
    words(
        "Signing in is not possible just now",
        "The service that checks who you are does not answer as it should. Please try again in a few minutes.",
        true,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_words_that_are_meant_for_people() {
        for entry in portcullis_audit::catalogue::entries() {
            let Words { title, text, .. } = of(entry.code);
            assert!(!title.is_empty() && text.ends_with('.'), "{}", entry.code);
            for jargon in [
                "OAuth", "token", "scope", "claim", "`", "provider", "cookie", "redirect", "  ",
            ] {
                assert!(!text.contains(jargon), "{}: {text}", entry.code);
            }
        }
    }
}
