//! Who has to sign in comes back to what they were doing: a page, or a form.

use super::{Gate, link};
use crate::demo::{Answer, Browser};

const FORM: &str = "item=H%C3%A4nge+7&quantity=3&item=%3Cscript%3E";

impl Gate {
    /// A form that a browser sends; `site` and `origin` as it says them.
    async fn post(&self, browser: &mut Browser, path: &str, from: (Option<&str>, Option<&str>), body: &str) -> Answer {
        self.post_as(browser, path, from, "application/x-www-form-urlencoded", body)
            .await
    }

    async fn post_as(
        &self,
        browser: &mut Browser,
        path: &str,
        (site, origin): (Option<&str>, Option<&str>),
        kind: &str,
        body: &str,
    ) -> Answer {
        let mut headers = vec![
            ("host", self.host()),
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
            ("content-type", kind),
        ];
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        headers.extend(origin.map(|origin| ("origin", origin)));
        let url = format!("http://{}{path}", self.address);
        browser.send("POST", &url, &headers, body.to_owned()).await
    }

    fn own(&self) -> (Option<&str>, Option<&str>) {
        (Some("same-origin"), Some(&self.origin))
    }
}

/// The form that a page keeps in the tab, sealed.
fn sealed(answer: &Answer) -> Option<String> {
    answer
        .body
        .contains("data-sealed=")
        .then(|| link(answer, "data-sealed=\""))
}

#[tokio::test]
async fn pages_take_links_from_anywhere_and_forms_from_themselves() {
    let gate = Gate::start().await;
    let mut browser = gate.sign_in().await;
    let origin = gate.origin.clone();
    let evil = "https://evil.example";
    for (from, code) in [
        ((Some("same-origin"), Some(origin.as_str())), None),
        ((None, Some(origin.as_str())), None),
        ((Some("same-origin"), None), None),
        ((Some("cross-site"), Some(evil)), Some("csrf.cross_site")),
        ((Some("same-site"), Some(origin.as_str())), Some("csrf.cross_site")),
        ((Some("none"), None), Some("csrf.cross_site")),
        ((Some("same-origin"), Some(evil)), Some("csrf.origin_mismatch")),
        ((None, Some("null")), Some("csrf.origin_mismatch")),
        ((None, None), Some("csrf.origin_mismatch")),
    ] {
        let hits = gate.upstream.hits();
        let answer = gate.post(&mut browser, "/app/order?x=1", from, FORM).await;
        match code {
            None => {
                assert_eq!(
                    (answer.status.as_u16(), gate.upstream.hits()),
                    (200, hits + 1),
                    "{from:?}"
                );
                let seen = gate.upstream.last();
                assert_eq!(
                    (seen.target.as_str(), &seen.body[..]),
                    ("/app/order?x=1", FORM.as_bytes())
                );
                assert_eq!(seen.all("authorization").len(), 1);
            }
            Some(code) => {
                assert_eq!(
                    (answer.status.as_u16(), gate.last_code().as_str()),
                    (403, code),
                    "{from:?}"
                );
                assert_eq!(gate.upstream.hits(), hits, "{from:?}");
            }
        }
    }
    // Reading: what the app's own pages load, and links from anywhere that a person follows.
    for (site, mode, dest, status) in [
        ("same-origin", "no-cors", "image", 200),
        ("none", "navigate", "document", 200),
        ("cross-site", "navigate", "document", 200),
        ("cross-site", "navigate", "iframe", 403),
        ("cross-site", "no-cors", "image", 403),
        ("same-site", "cors", "empty", 403),
    ] {
        let headers = [
            ("host", gate.host()),
            ("sec-fetch-site", site),
            ("sec-fetch-mode", mode),
            ("sec-fetch-dest", dest),
        ];
        let url = format!("http://{}/app/page", gate.address);
        let answer = browser.send("GET", &url, &headers, String::new()).await;
        assert_eq!(answer.status, status, "{site} {mode} {dest}");
    }
    // A browser without those headers names the origin of a script, and none for a link.
    let origin = gate.origin.clone();
    for (from, status) in [
        (None, 200),
        (Some(origin.as_str()), 200),
        (Some("https://evil.example"), 403),
        (Some("null"), 403),
    ] {
        let mut headers = vec![("host", gate.host())];
        headers.extend(from.map(|from| ("origin", from)));
        let url = format!("http://{}/app/page", gate.address);
        let answer = browser.send("GET", &url, &headers, String::new()).await;
        assert_eq!(answer.status, status, "{from:?}");
    }
    // Where the upstream serves no pages, the header is still what counts.
    let answer = gate.post(&mut browser, "/api/page/order", gate.own(), FORM).await;
    assert_eq!(
        (answer.status.as_u16(), gate.last_code().as_str()),
        (403, "csrf.header_missing")
    );
}

