mod about;

use portcullis_jose::UnixTime;
use serde::Serialize;

use crate::refused::Refused;
use crate::text::tidied;

/// What a call was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Credential {
    /// The session cookie of a browser.
    Session,
    /// An `Authorization: Bearer` header.
    Bearer,
    /// An `Authorization: DPoP` header (RFC 9449 s7.1).
    Dpop,
    /// Nothing.
    None,
}

/// One of the checks on a call, and how it went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckLine {
    /// The check's stable name, such as `audience`.
    pub check: &'static str,
    /// `passed`, `failed`, or `not_reached` for what comes after the one that failed.
    pub result: &'static str,
    /// What is accepted, where there is something to say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What the call has, where that is proven or is what made the check fail; never a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

impl CheckLine {
    /// A check, and how it went. What was expected and found is capped and escaped as in [`Refused`].
    #[must_use]
    pub fn new(check: &'static str, result: &'static str, expected: Option<String>, found: Option<String>) -> Self {
        Self {
            check,
            result,
            expected: expected.map(|text| tidied(&text)),
            found: found.map(|text| tidied(&text)),
        }
    }
}

impl Credential {
    /// The stable name: `session`, `bearer`, `dpop` or `none`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Bearer => "bearer",
            Self::Dpop => "dpop",
            Self::None => "none",
        }
    }
}

