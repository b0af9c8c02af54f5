use portcullis_jose::{JwkSet, Limits, Refusal, UnverifiedJws};

/// What stands for the `kid` of a token that has none.
pub(crate) const NAMELESS: &str = "(none)";

/// What a refusal leaves open: with newer keys, the token may pass.
///
/// That is so where no key of the token's `kid` is known, and where a signature is refused: a provider may replace a
/// key without giving the new one a name of its own (OpenID Connect Core 1.0 s10.1 asks for one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    kid: String,
    named: bool,
    refusal: Refusal,
}

impl Doubt {
    /// The doubt that this refusal of this token by these keys leaves; `None` where no other key could help.
    #[must_use]
    pub fn of(refusal: &Refusal, token: &str, keys: &JwkSet) -> Option<Doubt> {
        let kid = match refusal {
            Refusal::UnknownKid { kid } => kid.clone(),
            Refusal::SignatureInvalid => {
                let jws = UnverifiedJws::parse(token, &Limits::default()).ok()?;
                let kid = jws.header().kid().ok()?;
                kid.unwrap_or(NAMELESS).to_owned()
            }
            _ => return None,
        };
        Some(Doubt {
            named: keys.kids().any(|known| known == Some(kid.as_str())),
            kid,
            refusal: refusal.clone(),
        })
    }

    /// What the token calls its key.
    pub(crate) fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether a key of this very name has refused the token. Then the refusal stands while nobody can be asked: as a
    /// rule it is the token that is wrong.
    #[must_use]
    pub fn is_slight(&self) -> bool {
        self.named
    }

    /// The refusal, where the doubt came to nothing.
    #[must_use]
    pub fn into_refusal(self) -> Refusal {
        self.refusal
    }
}
