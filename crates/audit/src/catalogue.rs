//! Every code that a refusal can carry, each with its cause and its fix.
//!
//! A code is a promise: it is never renamed and never reused for something else. The public answer shows only OAuth's
//! own error; code, cause and fix are for those who run the system, in the audit event, the console, the command
//! line and the manual.
//!
//! ```
//! use portcullis_audit::catalogue;
//!
//! let entry = catalogue::find("token.expired").unwrap();
//! assert_eq!(entry.status, 401);
//! assert!(catalogue::markdown().contains("## token.expired"));
//! ```

mod admin;
mod browser;
mod claims;
mod dpop;
mod keys;
mod login;
mod policy;
mod request;
mod service;
mod token;

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

/// What there is to know about one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The stable code: a family, a dot, and what was wrong.
    pub code: &'static str,
    /// The short name, as test vectors and dashboards use it.
    pub reason: &'static str,
    /// The HTTP status of the public answer.
    pub status: u16,
    /// The code in a few words.
    pub title: &'static str,
    /// What was wrong.
    pub cause: &'static str,
    /// What to change, and where.
    pub fix: &'static str,
}

/// A family of codes: what stands before the dot.
struct Family {
    title: &'static str,
    about: &'static str,
    entries: &'static [Entry],
}

const FAMILIES: &[Family] = &[
    Family {
        title: "The token itself",
        about: "A bearer token was refused before or while its signature was checked.",
        entries: token::ENTRIES,
    },
    Family {
        title: "The token's claims",
        about: "The signature is good, and what the token says does not fit this API.",
        entries: claims::ENTRIES,
    },
    Family {
        title: "Proofs of a key (DPoP)",
        about: "The token is bound to a key, and what should prove that its sender has that key does not.",
        entries: dpop::ENTRIES,
    },
    Family {
        title: "Keys",
        about: "The key that a token names could not be found or used.",
        entries: keys::ENTRIES,
    },
    Family {
        title: "Policies",
        about: "The caller is known, and may not do this.",
        entries: policy::ENTRIES,
    },
    Family {
        title: "Requests and routes",
        about: "The request was refused before anybody asked who sent it.",
        entries: request::ENTRIES,
    },
    Family {
        title: "Sessions and cross-site requests",
        about: "A browser's session, and the protection against other sites that try to use it.",
        entries: browser::ENTRIES,
    },
    Family {
        title: "Login, logout and refresh",
        about: "The way to the provider and back.",
        entries: login::ENTRIES,
    },
    Family {
        title: "The admin API",
        about: "A call of the admin address was refused.",
        entries: admin::ENTRIES,
    },
    Family {
        title: "Upstreams, store and provider",
        about: "Something that Portcullis depends on did not answer as it should.",
        entries: service::ENTRIES,
    },
];

static ALL: LazyLock<Vec<Entry>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|family| family.entries).copied().collect());

static BY_CODE: LazyLock<HashMap<&'static str, &'static Entry>> =
    LazyLock::new(|| ALL.iter().map(|entry| (entry.code, entry)).collect());

/// Every entry, in the order of the manual.
#[must_use]
pub fn entries() -> &'static [Entry] {
    &ALL
}

/// The entry of a code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Entry> {
    BY_CODE.get(code).copied()
}

/// The manual's page of all codes.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::with_capacity(64 * 1024);
    // Writing into a String cannot fail.
    let _ = write_page(&mut page);
    page
}

pub(crate) const fn internal_error() -> &'static Entry {
    &service::INTERNAL_ERROR
}

/// One row of the catalogue's tables.
const fn entry(
    (code, reason): (&'static str, &'static str),
    status: u16,
    title: &'static str,
    cause: &'static str,
    fix: &'static str,
) -> Entry {
    Entry {
        code,
        reason,
        status,
        title,
        cause,
        fix,
    }
}

fn write_page(page: &mut String) -> std::fmt::Result {
    page.push_str(concat!(
        "# Error codes\n\n",
        "<!-- Generated from the catalogue in crates/audit. Change the texts there, then run `cargo xtask docs`. -->\n\n",
        "Every refusal has a stable code. It stands in the audit event (with the cause, the fix and, where they exist, the\n",
        "expected and the found value), in the label `code` of `portcullis_refusals_total`, and in the console.\n",
        "Where a token is refused, the caller sees only the status and OAuth's own error code (`invalid_token`,\n`insufficient_scope`, ...); other refusals carry their code and cause. The `X-Request-Id` of an answer leads to the event.\n",
    ));
    for family in FAMILIES {
        writeln!(page, "\n- **{}**: {}", family.title, family.about)?;
        for entry in family.entries {
            writeln!(page, "  - [`{}`](#{}) {}", entry.code, anchor(entry.code), entry.title)?;
        }
    }
    for entry in entries() {
        writeln!(page, "\n## {} {{#{}}}\n", entry.code, anchor(entry.code))?;
        writeln!(
            page,
            "**{}** (status {}, short name `{}`)\n",
            entry.title, entry.status, entry.reason
        )?;
        writeln!(page, "{}\n", entry.cause)?;
        writeln!(page, "*Fix:* {}", entry.fix)?;
    }
    Ok(())
}

