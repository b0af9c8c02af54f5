//! A browser without a window: cookies, redirects one by one, forms, and what a page's script may ask.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, Response, StatusCode};
use portcullis_oidc::{HttpClient, HyperClient};
use serde_json::Value;
use url::Url;

const LIMIT: usize = 1024 * 1024;

/// All servers are on one host, so a cookie is known by name and path, whatever the port (RFC 6265 s8.5).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    value: String,
    path: String,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) location: Option<Url>,
    pub(crate) body: String,
}

#[derive(Debug)]
pub(crate) struct Browser {
    http: HyperClient,
    pub(crate) cookies: Vec<Cookie>,
    /// All that a page, its script or the address bar could show.
    pub(crate) seen: String,
}

impl Browser {
    pub(crate) fn new() -> Browser {
        Browser {
            http: HyperClient::new().unwrap(),
            cookies: Vec::new(),
            seen: String::new(),
        }
    }

    /// The same browser, for something that happens at the same time.
    pub(crate) fn another_tab(&self) -> Browser {
        Browser {
            http: self.http.clone(),
            cookies: self.cookies.clone(),
            seen: String::new(),
        }
    }

    /// Goes to a page, as by a link or the address bar. Does not follow a redirect.
    pub(crate) async fn visit(&mut self, url: &Url) -> Page {
        let request = Request::get(url.as_str())
            .header(ACCEPT, "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        self.send(url, request.body(Bytes::new()).unwrap()).await
    }

    /// Goes to a page and on to wherever it sends, until one is shown or one lies at `stop`.
    pub(crate) async fn go(&mut self, url: &str, stop: &str) -> Page {
        let mut page = self.visit(&Url::parse(url).unwrap()).await;
        for _ in 0..10 {
            match page.location.clone() {
                Some(next) if !next.as_str().starts_with(stop) => page = self.visit(&next).await,
                _ => return page,
            }
        }
        panic!("redirected in circles at {}", page.url)
    }

    /// Sends the one form of a page with its hidden fields and these.
    pub(crate) async fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let action = between(&page.body, "action=\"", "\"").expect("a form");
        let url = page.url.join(&action.replace("&amp;", "&")).unwrap();
        let mut form = form_urlencoded(fields);
        for input in page.body.split("<input").skip(1) {
            let input = input.split('>').next().unwrap();
            if let (true, Some(name)) = (input.contains("type=\"hidden\""), between(input, "name=\"", "\"")) {
                form.append_pair(name, between(input, "value=\"", "\"").unwrap_or_default());
            }
        }
        let request = Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-mode", "navigate");
        self.send(&url, request.body(form.finish().into()).unwrap()).await
    }

    /// What the script of a page asks of its own origin: status and JSON.
    pub(crate) async fn fetch(&mut self, method: Method, url: &str) -> (u16, Value) {
        let url = Url::parse(url).unwrap();
        let request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(ACCEPT, "application/json")
            .header("x-csrf", "1")
            .header("origin", url.origin().ascii_serialization())
            .header("sec-fetch-site", "same-origin")
            .header("sec-fetch-mode", "cors");
        let page = self.send(&url, request.body(Bytes::new()).unwrap()).await;
        (
            page.status.as_u16(),
            serde_json::from_str(&page.body).unwrap_or_default(),
        )
    }

    async fn send(&mut self, url: &Url, mut request: Request<Bytes>) -> Page {
        let cookies = self
            .cookies
            .iter()
            .filter(|cookie| url.path().starts_with(&cookie.path));
        let cookies: Vec<String> = cookies
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if !cookies.is_empty() {
            request
                .headers_mut()
                .insert(COOKIE, cookies.join("; ").parse().unwrap());
        }
        let response = self.http.send(request, LIMIT).await.unwrap();
        self.keep_cookies(&response);
        let location = response
            .headers()
            .get(LOCATION)
            .map(|location| location.to_str().unwrap());
        let page = Page {
            url: url.clone(),
            status: response.status(),
            location: location.map(|location| url.join(location).unwrap()),
            body: String::from_utf8(response.body().to_vec()).unwrap(),
        };
        let headers = response.headers().iter().filter(|(name, _)| *name != SET_COOKIE);
        let headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
        self.seen
            .push_str(&format!("{url}\n{}\n{}\n", headers.join("\n"), page.body));
        page
    }

    fn keep_cookies(&mut self, response: &Response<Bytes>) {
        for line in response.headers().get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let attribute = |wanted: &str| {
                attributes.split(';').find_map(|attribute| {
                    let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
                    name.trim().eq_ignore_ascii_case(wanted).then_some(value)
                })
            };
            let path = attribute("path").unwrap_or("/").to_owned();
            self.cookies.retain(|cookie| cookie.name != name || cookie.path != path);
            if !value.is_empty() && attribute("max-age") != Some("0") {
                self.cookies.push(Cookie {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    path,
                });
            }
            if attribute("httponly").is_none() {
                self.seen.push_str(line);
            }
        }
    }
}

fn form_urlencoded(fields: &[(&str, &str)]) -> url::form_urlencoded::Serializer<'static, String> {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}
