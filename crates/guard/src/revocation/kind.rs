//! What a token can be revoked by.

use portcullis_jose::Claims;
use portcullis_store::{Revocation, RevocationTarget, TokenId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Jti,
    SignedPart,
    Session,
    Subject,
    Client,
    Issuer,
}

/// What a token and a revocation are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Name<'a> {
    Issuer(&'a str),
    AtIssuer(&'a str, &'a str),
    SignedPart(&'a [u8; 32]),
}

/// Whether this version knows what is meant. One that it does not know must not be left out: that would undo it.
pub(crate) fn is_known(revocation: &Revocation) -> bool {
    Kind::of_target(&revocation.target).is_some()
}

// === impl Kind ===

impl Kind {
    pub(crate) const ALL: [Kind; 6] = [
        Kind::Jti,
        Kind::SignedPart,
        Kind::Session,
        Kind::Subject,
        Kind::Client,
        Kind::Issuer,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Jti | Kind::SignedPart => "token",
            Kind::Session => "session",
            Kind::Subject => "subject",
            Kind::Client => "client",
            Kind::Issuer => "issuer",
        }
    }

    pub(crate) fn of_token(self, claims: &Claims) -> Option<Name<'_>> {
        let issuer = claims.str("iss")?;
        Some(match self {
            Kind::Jti => Name::AtIssuer(issuer, claims.str("jti")?),
            Kind::SignedPart => Name::SignedPart(claims.signed_part_hash()),
            Kind::Session => Name::AtIssuer(issuer, claims.str("sid")?),
            Kind::Subject => Name::AtIssuer(issuer, claims.str("sub")?),
            Kind::Client => Name::AtIssuer(issuer, portcullis_policy::client(claims)?),
            Kind::Issuer => Name::Issuer(issuer),
        })
    }

    pub(crate) fn of_target(target: &RevocationTarget) -> Option<(Kind, Name<'_>)> {
        Some(match target {
            RevocationTarget::Token {
                id: TokenId::Jti { iss, jti },
            } => (Kind::Jti, Name::AtIssuer(iss, jti)),
            RevocationTarget::Token {
                id: TokenId::SignedPart(hash),
            } => (Kind::SignedPart, Name::SignedPart(hash)),
            RevocationTarget::Session { iss, sid } => (Kind::Session, Name::AtIssuer(iss, sid)),
            RevocationTarget::Subject { iss, sub } => (Kind::Subject, Name::AtIssuer(iss, sub)),
            RevocationTarget::Client { iss, client_id } => (Kind::Client, Name::AtIssuer(iss, client_id)),
            RevocationTarget::Issuer { iss } => (Kind::Issuer, Name::Issuer(iss)),
            _ => return None,
        })
    }
}
