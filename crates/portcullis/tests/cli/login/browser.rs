//! A browser without a window, at the provider's pages.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use portcullis_oidc::{HttpClient, HyperClient};
use url::Url;

use super::World;

#[derive(Debug)]
pub(super) struct Page {
    pub(super) url: Url,
    pub(super) status: u16,
    pub(super) location: Option<String>,
    pub(super) body: String,
}

pub(super) struct Browser<'w> {
    world: &'w World,
    http: HyperClient,
    cookies: BTreeMap<String, String>,
}

impl<'w> Browser<'w> {
    pub(super) fn new(world: &'w World) -> Browser<'w> {
        Browser {
            world,
            http: HyperClient::new().unwrap(),
            cookies: BTreeMap::new(),
        }
    }

    /// The values of its cookies.
    pub(super) fn cookies(&self) -> impl Iterator<Item = &str> + Clone {
        self.cookies
            .values()
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Signs alice in, and gives where the browser is sent back to.
    pub(super) fn sign_in(&mut self, url: &str) -> String {
        let page = self.follow(url);
        let sent = self.submit(&page, &[("username", "alice"), ("password", "alice-demo")]);
        sent.location.unwrap_or_else(|| panic!("not sent back: {}", sent.body))
    }

    /// Opens an address, and goes on as long as the provider sends on to itself.
    pub(super) fn follow(&mut self, url: &str) -> Page {
        let mut page = self.open(url);
        while let Some(next) = page.location.clone() {
            page = self.open(&next);
        }
        page
    }

    pub(super) fn open(&mut self, url: &str) -> Page {
        self.send(http::Request::get(url), Bytes::new())
    }

    pub(super) fn get(&mut self, url: &str, token: Option<&str>) -> Page {
        // A page of the gateway's own says so.
        let mut request = http::Request::get(url).header("x-csrf", "1");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        self.send(request, Bytes::new())
    }

    /// Sends the form of a page with its hidden fields and these.
    pub(super) fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let between = |text: &str, from: &str| text.split_once(from)?.1.split_once('"').map(|found| found.0.to_owned());
        let action = between(&page.body, "action=\"").unwrap_or_else(|| panic!("no form: {}", page.body));
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        for input in page.body.split("<input type=\"hidden\"").skip(1) {
            form.append_pair(
                &between(input, "name=\"").unwrap(),
                &between(input, "value=\"").unwrap(),
            );
        }
        let target = page.url.join(&action).unwrap();
        let request = http::Request::post(target.as_str()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, form.finish().into())
    }

    fn send(&mut self, request: http::request::Builder, body: Bytes) -> Page {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = match cookies.is_empty() {
            true => request,
            false => request.header(COOKIE, cookies.join("; ")),
        };
        let request = request.body(body).unwrap();
        let url = Url::parse(&request.uri().to_string()).unwrap();
        let answer = self
            .world
            .runtime
            .block_on(self.http.send(request, 1024 * 1024))
            .unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies
                .insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        Page {
            url,
            status: answer.status().as_u16(),
            location: answer
                .headers()
                .get(LOCATION)
                .map(|value| value.to_str().unwrap().to_owned()),
            body: String::from_utf8_lossy(answer.body()).into_owned(),
        }
    }
}
