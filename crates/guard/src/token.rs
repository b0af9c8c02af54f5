//! A token that was found to be good.

use std::fmt;
use std::mem::size_of;

use portcullis_jose::{Claims, UnixTime, Verified};
use portcullis_oidc::Binding;
use portcullis_policy::{Kind, Scopes};

use crate::revocation::Handles;

/// A token whose signature and claims were checked. Only a [`Guard`](crate::Guard) makes one; it does not hold the
/// token's text.
///
/// A handler gets it by [`BearerClaims`](crate::BearerClaims); what was verified once may be kept, what it may do is
/// asked on every request.
///
/// ```
/// # use portcullis_guard::VerifiedToken;
/// fn describe(token: &VerifiedToken) -> String {
///     // A subject is unique at its issuer only.
///     let who = (token.issuer(), token.subject());
///     let may_write = token.scopes().any(|scope| scope == "orders.write");
///     let tenant = token.claims().str("tenant"); // any claim
///     format!("{who:?} {may_write} {tenant:?} until {}", token.expires())
/// }
/// ```
pub struct VerifiedToken {
    claims: Verified<Claims>,
    issued_at: Option<UnixTime>,
    expires: UnixTime,
    /// The times between which the token is taken, leeway included.
    window: Window,
    origin: Origin,
    binding: Binding,
    handles: Handles,
}

/// When a token is taken: `from <= now < until`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: UnixTime,
    pub(crate) until: UnixTime,
}

/// Whose word it was that the token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) issuer: usize,
    /// The keys that the signature was checked with; `None` where the issuer was asked about the token.
    pub(crate) generation: Option<u64>,
}

// === impl VerifiedToken ===

impl VerifiedToken {
    pub(crate) fn new(
        claims: Verified<Claims>,
        issued_at: Option<UnixTime>,
        expires: UnixTime,
        window: Window,
        origin: Origin,
        binding: Binding,
        handles: Handles,
    ) -> VerifiedToken {
        VerifiedToken {
            claims,
            issued_at,
            expires,
            window,
            origin,
            binding,
            handles,
        }
    }

    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &Verified<Claims> {
        &self.claims
    }

    /// Who issued the token: `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.claims.str("iss").unwrap_or_default()
    }

    /// Whom the token is about: `sub`. Unique at its issuer only.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.claims.str("sub")
    }

    /// The client that the token was issued to: `client_id`, or where it is absent `azp`.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        portcullis_policy::client(&self.claims)
    }

    /// The token's identifier: `jti`.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.claims.str("jti")
    }

    /// The provider's session: `sid`.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.claims.str("sid")
    }

    /// The scopes, one by one.
    #[must_use]
    pub fn scopes(&self) -> Scopes<'_> {
        portcullis_policy::scopes(&self.claims)
    }

    /// Whether a person's token or a program's; [`Kind::of`] has the rule.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(&self.claims)
    }

    /// When the token was issued: `iat`.
    #[must_use]
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.issued_at
    }

    /// When the token expires: `exp`, without leeway.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.expires
    }

    /// The SHA-256 of what was signed, by which a token without a `jti` can be revoked.
    #[must_use]
    pub fn signed_part_hash(&self) -> &[u8; 32] {
        self.claims.signed_part_hash()
    }

    /// The key that the token is bound to. Whoever holds the token as verified has seen the proof for that request.
    #[must_use]
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    pub(crate) fn window(&self) -> Window {
        self.window
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    /// The memory that it takes, not less than it really is.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<VerifiedToken>() + self.claims.heap_bytes()
    }
}

/// Claims hold people's names, so only what identifies the token is shown.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.issuer())
            .field("subject", &self.subject())
            .field("client", &self.client())
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