/// Something that happened and that somebody may ask about later.
///
/// Names of events and of their members are stable: dashboards and alerts are built on them. No event holds a token, a
/// secret, a cookie, a code or a query string; `path` is the path alone. Text from outside is capped and escaped when
/// the event is emitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A component came up. `dangers` lists every `dangerous_` setting that is in force.
    Started {
        /// `gateway`, `idp`, ...
        component: String,
        /// The program's version.
        version: String,
        /// Settings that weaken security.
        dangers: Vec<String>,
    },
    /// A component begins to shut down.
    Stopping {
        /// The component's name, as in `started`.
        component: String,
        /// Why: `signal`, `ctrl_c`, ...
        why: String,
    },

    /// A browser was sent to the provider.
    LoginStarted {
        /// The frontend's name in the configuration.
        frontend: String,
        /// The provider's name in the configuration.
        provider: String,
    },
    /// A person signed in, and a session began.
    LoginSucceeded {
        /// The frontend's name in the configuration.
        frontend: String,
        /// The ID token's `sub`.
        subject: String,
        /// The client that the login ran as.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<String>,
    },
    /// A login ended without a session.
    LoginFailed {
        /// The frontend's name in the configuration.
        frontend: String,
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },

    /// Tokens were sealed into the session store.
    TokenStored {
        /// The frontend's name in the configuration.
        frontend: String,
        /// Whose tokens.
        subject: String,
        /// Seconds until the access token expires.
        expires_in: i64,
        /// Whether the provider gave a refresh token.
        refreshable: bool,
    },
    /// A session's access token was renewed.
    TokenRefreshed {
        /// The frontend's name in the configuration.
        frontend: String,
        /// Whose token.
        subject: String,
        /// Seconds until the new access token expires.
        expires_in: i64,
    },
    /// A session's access token could not be renewed.
    RefreshFailed {
        /// The frontend's name in the configuration.
        frontend: String,
        /// Whose token.
        subject: String,
        /// Whether the person has to sign in again.
        session_ended: bool,
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },

    /// A session ended because somebody asked for it.
    LoggedOut {
        /// The frontend's name in the configuration.
        frontend: String,
        /// Whose session.
        subject: String,
        /// `local`, `provider`, `back_channel`, `administrator`, ...: a fixed word of the program, never input.
        how: &'static str,
    },
    /// A logout was asked for and refused.
    LogoutRefused {
        /// The frontend's name in the configuration.
        frontend: String,
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },
    /// A session ended by its age or because it lay idle.
    SessionExpired {
        /// The frontend's name in the configuration.
        frontend: String,
        /// Whose session.
        subject: String,
        /// `idle` or `lifetime`.
        how: &'static str,
    },
    /// A page of another site tried to use somebody's session.
    CsrfBlocked {
        /// The route's name in the configuration, or the endpoint's (`bff.user`).
        #[serde(skip_serializing_if = "Option::is_none")]
        route: Option<String>,
        /// The request's method.
        method: String,
        /// The request's path, without the query.
        path: String,
        /// The `Origin` that the browser named.
        #[serde(skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
        /// The status of the answer.
        status: u16,
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },

    /// A call passed every check and was answered by its upstream.
    CallForwarded {
        /// The route's name in the configuration.
        route: String,
        /// The request's method.
        method: String,
        /// The request's path, without the query.
        path: String,
        /// What it was made with.
        credential: Credential,
        /// The token's or the session's subject.
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// The client that the token was issued to.
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// The policy that allowed it.
        #[serde(skip_serializing_if = "Option::is_none")]
        policy: Option<String>,
        /// The upstream's status.
        status: u16,
        /// From the request's head to the end of the answer's head.
        duration_ms: u64,
    },
    /// A call was refused, and its upstream saw nothing of it.
    CallRefused {
        /// The route's name in the configuration, where one matched.
        #[serde(skip_serializing_if = "Option::is_none")]
        route: Option<String>,
        /// The request's method.
        method: String,
        /// The request's path, without the query.
        path: String,
        /// What it was made with.
        credential: Credential,
        /// Who asked, where that is proven: a token that does not verify has no subject.
        #[serde(skip_serializing_if = "Option::is_none")]
        subject: Option<String>,
        /// The client that the token was issued to, where that is proven.
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<String>,
        /// The status of the answer.
        status: u16,
        /// All checks on the token in their order. Empty where it did not come to that.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        checks: Vec<CheckLine>,
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },
    /// A call passed every check, and its upstream gave no usable answer.
    UpstreamFailed {
        /// The route's name in the configuration.
        route: String,
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },

    /// A provider's signing keys were fetched.
    KeysRefreshed {
        /// The provider's name in the configuration.
        provider: String,
        /// How many keys are usable.
        keys: usize,
        /// Keys that are not used, each with the reason.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        ignored: Vec<String>,
    },
    /// A provider's signing keys could not be fetched; the old ones stay in use until they are too old.
    KeysUnavailable {
        /// The provider's name in the configuration.
        provider: String,
        /// The age of the keys in use; absent where there are none yet.
        #[serde(skip_serializing_if = "Option::is_none")]
        age_seconds: Option<i64>,
        /// What failed.
        reason: String,
    },
    /// A provider did not answer, or not as the protocol says.
    ProviderUnavailable {
        /// The provider's name in the configuration.
        provider: String,
        /// `discovery`, `token`, `userinfo`, `revocation`, ...
        operation: &'static str,
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },
    /// A provider answers again.
    ProviderRecovered {
        /// The provider's name in the configuration.
        provider: String,
    },

    /// The provider does not know a client by one of its secrets, keys or certificates.
    ClientCredentialRefused {
        /// The client's name in the configuration.
        client: String,
        /// Which of its credentials, in words.
        credential: String,
        /// Which one was tried in its place; absent where there is no other.
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// A secret or key of a client expires soon, or has: told 30, 14, 7 and 1 days before, and then.
    ClientCredentialExpiring {
        /// The client's name in the configuration.
        client: String,
        /// Which of its credentials, in words.
        credential: String,
        /// Whole days that are left.
        days: i64,
        /// When it expires.
        #[serde(serialize_with = "crate::record::serialize_rfc3339")]
        expires: UnixTime,
    },
    /// A secret, key or certificate of a client has changed and cannot be used; the one before stays in use.
    ClientCredentialUnreadable {
        /// The client's name in the configuration.
        client: String,
        /// Which of its credentials, in words.
        credential: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A revocation took effect here.
    Revoked {
        /// `token`, `session`, `subject`, `client` or `issuer`: never the token itself.
        kind: &'static str,
        /// The number by which it can be taken back.
        id: u64,
        /// When the entry may be forgotten, because everything that it covers has expired.
        #[serde(serialize_with = "crate::record::serialize_rfc3339")]
        until: UnixTime,
        /// Why, in the words of whoever entered it.
        #[serde(skip_serializing_if = "String::is_empty")]
        reason: String,
        /// `administrator`, `back_channel` or `program`: a fixed word, never input.
        how: &'static str,
    },
    /// A revocation was taken back by an administrator.
    RevocationRemoved {
        /// As in `revoked`.
        kind: &'static str,
        /// The number that it had.
        id: u64,
    },
    /// The list of revocations was not read for longer than an API allows. Told once, until it is read again.
    RevocationsStale {
        /// The API, by its realm.
        realm: String,
        /// How old the list is; absent where it was never read.
        #[serde(skip_serializing_if = "Option::is_none")]
        age_seconds: Option<i64>,
        /// Whether calls are refused until it is read, or served in spite of it.
        refusing: bool,
    },
    /// Revocations were read from the store, at the start or after it was away.
    RevocationsLoaded {
        /// How many are in force.
        entries: usize,
    },

    /// The store did not answer.
    StoreUnavailable {
        /// `sqlite`, `redis` or `postgres`.
        store: &'static str,
        /// What was asked of it: `session`, `revocation`, ...
        operation: &'static str,
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },
    /// The store answers again.
    StoreRecovered {
        /// `sqlite`, `redis` or `postgres`.
        store: &'static str,
    },

    /// The sealing keys were read, and they are others than before.
    SealingKeysLoaded {
        /// Their identifiers; the first one seals.
        keys: Vec<String>,
    },
    /// The sealing keys cannot be read any more, or make no ring; those of before are used.
    SealingKeysRefused {
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },

    /// The certificate that the gateway shows was read anew, and new connections get it.
    ServerCertificateLoaded {
        /// The file.
        file: String,
    },
    /// Certificate and key were replaced, and cannot be used; those of before are.
    ServerCertificateRefused {
        /// Why.
        #[serde(flatten)]
        refused: Refused,
    },

    /// Lines were lost because whoever reads them was too slow or stuck.
    EventsDropped {
        /// Routine events that were lost.
        routine: u64,
        /// Security events that were lost.
        security: u64,
    },
}

impl Event {
    /// The names of all events, in alphabetical order.
    pub const NAMES: &'static [&'static str] = &[
        "call_forwarded",
        "call_refused",
        "client_credential_expiring",
        "client_credential_refused",
        "client_credential_unreadable",
        "csrf_blocked",
        "events_dropped",
        "keys_refreshed",
        "keys_unavailable",
        "logged_out",
        "login_failed",
        "login_started",
        "login_succeeded",
        "logout_refused",
        "provider_recovered",
        "provider_unavailable",
        "refresh_failed",
        "revocation_removed",
        "revocations_loaded",
        "revocations_stale",
        "revoked",
        "sealing_keys_loaded",
        "sealing_keys_refused",
        "server_certificate_loaded",
        "server_certificate_refused",
        "session_expired",
        "started",
        "stopping",
        "store_recovered",
        "store_unavailable",
        "token_refreshed",
        "token_stored",
        "upstream_failed",
    ];
}

#[cfg(test)]
mod tests;