#[tokio::test]
async fn a_form_that_meets_an_ended_session_is_sent_after_the_login() {
    let gate = Gate::start().await;
    let mut browser = gate.sign_in().await;
    gate.clock.advance(31 * 60);
    let hits = gate.upstream.hits();
    let kept = gate.post(&mut browser, "/app/order?x=1&y=2", gate.own(), FORM).await;
    assert_eq!(
        (kept.status.as_u16(), gate.upstream.hits()),
        (401, hits),
        "{}",
        kept.body
    );
    assert_eq!(kept.header("cache-control"), "no-store");
    let sealed = sealed(&kept).unwrap();
    let bytes = portcullis_jose::base64url_decode(&sealed).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("quantity") && !text.contains("/app/order"), "{text}");
    assert!(!kept.body.contains("quantity"));

    // Without a session it cannot be sent, and is not lost.
    let body: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("sealed", &sealed)
        .finish();
    let early = gate.post(&mut browser, "/bff/resubmit", gate.own(), &body).await;
    assert_eq!(early.status, 401);
    assert_eq!(link(&early, "<a href=\""), "/bff/login?return_to=%2Fbff%2Fresubmit");

    let login = link(&kept, "id=\"on\" href=\"");
    let begun = gate.visit(&mut browser, &format!("{}{login}", gate.origin)).await;
    let back = gate.go_on(&mut browser, begun).await;
    assert_eq!((back.status.as_u16(), back.url.path()), (200, "/bff/resubmit"));
    assert!(
        back.body.contains("sessionStorage.getItem(\"portcullis-form-shop\")"),
        "{}",
        back.body
    );
    assert_eq!(gate.upstream.hits(), hits, "nothing is sent before the person says so");

    for (from, body, status, code) in [
        (
            (Some("cross-site"), Some("https://evil.example")),
            body.clone(),
            403,
            "csrf.cross_site",
        ),
        (
            gate.own(),
            body.replace("sealed=A", "sealed=B").replace("sealed=B", "sealed=A") + "AA",
            400,
            "session.form_lost",
        ),
        (gate.own(), "sealed=".to_owned(), 400, "session.form_lost"),
        (gate.own(), String::new(), 400, "session.form_lost"),
    ] {
        let answer = gate.post(&mut browser, "/bff/resubmit", from, &body).await;
        assert_eq!((answer.status.as_u16(), gate.last_code().as_str()), (status, code));
    }
    let ask = gate.post(&mut browser, "/bff/resubmit", gate.own(), &body).await;
    assert_eq!(ask.status, 200, "{}", ask.body);
    assert_eq!(link(&ask, "action=\""), "/app/order?x=1&y=2");
    assert!(ask.body.contains("<strong>alice</strong>"), "{}", ask.body);
    assert!(
        ask.body.contains("value=\"Hänge 7\"") && !ask.body.contains("<script>"),
        "{}",
        ask.body
    );
    // The browser sends what the page's fields hold.
    let answer = gate
        .post(&mut browser, &link(&ask, "action=\""), gate.own(), FORM)
        .await;
    assert_eq!((answer.status.as_u16(), gate.upstream.hits()), (200, hits + 1));

    // An hour later it is gone.
    gate.clock.advance(3601 - 31 * 60);
    let mut later = gate.sign_in().await;
    gate.clock.advance(29 * 60);
    assert_eq!(gate.post(&mut later, "/app/order", gate.own(), FORM).await.status, 200);
    gate.clock.advance(29 * 60);
    let lost = gate.post(&mut later, "/bff/resubmit", gate.own(), &body).await;
    assert_eq!(
        (lost.status.as_u16(), gate.last_code().as_str()),
        (400, "session.form_lost")
    );
}

