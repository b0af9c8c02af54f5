//! How a revocation is written in the admin API: asked for, and told.

use portcullis_audit::Refused;
use portcullis_jose::{Secret, UnixTime};
use portcullis_store::{Revocation, RevocationTarget, TokenId};
use serde::{Deserialize, Serialize};

/// A revocation that is in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) target: RevocationTarget,
    /// Only tokens from before; all where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issued_before: Option<UnixTime>,
    /// When it ends by itself.
    pub(crate) expires: UnixTime,
    pub(crate) reason: String,
}

/// What is to be revoked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) target: Option<RevocationTarget>,
    /// A whole token, in place of a target.
    pub(super) token: Option<Secret>,
    pub(super) issued_before: Option<Moment>,
    pub(super) expires: Option<UnixTime>,
    #[serde(default)]
    pub(super) reason: String,
}

/// Seconds since 1970, or the word `now`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Moment {
    At(UnixTime),
    Word(Now),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Now {
    Now,
}

/// Names are stored and compared; longer ones are nobody's.
const MAX_NAME: usize = 1_024;
const MAX_REASON: usize = 256;

// === impl Entry ===

impl Entry {
    pub(super) fn new(id: u64, revocation: Revocation) -> Entry {
        Entry {
            id,
            target: revocation.target,
            issued_before: revocation.issued_before,
            expires: revocation.expires,
            reason: revocation.reason,
        }
    }
}

// === impl Wanted ===

impl Wanted {
    /// Reads a body. What is wrong is told by its place: the body may hold a token, so it is not quoted.
    pub(super) fn parse(body: &[u8]) -> Result<Wanted, Refused> {
        let wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
            bad(format!(
                "line {}, column {}: not what is expected; members are `target` or `token`, and `issued_before` \
                 (seconds since 1970, or \"now\"), `expires` (seconds since 1970) and `reason`",
                error.line(),
                error.column()
            ))
        })?;
        if wanted.reason.len() > MAX_REASON || wanted.reason.chars().any(char::is_control) {
            return Err(bad(format!(
                "`reason` is one line of at most {MAX_REASON} bytes, without control characters"
            )));
        }
        if wanted.target.is_some() == wanted.token.is_some() {
            return Err(bad("give either `target` or `token`"));
        }
        if wanted.token.is_some() && (wanted.issued_before.is_some() || wanted.expires.is_some()) {
            return Err(bad(
                "a `token` says itself when it expires: leave out `issued_before` and `expires`",
            ));
        }
        match &wanted.target {
            Some(target) if !names(target).into_iter().all(is_name) => Err(bad(format!(
                "names in `target` have 1 to {MAX_NAME} bytes and no control characters"
            ))),
            _ => Ok(wanted),
        }
    }
}

/// The request is at fault; `why` is told to the caller.
pub(super) fn bad(why: impl Into<String>) -> Refused {
    let mut refused = Refused::new("admin.bad_request");
    refused.cause = why.into();
    refused
}

fn names(target: &RevocationTarget) -> Vec<&str> {
    match target {
        RevocationTarget::Token {
            id: TokenId::Jti { iss, jti },
        } => vec![iss, jti],
        RevocationTarget::Session { iss, sid } => vec![iss, sid],
        RevocationTarget::Subject { iss, sub } => vec![iss, sub],
        RevocationTarget::Client { iss, client_id } => vec![iss, client_id],
        RevocationTarget::Issuer { iss } => vec![iss],
        _ => Vec::new(),
    }
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}
