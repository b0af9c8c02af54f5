//! The forms' own protection against requests forged by other sites.

use aws_lc_rs::hmac;
use http::HeaderMap;
use portcullis_jose::{base64url_encode, constant_time_eq};

use crate::form::Params;
use crate::provider::Provider;
use crate::state::{Pending, digest};

/// Names of the hidden fields of each form.
pub(crate) const INTERACTION: &str = "interaction";
pub(crate) const CSRF: &str = "csrf";

impl Provider {
    /// The token of a form: it is good for one interaction in one browser.
    pub(crate) fn csrf_token(&self, browser_cookie: &str, interaction: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.form_key);
        let tag = hmac::sign(&key, format!("{browser_cookie}\0{interaction}").as_bytes());
        base64url_encode(tag.as_ref())
    }

    /// What the posted form goes on with, and its id. `None` if the form is not from our page in this browser.
    pub(crate) fn posted_interaction(&self, headers: &HeaderMap, form: &Params) -> Option<(String, Pending)> {
        // A browser that says where a request comes from is believed, if it says that it is not us.
        if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin") || form.has_repeated() {
            return None;
        }
        let browser = self.browser_cookie(headers)?;
        let interaction = form.get(INTERACTION)?;
        let expected = self.csrf_token(browser, interaction);
        if !constant_time_eq(form.get(CSRF)?.as_bytes(), expected.as_bytes()) {
            return None;
        }
        let pending = self.state().interaction(interaction, digest(browser), self.now())?;
        Some((interaction.to_owned(), pending))
    }
}
