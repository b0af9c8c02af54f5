//! The requests of the device authorization grant (RFC 8628).

use http::StatusCode;
use tokio::time::{Instant, sleep, sleep_until};

use super::Client;
use super::request::DEVICE;
use crate::device::{DeviceAuthorization, DeviceError, GRANT_TYPE, Pace};
use crate::{ProviderError, TokenResponse, token_response};

impl Client {
    /// Begins a login on another device: what to show to the person (RFC 8628 s3.1, s3.2).
    ///
    /// # Errors
    /// When the provider has no such endpoint, refuses, or answers something unusable.
    pub async fn begin_device_login(
        &self,
        scopes: &[String],
        resource: Option<&str>,
    ) -> Result<DeviceAuthorization, ProviderError> {
        let metadata = self.provider.metadata().await?;
        let url = DEVICE.need(&metadata, self.method())?;
        let mut scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        if !scopes.contains(&"openid") {
            scopes.insert(0, "openid");
        }
        let scope = scopes.join(" ");
        let mut form = vec![("scope", scope.as_str())];
        form.extend(resource.map(|resource| ("resource", resource)));
        let response = self.post(&DEVICE, url, &form).await?;
        match response.status() {
            StatusCode::OK => DeviceAuthorization::parse(response.body()),
            status => Err(token_response::parse_failure(DEVICE.words, status, response.body())),
        }
    }

    /// Asks until the person has answered on the other device, as often as the provider allows (RFC 8628 s3.4, s3.5).
    ///
    /// # Errors
    /// [`DeviceError`]: the person said no, the time is over, or the provider refuses.
    pub async fn await_device_login(&self, device: &DeviceAuthorization) -> Result<TokenResponse, DeviceError> {
        let deadline = Instant::now() + device.expires_in;
        let mut pace = Pace::new(device.interval);
        loop {
            let next = Instant::now() + pace.interval();
            if next >= deadline {
                sleep_until(deadline).await;
                return Err(DeviceError::Expired);
            }
            sleep(pace.interval()).await;
            let form = vec![("grant_type", GRANT_TYPE), ("device_code", device.device_code.expose())];
            match self.grant(form).await {
                Ok(tokens) => return Ok(tokens),
                Err(error) => pace.after(error)?,
            }
        }
    }
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
