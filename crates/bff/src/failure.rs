use http::HeaderValue;
use portcullis_audit::Refused;

/// Why an endpoint did not do what it was asked, and the cookies that go with the answer.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "the gateway makes them too")]
pub struct Failure {
    /// The reason.
    pub refused: Refused,
    /// Values of `Set-Cookie`.
    pub set_cookies: Vec<HeaderValue>,
    /// Whether the event was emitted already, under a name of its own.
    pub told: bool,
    /// Where the person may start again, if anywhere but at the beginning.
    pub again: Option<String>,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        Failure {
            refused,
            set_cookies: Vec::new(),
            told: false,
            again: None,
        }
    }
}