/// A code's anchor on the page.
fn anchor(code: &str) -> String {
    code.replace('.', "-")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_and_every_anchor_is_there_once() {
        let codes: HashSet<_> = entries().iter().map(|entry| entry.code).collect();
        assert_eq!(codes.len(), entries().len());
        let anchors: HashSet<_> = entries().iter().map(|entry| anchor(entry.code)).collect();
        assert_eq!(anchors.len(), entries().len());
    }

    #[test]
    fn every_entry_is_complete() {
        for entry in entries() {
            let code = entry.code;
            let (family, name) = code.split_once('.').unwrap_or_else(|| panic!("{code} has no family"));
            let word = |text: &str| {
                !text.is_empty()
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            };
            assert!(word(family) && word(name), "{code}");
            assert!(word(entry.reason), "{code}: reason {:?}", entry.reason);
            assert!((400..600).contains(&entry.status), "{code}: status {}", entry.status);
            assert!(
                entry.title.len() > 5 && !entry.title.ends_with('.'),
                "{code}: title {:?}",
                entry.title
            );
            for (what, text) in [("cause", entry.cause), ("fix", entry.fix)] {
                assert!(text.len() > 40, "{code}: the {what} says too little: {text:?}");
                assert!(
                    text.ends_with('.'),
                    "{code}: the {what} does not end with a full stop: {text:?}"
                );
                assert_eq!(
                    text.matches('`').count() % 2,
                    0,
                    "{code}: the {what} has an odd number of backticks: {text:?}"
                );
                assert!(
                    !text.contains("  ") && !text.contains('\n'),
                    "{code}: the {what} is not one paragraph: {text:?}"
                );
            }
        }
    }

    #[test]
    fn the_short_names_are_those_of_the_test_vectors() {
        for (code, reason) in [
            ("token.too_large", "too_large"),
            ("token.malformed", "malformed"),
            ("token.encrypted", "jwe_not_allowed"),
            ("token.bad_base64", "bad_base64"),
            ("token.algorithm_not_allowed", "alg_not_allowed"),
            ("token.algorithm_key_mismatch", "alg_key_mismatch"),
            ("token.type_mismatch", "typ_mismatch"),
            ("token.expiry_missing", "exp_missing"),
            ("token.expired", "expired"),
            ("token.not_yet_valid", "nbf_future"),
            ("token.issuer_mismatch", "iss_untrusted"),
            ("token.issuer_type", "iss_type"),
            ("token.audience_missing", "aud_missing"),
            ("token.audience_mismatch", "aud_mismatch"),
            ("token.subject_missing", "sub_missing"),
            ("token.binding_required", "cnf_required"),
            ("token.signature_invalid", "sig_invalid"),
            ("token.in_query", "token_in_query"),
            ("token.not_bound", "cnf_required"),
            ("dpop.uri_mismatch", "htu_mismatch"),
            ("dpop.expired", "expired"),
            ("dpop.replayed", "replayed"),
            ("dpop.key_unusable", "key_unusable"),
            ("dpop.algorithm_not_allowed", "alg_not_allowed"),
            ("dpop.type_mismatch", "typ_mismatch"),
            ("dpop.multiple_proofs", "multiple_credentials"),
            ("keys.unknown_kid", "kid_unknown"),
            ("keys.unusable", "key_unusable"),
            ("policy.scope_insufficient", "scope_insufficient"),
            ("policy.client_not_allowed", "client_not_allowed"),
            ("token.revoked", "revoked"),
            ("logout.token_replayed", "replayed"),
        ] {
            assert_eq!(find(code).map(|entry| entry.reason), Some(reason), "{code}");
        }
    }

    #[test]
    fn statuses_follow_the_protocol() {
        // RFC 6750 s3.1: invalid_request is 400, invalid_token 401, insufficient_scope 403.
        for (code, status) in [
            ("token.missing", 401),
            ("token.too_large", 401),
            ("token.signature_invalid", 401),
            ("token.in_query", 400),
            ("token.multiple_credentials", 400),
            ("policy.scope_insufficient", 403),
            // RFC 9470 s3: insufficient_user_authentication is 401.
            ("policy.acr_insufficient", 401),
            // What we cannot check is not the caller's fault.
            ("keys.unavailable", 503),
            ("store.unavailable", 503),
            ("upstream.timeout", 504),
            // RFC 9110 s15.5.20.
            ("request.misdirected", 421),
        ] {
            assert_eq!(find(code).map(|entry| entry.status), Some(status), "{code}");
        }
        assert_eq!(find("token.no_such_code"), None);
        assert_eq!(find("internal.error"), Some(internal_error()));
    }

    #[test]
    fn the_page_has_a_section_for_every_code() {
        let page = markdown();
        for entry in entries() {
            let head = format!("## {} {{#{}}}", entry.code, anchor(entry.code));
            assert_eq!(page.matches(&head).count(), 1, "{head}");
            assert!(page.contains(entry.cause) && page.contains(entry.fix), "{}", entry.code);
        }
        assert!(page.ends_with(".\n"));
    }
}