#[tokio::test]
async fn the_largest_form_that_is_kept_arrives_whole_after_the_login() {
    let gate = Gate::start().await;
    let mut browser = gate.sign_in().await;
    gate.clock.advance(31 * 60);
    let text = "x".repeat(64 * 1024 - 2 - "&last=%C3%A9".len());
    let form = format!("a={text}&last=%C3%A9");
    assert_eq!(form.len(), 64 * 1024);
    let kept = gate.post(&mut browser, "/app/order", gate.own(), &form).await;
    let sealed = sealed(&kept).unwrap();
    let larger = gate
        .post(&mut browser, "/app/order", gate.own(), &format!("{form}x"))
        .await;
    assert!(!larger.body.contains("data-sealed="), "{}", larger.body.len());

    let login = link(&kept, "id=\"on\" href=\"");
    let begun = gate.visit(&mut browser, &format!("{}{login}", gate.origin)).await;
    assert_eq!(gate.go_on(&mut browser, begun).await.url.path(), "/bff/resubmit");
    let body = format!("sealed={sealed}");
    let ask = gate.post(&mut browser, "/bff/resubmit", gate.own(), &body).await;
    assert_eq!(ask.status, 200, "{}", ask.body);
    assert_eq!(link(&ask, "name=\"a\" value=\""), text);
    assert_eq!(link(&ask, "name=\"last\" value=\""), "\u{e9}");
    let hits = gate.upstream.hits();
    let target = link(&ask, "action=\"");
    let answer = gate.post(&mut browser, &target, gate.own(), &form).await;
    assert_eq!((answer.status.as_u16(), gate.upstream.hits()), (200, hits + 1));
    assert_eq!(&gate.upstream.last().body[..], form.as_bytes());
    // With a session there is no such limit.
    let answer = gate.post(&mut browser, &target, gate.own(), &format!("{form}x")).await;
    assert_eq!(
        (answer.status.as_u16(), gate.upstream.last().body.len()),
        (200, 64 * 1024 + 1)
    );
}

#[tokio::test]
async fn what_cannot_or_must_not_be_kept_is_not() {
    let gate = Gate::start().await;
    let mut nobody = Browser::new();
    let large = format!("a={}", "x".repeat(64 * 1024 - 2));
    let answer = gate.post(&mut nobody, "/app/order", gate.own(), &large).await;
    assert!(answer.status == 401 && sealed(&answer).is_some(), "64 KiB are kept");
    let answer = gate
        .post(&mut nobody, "/app/order", gate.own(), &format!("{large}x"))
        .await;
    assert!(answer.status == 401 && sealed(&answer).is_none());
    assert!(answer.body.contains("too large to be kept"), "{}", answer.body);
    let kind = "multipart/form-data; boundary=x";
    let answer = gate.post_as(&mut nobody, "/app/order", gate.own(), kind, "--x--").await;
    assert!(answer.status == 401 && sealed(&answer).is_none());
    // Another site's form is never offered to the person as their own.
    let evil = (Some("cross-site"), Some("https://evil.example"));
    let answer = gate.post(&mut nobody, "/app/order", evil, FORM).await;
    assert!(answer.status == 401 && sealed(&answer).is_none(), "{}", answer.body);
    // A script is told, and keeps what it has.
    let headers = [
        ("host", gate.host()),
        ("x-csrf", "1"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
    ];
    let url = format!("http://{}/app/order", gate.address);
    let answer = nobody.send("POST", &url, &headers, FORM.to_owned()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["login_url"].as_str()),
        (401, Some("/bff/login"))
    );
    assert_eq!(gate.upstream.hits(), 0);
    // What the upstream itself refuses is its own affair.
    let mut browser = gate.sign_in().await;
    let answer = gate.post(&mut browser, "/app/denied", gate.own(), FORM).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (401, "no"));
}

