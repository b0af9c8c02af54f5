use http::header::{ACCEPT, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method};
use portcullis_audit::Refused;

use crate::Bff;

/// The header that a call with a session carries; a page of another origin cannot set it without a preflight.
pub const CSRF_HEADER: &str = "x-csrf";

impl Bff {
    /// Checks that the frontend's own page asks for a WebSocket. A browser cannot send a header of ours with it, but
    /// always sends `Origin` (RFC 6455 s10.2), so that has to be there.
    ///
    /// # Errors
    /// `csrf.cross_site` or `csrf.origin_mismatch`.
    pub fn check_upgrade_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let origin = self.0.origin.as_str();
        match headers.get(ORIGIN).map(|value| value.to_str().unwrap_or("(not ASCII)")) {
            Some(found) if self.is_listed(found) => Ok(()),
            Some(found) if found == origin => self.check_fetch_site(headers),
            found => Err(Refused::new("csrf.origin_mismatch")
                .expected(origin)
                .found(found.unwrap_or("no Origin header"))),
        }
    }

    /// Whether pages of another origin may do what our own may.
    fn is_listed(&self, origin: &str) -> bool {
        self.0.settings.cors.iter().any(|listed| listed == origin)
    }

    fn check_fetch_site(&self, headers: &HeaderMap) -> Result<(), Refused> {
        match headers
            .get("sec-fetch-site")
            .map(|value| value.to_str().unwrap_or("(not ASCII)"))
        {
            None | Some("same-origin") => Ok(()),
            Some(site) => Err(Refused::new("csrf.cross_site").expected("same-origin").found(site)),
        }
    }

    /// Checks that the frontend's own page made the request, by three independent signs.
    ///
    /// # Errors
    /// `csrf.cross_site`, `csrf.origin_mismatch` or `csrf.header_missing`.
    pub fn check_same_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("(not ASCII)"));
        if !text(ORIGIN.as_str()).is_some_and(|origin| self.is_listed(origin)) {
            self.check_fetch_site(headers)?;
            let origin = self.0.origin.as_str();
            if let Some(found) = text(ORIGIN.as_str()).filter(|found| *found != origin) {
                return Err(Refused::new("csrf.origin_mismatch").expected(origin).found(found));
            }
        }
        match text(CSRF_HEADER) {
            Some("1") => Ok(()),
            // Other frameworks put a secret into a header of this name: it is not for the log.
            found => Err(Refused::new("csrf.header_missing")
                .expected("X-CSRF: 1")
                .found(found.map_or("no header", |_| "another value"))),
        }
    }

    /// The same for a route whose upstream serves pages: links and forms cannot carry a header of ours. Reading is open
    /// to what comes from our own pages, and to links from anywhere; changing is for our own pages, as `Origin` and
    /// `Sec-Fetch-Site` say.
    ///
    /// # Errors
    /// `csrf.cross_site` or `csrf.origin_mismatch`; with the header those of [`Bff::check_same_origin`].
    pub fn check_page(&self, request: &Parts) -> Result<(), Refused> {
        let headers = &request.headers;
        if headers.contains_key(CSRF_HEADER) {
            return self.check_same_origin(headers);
        }
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("(not ASCII)"));
        let (site, origin) = (text("sec-fetch-site"), self.0.origin.as_str());
        if matches!(request.method, Method::GET | Method::HEAD) {
            let followed = text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document");
            return match site {
                Some("same-origin" | "none") => Ok(()),
                // A browser that does not say it names the page's origin where a script reads, and nothing for a link.
                None => match text(ORIGIN.as_str()) {
                    Some(found) if found != origin => {
                        Err(Refused::new("csrf.origin_mismatch").expected(origin).found(found))
                    }
                    _ => Ok(()),
                },
                Some(_) if followed => Ok(()),
                Some(site) => Err(Refused::new("csrf.cross_site").expected("same-origin").found(site)),
            };
        }
        self.check_fetch_site(headers)?;
        match text(ORIGIN.as_str()) {
            Some(found) if found == origin => Ok(()),
            // The browser has said it in the other header.
            None if site.is_some() => Ok(()),
            found => Err(Refused::new("csrf.origin_mismatch")
                .expected(origin)
                .found(found.unwrap_or("no Origin header"))),
        }
    }
}

/// Whether the browser goes to a page, so that a redirect helps, or a script asks, so that it needs a status.
#[must_use]
pub fn is_navigation(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-mode"), text("sec-fetch-dest")) {
        (Some(mode), dest) => mode == "navigate" && dest.is_none_or(|dest| dest == "document"),
        (None, _) => text(ACCEPT.as_str()).is_some_and(|accept| accept.contains("text/html")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn fetch_metadata_decides_before_accept() {
        for (pairs, expected) in [
            (
                &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")][..],
                true,
            ),
            (&[("sec-fetch-mode", "navigate")], true),
            (&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], false),
            (&[("sec-fetch-mode", "cors"), ("accept", "text/html")], false),
            (&[("accept", "text/html,application/xhtml+xml")], true),
            (&[("accept", "application/json")], false),
            (&[], false),
        ] {
            assert_eq!(is_navigation(&headers(pairs)), expected, "{pairs:?}");
        }
    }
}
