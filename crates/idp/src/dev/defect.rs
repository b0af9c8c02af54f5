use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::keys::Signing;

/// An issuer that is not this one.
pub(crate) const OTHER_ISSUER: &str = "https://another-issuer.example";
/// An audience that no API here has.
const OTHER_AUDIENCE: &str = "https://another-api.example";
/// Far enough in the past or future for any sensible leeway.
const OUT_OF_TIME: i64 = 900;

/// One thing that is wrong with a token, while everything else is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Defect {
    /// `aud` is another API.
    WrongAudience,
    /// `iss` is another provider.
    WrongIssuer,
    /// `exp` is a quarter of an hour ago.
    Expired,
    /// `nbf` is in a quarter of an hour.
    NotYetValid,
    /// `iat` is in a quarter of an hour.
    IssuedInFuture,
    /// Signed by another key under the `kid` of the right one.
    BadSignature,
    /// The claims were changed after signing.
    AlteredClaims,
    /// Signed by the right key under a `kid` that nobody publishes.
    UnknownKid,
    /// `alg: none`, no signature.
    AlgNone,
    /// `scope` has none of the API's scopes.
    MissingScope,
    /// The `typ` is not that of an access token.
    WrongType,
    /// An ID token, where an access token is asked for.
    IdTokenAsAccessToken,
    /// There is no `exp`.
    MissingExpiry,
    /// There is no `aud`.
    MissingAudience,
    /// There is no `sub`.
    MissingSubject,
}

impl Defect {
    /// Spoils the claims, as far as the defect is in the claims.
    pub(crate) fn spoil(self, claims: &mut Map<String, Value>, now: i64) {
        let mut set = |name: &str, value: Value| {
            claims.insert(name.to_owned(), value);
        };
        match self {
            Defect::WrongAudience => set("aud", OTHER_AUDIENCE.into()),
            Defect::WrongIssuer => set("iss", OTHER_ISSUER.into()),
            Defect::Expired => {
                set("iat", (now - 2 * OUT_OF_TIME).into());
                set("exp", (now - OUT_OF_TIME).into());
            }
            Defect::NotYetValid => {
                set("nbf", (now + OUT_OF_TIME).into());
                set("exp", (now + 2 * OUT_OF_TIME).into());
            }
            Defect::IssuedInFuture => {
                set("iat", (now + OUT_OF_TIME).into());
                set("exp", (now + 2 * OUT_OF_TIME).into());
            }
            Defect::MissingScope => set("scope", "openid".into()),
            Defect::MissingExpiry => drop(claims.remove("exp")),
            Defect::MissingAudience => drop(claims.remove("aud")),
            Defect::MissingSubject => drop(claims.remove("sub")),
            Defect::BadSignature | Defect::AlteredClaims | Defect::UnknownKid | Defect::AlgNone => {}
            Defect::WrongType | Defect::IdTokenAsAccessToken => {}
        }
    }

    pub(crate) fn signing(self) -> Signing {
        match self {
            Defect::BadSignature => Signing::ForeignKey,
            Defect::AlteredClaims => Signing::Altered,
            Defect::UnknownKid => Signing::UnknownKid,
            Defect::AlgNone => Signing::None,
            _ => Signing::Sound,
        }
    }

    pub(crate) fn typ(self, usual: &'static str) -> &'static str {
        if self == Defect::WrongType {
            "example+jwt"
        } else {
            usual
        }
    }
}