#[tokio::test]
async fn a_page_that_needs_a_newer_login_gets_it_and_is_shown() {
    let gate = Gate::start().await;
    let mut browser = gate.sign_in().await;
    let page = format!("{}/app/fresh?a=1", gate.origin);
    assert_eq!(gate.visit(&mut browser, &page).await.status, 200);
    gate.clock.advance(120);

    // A script is told how.
    let answer = gate.fetch(&mut browser, "/app/fresh").await;
    assert_eq!(answer.status, 401);
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.contains("error=\"insufficient_user_authentication\"") && challenge.contains("max_age=\"60\""),
        "{challenge}"
    );

    let sent = gate.visit(&mut browser, &page).await;
    assert_eq!(sent.status, 303);
    let query: std::collections::BTreeMap<_, _> = sent.location().unwrap().query_pairs().into_owned().collect();
    assert_eq!(
        (query["return_to"].as_str(), query["max_age"].as_str()),
        ("/app/fresh?a=1", "60")
    );
    let before = gate.session(&browser);
    let shown = gate.go_on(&mut browser, sent).await;
    assert_eq!(
        (shown.status.as_u16(), shown.url.path(), shown.body.as_str()),
        (200, "/app/fresh", "arrived")
    );
    assert_ne!(gate.session(&browser), before, "a new session");
    let asked = |url: &&String| url.contains("/authorize?") && url.contains("max_age=60");
    assert_eq!(browser.urls.iter().filter(asked).count(), 1);

    // A form too is sent when the person has signed in.
    gate.clock.advance(120);
    let kept = gate.post(&mut browser, "/app/fresh", gate.own(), FORM).await;
    assert!(kept.status == 401 && sealed(&kept).is_some(), "{}", kept.body);
    assert_eq!(
        link(&kept, "id=\"on\" href=\""),
        "/bff/login?return_to=%2Fbff%2Fresubmit&max_age=60"
    );
}

#[tokio::test]
async fn a_demand_that_a_login_does_not_meet_is_not_made_twice() {
    let gate = Gate::start().await;
    let mut browser = gate.sign_in().await;
    // The policy's demand, and the upstream's own.
    for path in ["/app/strong", "/app/demand"] {
        let hits = gate.upstream.hits();
        let sent = gate.visit(&mut browser, &format!("{}{path}", gate.origin)).await;
        assert_eq!(sent.status, 303, "{path}");
        let query: std::collections::BTreeMap<_, _> = sent.location().unwrap().query_pairs().into_owned().collect();
        assert!(query["acr_values"].starts_with("urn:"), "{query:?}");
        let shown = gate.go_on(&mut browser, sent).await;
        assert_eq!((shown.status.as_u16(), shown.url.path()), (401, path), "{}", shown.body);
        assert!(shown.body.contains("login.step_up_failed"), "{}", shown.body);
        assert!(link(&shown, "<a href=\"").contains("acr_values=urn"), "{}", shown.body);
        assert!(shown.location().is_none());
        assert_eq!(gate.upstream.hits() > hits, path == "/app/demand");
        // A form goes through that login too, and then no further.
        let kept = gate.post(&mut browser, path, gate.own(), FORM).await;
        assert!(kept.status == 401 && sealed(&kept).is_some(), "{}", kept.body);
        let login = link(&kept, "id=\"on\" href=\"");
        let begun = gate.visit(&mut browser, &format!("{}{login}", gate.origin)).await;
        assert_eq!(gate.go_on(&mut browser, begun).await.url.path(), "/bff/resubmit");
        let answer = gate.post(&mut browser, path, gate.own(), FORM).await;
        assert!(answer.status == 401 && sealed(&answer).is_none(), "{}", answer.body);
        assert!(answer.body.contains("login.step_up_failed"), "{}", answer.body);
    }
}
