//! A browser without a face: it follows redirects, keeps cookies, and fills in the provider's form once. Then the provider
//! knows it, and each further sign-in is redirects alone.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::sh::{Failure, Outcome};

const MOST_STEPS: usize = 12;

/// Cookies by the port of their server, and by name.
type Jar = BTreeMap<u16, BTreeMap<String, String>>;

#[derive(Debug)]
pub(super) struct Browser {
    jar: Jar,
    user: &'static str,
    password: &'static str,
}

struct Page {
    status: u16,
    location: Option<String>,
    body: String,
}

// === impl Browser ===

impl Browser {
    pub(super) fn new(user: &'static str, password: &'static str) -> Self {
        Self {
            jar: Jar::new(),
            user,
            password,
        }
    }

    /// Signs in at a server anew; what it then has to send as `Cookie`.
    pub(super) fn sign_in(&mut self, port: u16, path: &str) -> Outcome<String> {
        self.jar.remove(&port);
        let mut url = format!("http://127.0.0.1:{port}{path}");
        let mut body: Option<String> = None;
        for _ in 0..MOST_STEPS {
            let page = self.visit(&url, body.take().as_deref())?;
            match page.location.clone() {
                Some(to) if (300..400).contains(&page.status) => url = absolute(&url, &to),
                _ if page.body.contains("name=\"password\"") => {
                    let (action, fields) =
                        form(&page.body).ok_or_else(|| Failure::new("a form that cannot be read"))?;
                    let (user, password) = (self.user, self.password);
                    body = Some(format!("{fields}username={user}&password={password}"));
                    url = absolute(&url, &action);
                }
                _ => return self.cookies(port, &page, &url),
            }
            // Back at the server with a session, there is nothing more to see.
            if origin_port(&url) == Some(port) && url.split('?').next() == Some(&format!("http://127.0.0.1:{port}/")) {
                return self.cookies(port, &page, &url);
            }
        }
        Err(Failure(format!("the sign-in at {path} does not end; it is at {url}")))
    }

    fn cookies(&self, port: u16, page: &Page, url: &str) -> Outcome<String> {
        let cookies: Vec<String> = self.jar.get(&port).into_iter().flatten().map(pair).collect();
        if cookies.is_empty() || page.status >= 400 {
            return Err(Failure(format!("no session: {} at {url}\n{}", page.status, page.body)));
        }
        Ok(cookies.join("; "))
    }

    fn visit(&mut self, url: &str, form: Option<&str>) -> Outcome<Page> {
        let port = origin_port(url).ok_or_else(|| Failure(format!("{url} is not on loopback")))?;
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let mut request = format!(
            "{} /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAccept: text/html\r\nUser-Agent: bench\r\n\
             Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\n",
            if form.is_some() { "POST" } else { "GET" }
        );
        let cookies: Vec<String> = self.jar.get(&port).into_iter().flatten().map(pair).collect();
        if !cookies.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        if let Some(form) = form {
            request.push_str(&format!(
                "Origin: http://127.0.0.1:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                form.len()
            ));
        }
        request.push_str("\r\n");
        request.push_str(form.unwrap_or_default());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut page = Page {
            status: status.ok_or_else(|| Failure(format!("{url}: an answer without a status")))?,
            location: None,
            body: body.to_owned(),
        };
        for line in head.lines() {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            if name.eq_ignore_ascii_case("location") {
                page.location = Some(value.to_owned());
            } else if name.eq_ignore_ascii_case("set-cookie") {
                self.keep(port, value);
            }
        }
        Ok(page)
    }

    fn keep(&mut self, port: u16, set: &str) {
        let mut parts = set.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let jar = self.jar.entry(port).or_default();
        let over = parts.map(str::trim).any(|part| {
            part.eq_ignore_ascii_case("max-age=0") || part.to_ascii_lowercase().starts_with("expires=thu, 01 jan 1970")
        });
        if value.is_empty() || over {
            jar.remove(name);
        } else {
            jar.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn pair((name, value): (&String, &String)) -> String {
    format!("{name}={value}")
}

fn origin_port(url: &str) -> Option<u16> {
    let rest = url.strip_prefix("http://127.0.0.1:")?;
    rest.split(['/', '?']).next()?.parse().ok()
}

fn absolute(from: &str, to: &str) -> String {
    match (to.starts_with('/'), origin_port(from)) {
        (true, Some(port)) => format!("http://127.0.0.1:{port}{to}"),
        _ => to.to_owned(),
    }
}

/// Where a form goes, and its hidden fields.
fn form(page: &str) -> Option<(String, String)> {
    let action = attribute(page.split("<form").nth(1)?, "action")?;
    let hidden = page.split("<input type=\"hidden\"").skip(1);
    let fields =
        hidden.filter_map(|field| Some(format!("{}={}&", attribute(field, "name")?, attribute(field, "value")?)));
    Some((action, fields.collect()))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?;
    Some(value.replace("&amp;", "&").replace("&#38;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read() {
        let page = r#"<form method="post" action="/login?a=1&amp;b=2"><input type="hidden" name="csrf" value="x-1">
            <input type="hidden" name="interaction" value="y"><input name="password" type="password">"#;
        assert_eq!(
            form(page),
            Some(("/login?a=1&b=2".to_owned(), "csrf=x-1&interaction=y&".to_owned()))
        );
        assert_eq!(form("<p>"), None);
    }

    #[test]
    fn cookies_are_kept_until_they_are_over() {
        let mut browser = Browser::new("alice", "secret");
        browser.keep(1, "sid=abc=; Path=/; HttpOnly");
        browser.keep(1, "state=x; Path=/");
        browser.keep(2, "sid=other");
        browser.keep(1, "state=gone; Max-Age=0");
        assert_eq!(browser.jar[&1].iter().map(pair).collect::<Vec<_>>(), ["sid=abc="]);
        browser.keep(1, "sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert!(browser.jar[&1].is_empty());
    }

    #[test]
    fn places_are_resolved() {
        assert_eq!(absolute("http://127.0.0.1:8/a?b", "/c"), "http://127.0.0.1:8/c");
        assert_eq!(
            absolute("http://127.0.0.1:8/a", "http://127.0.0.1:9/c"),
            "http://127.0.0.1:9/c"
        );
        assert_eq!(origin_port("http://127.0.0.1:8080/x"), Some(8080));
        assert_eq!(origin_port("https://example.com/"), None);
    }
}
