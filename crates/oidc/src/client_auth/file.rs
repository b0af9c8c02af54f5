use std::path::{Path, PathBuf};

use portcullis_jose::Secret;

use crate::ProviderError;

/// An assertion is a JWT, and those are not read beyond this (the limit of tokens).
const LIMIT: usize = 16 * 1024;

/// A file with an assertion that somebody else keeps fresh, for example the projected token of a Kubernetes service
/// account. It is read for each request, so that what is sent is what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionFile(PathBuf);

impl AssertionFile {
    /// The file at this path. It need not be there yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> AssertionFile {
        AssertionFile(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is in it now.
    ///
    /// # Errors
    /// [`ProviderError::Credential`]: it cannot be read, or holds no JWT.
    pub async fn read(&self) -> Result<Secret, ProviderError> {
        let unusable = |why: &str| ProviderError::Credential {
            why: format!("{}: {why}", self.0.display()),
        };
        let bytes = tokio::fs::read(&self.0)
            .await
            .map_err(|error| unusable(&error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| unusable("not a JWT"))?;
        let text = Secret::new(text.trim());
        let characters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let is_jwt = text.expose().matches('.').count() == 2 && text.expose().bytes().all(characters);
        if text.expose().len() > LIMIT || !is_jwt {
            return Err(unusable("not a JWT"));
        }
        Ok(text)
    }
}
