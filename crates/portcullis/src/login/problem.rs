//! Why a command about logins did not do what it was asked.

use portcullis_oidc::ProviderError;
use portcullis_oidc::device::DeviceError;
use portcullis_oidc::loopback::LoopbackError;

use crate::config::Faults;

/// What went wrong, and what to do. It holds no token and no secret.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The command line is at fault, and not what happened.
    pub(crate) usage: bool,
    pub(crate) why: String,
    /// A code that `portcullis explain` knows.
    pub(crate) code: Option<&'static str>,
    /// Those of the configuration, where they are what went wrong.
    pub(crate) faults: Option<Faults>,
}

impl Problem {
    pub(crate) fn new(why: impl Into<String>) -> Problem {
        Problem {
            usage: false,
            why: why.into(),
            code: None,
            faults: None,
        }
    }

    pub(crate) fn usage(why: impl Into<String>) -> Problem {
        Problem {
            usage: true,
            ..Problem::new(why)
        }
    }

    pub(crate) fn coded(code: &'static str, why: impl Into<String>) -> Problem {
        Problem {
            code: Some(code),
            ..Problem::new(why)
        }
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Problem {
        Problem {
            faults: Some(faults),
            ..Problem::usage("the configuration has faults")
        }
    }
}

impl From<ProviderError> for Problem {
    fn from(error: ProviderError) -> Problem {
        // The description helps whoever sits here; it is for logs that it is not.
        let description = match &error {
            ProviderError::OAuth(error) => error.description.clone().map(|text| format!(" ({text})")),
            _ => None,
        };
        Problem::coded(error.code(), format!("{error}{}", description.unwrap_or_default()))
    }
}

impl From<DeviceError> for Problem {
    fn from(error: DeviceError) -> Problem {
        match error {
            DeviceError::Provider(error) => error.into(),
            error => Problem::coded(error.code(), error.to_string()),
        }
    }
}

impl From<LoopbackError> for Problem {
    fn from(error: LoopbackError) -> Problem {
        match error {
            LoopbackError::Provider(error) => error.into(),
            error => Problem::coded(error.code(), error.to_string()),
        }
    }
}
