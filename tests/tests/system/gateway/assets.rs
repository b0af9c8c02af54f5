//! The pages of a frontend: files and their copies, what browsers keep, and the headers that go with them.

use std::path::Path;

use super::Gate;
use super::raw::Reply;

/// A frontend as a bundler leaves it.
fn write_pages(dir: &Path) {
    let pages = dir.join("dist");
    std::fs::create_dir_all(pages.join("assets")).unwrap();
    std::fs::create_dir_all(pages.join("docs")).unwrap();
    for (name, text) in [
        ("index.html", "<!doctype html><title>Shop</title>"),
        ("app.js", "console.log('plain')"),
        ("app.js.br", "(brotli)"),
        ("app.js.gz", "(gzip)"),
        ("assets/app-4f2a9c.js", "console.log('hashed')"),
        (".env", "SECRET=1"),
        ("empty.txt", ""),
        ("docs/index.html", "<!doctype html><title>Docs</title>"),
    ] {
        std::fs::write(pages.join(name), text).unwrap();
    }
    std::fs::write(pages.join(format!("{}.txt", "\u{e4}".repeat(125))), "long").unwrap();
}

async fn with_pages(public: Option<&str>, keys: &str) -> Gate {
    Gate::start_with(public, |text, dir| {
        write_pages(dir);
        let keys = format!("[frontend.shop]\nassets = {{ dir = \"dist\", immutable = [\"/assets\"] }}\n{keys}");
        text.replace("[frontend.shop]", &keys)
    })
    .await
}

const NAVIGATE: [(&str, &str); 3] = [
    ("Accept", "text/html"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
];

fn headers<'r>(reply: &'r Reply, names: &[&str]) -> Vec<&'r str> {
    names.iter().map(|name| reply.header(name)).collect()
}

#[tokio::test]
async fn files_are_kept_and_asked_for_again_as_they_should_be() {
    let gate = with_pages(None, "").await;
    let plain = gate.call("GET", "/app.js", &[]).await;
    assert_eq!((plain.status, plain.body.as_str()), (200, "console.log('plain')"));
    assert_eq!(
        headers(&plain, &["cache-control", "vary", "content-encoding"]),
        ["no-cache", "accept-encoding", ""]
    );
    let tag = plain.header("etag").to_owned();
    assert!(tag.len() > 4, "{plain:?}");
    let again = gate.call("GET", "/app.js", &[("If-None-Match", &tag)]).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(again.header("cache-control"), "no-cache");
    let changed = gate.call("GET", "/app.js", &[("If-None-Match", "\"another\"")]).await;
    assert_eq!(changed.status, 200);
    let head = gate.call("HEAD", "/app.js", &[]).await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.as_str()),
        (200, "20", "")
    );

    // A copy that was compressed beforehand, the best that the browser takes.
    for (accepted, body, encoding) in [
        ("gzip, deflate, br", "(brotli)", "br"),
        ("gzip", "(gzip)", "gzip"),
        ("br;q=0, gzip;q=0", "console.log('plain')", ""),
    ] {
        let reply = gate.call("GET", "/app.js", &[("Accept-Encoding", accepted)]).await;
        assert_eq!((reply.status, reply.body.as_str()), (200, body), "{accepted}");
        assert_eq!(
            headers(&reply, &["content-encoding", "vary"]),
            [encoding, "accept-encoding"],
            "{accepted}"
        );
        assert!(reply.header("content-type").contains("javascript"), "{reply:?}");
    }

    let hashed = gate.call("GET", "/assets/app-4f2a9c.js", &[]).await;
    assert_eq!(hashed.header("cache-control"), "public, max-age=31536000, immutable");
    for (target, headers, status) in [
        ("/assets/gone.js", &[][..], 404),
        ("/gone.js", &[], 404),
        ("/.env", &NAVIGATE, 404),
        ("/app.js.", &[], 404),
        // A cache in between must not keep for all what one asked for by a condition.
        ("/assets/app-4f2a9c.js", &[("If-Match", "\"x\"")], 412),
        (
            "/assets/app-4f2a9c.js",
            &[("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")],
            412,
        ),
        ("/assets/app-4f2a9c.js", &[("Range", "bytes=1000000-")], 416),
    ] {
        let reply = gate.call("GET", target, headers).await;
        assert_eq!(reply.status, status, "{target}");
        assert!(
            !reply.header("cache-control").contains("immutable") && !reply.body.contains("SECRET"),
            "{target}"
        );
    }
    let posted = gate.call("POST", "/app.js", &[]).await;
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));
    // A path of the app's own, for whoever goes there; its page is asked for again each time, wherever it is.
    for target in ["/", "/orders/7", "/assets/orders"] {
        let page = gate.call("GET", target, &NAVIGATE).await;
        assert_eq!((page.status, page.body.contains("Shop")), (200, true), "{target}");
        assert_eq!(page.header("cache-control"), "no-cache", "{target}");
    }
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_where_it_is_one_of_this_version() {
    let gate = with_pages(None, "").await;
    let whole = gate.call("GET", "/app.js", &[]).await;
    let (tag, date) = (whole.header("etag"), whole.header("last-modified"));
    for (range, condition, expected) in [
        ("bytes=0-6", "", "console"),
        ("Bytes=0-6", tag, "console"),
        ("bytes=8-", date, "log('plain')"),
        ("bytes=-2", "", "')"),
        ("bytes=15-99999999999999999999", "", "ain')"),
        ("bytes=0-6", "\"another\"", "console.log('plain')"),
        ("bytes=0-6", "Thu, 01 Jan 1970 00:00:00 GMT", "console.log('plain')"),
        ("bytes=-5000", "", "console.log('plain')"),
        ("items=0-6", "", "console.log('plain')"),
        ("bytes=0-1,4-5", "", "console.log('plain')"),
    ] {
        let mut headers = vec![("Range", range)];
        if !condition.is_empty() {
            headers.push(("If-Range", condition));
        }
        let reply = gate.call("GET", "/app.js", &headers).await;
        let status = if expected == whole.body { 200 } else { 206 };
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (status, expected),
            "{range} if {condition}"
        );
        assert_eq!(reply.header("content-range").is_empty(), status == 200, "{reply:?}");
    }
    let head = gate.call("HEAD", "/app.js", &[("Range", "bytes=0-6")]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "20"));
    let empty = gate.call("GET", "/empty.txt", &[("Range", "bytes=0-")]).await;
    assert_eq!((empty.status, empty.header("content-range")), (200, ""));
    let none = gate.call("GET", "/app.js", &[("Range", "bytes=20-")]).await;
    assert_eq!(none.status, 416);
}

#[tokio::test]
async fn a_path_that_no_file_can_have_is_one_of_the_apps_own() {
    let gate = with_pages(None, "").await;
    for path in [format!("/{}", "a".repeat(300)), format!("/{}", "b/".repeat(4_000))] {
        let page = gate.call("GET", &path, &NAVIGATE).await;
        assert_eq!((page.status, page.body.contains("Shop")), (200, true));
        assert_eq!(gate.call("GET", &path, &[]).await.status, 404);
    }
    // 255 bytes, as the longest name that there is.
    let reply = gate.call("GET", &format!("/{}.txt", "%C3%A4".repeat(125)), &[]).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "long"));
    // On the way to a directory's page the query is not lost.
    let reply = gate.call("GET", "/docs?page=2&a=b", &NAVIGATE).await;
    assert_eq!(
        (reply.status, reply.header("location"), reply.header("cache-control")),
        (307, "/docs/?page=2&a=b", "no-store")
    );
}

#[tokio::test]
async fn pages_say_what_they_may_do() {
    let gate = with_pages(None, "").await;
    let page = gate.call("GET", "/", &NAVIGATE).await;
    let policy = page.header("content-security-policy");
    let issuer = gate.idp.issuer();
    let expected = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
                    frame-src 'self'";
    assert_eq!(policy, format!("{expected} {issuer}"));
    let names = [
        "referrer-policy",
        "x-content-type-options",
        "cross-origin-opener-policy",
        "permissions-policy",
    ];
    assert_eq!(
        headers(&page, &names),
        [
            "same-origin",
            "nosniff",
            "same-origin",
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
        ]
    );
    assert_eq!(page.header("strict-transport-security"), "", "plain http");
    let script = gate.call("GET", "/app.js", &[]).await;
    assert_eq!(headers(&script, &names), ["same-origin", "nosniff", "", ""]);

    let keys = r#"headers = { frame_ancestors = ["https://portal.example"], permissions_policy = "off", referrer_policy = "strict-origin" }"#;
    let gate = with_pages(Some("https://app.example.test"), keys).await;
    let page = gate.call("GET", "/", &NAVIGATE).await;
    assert!(
        page.header("content-security-policy")
            .contains("frame-ancestors 'self' https://portal.example;"),
        "{page:?}"
    );
    assert_eq!(headers(&page, &names), ["strict-origin", "nosniff", "same-origin", ""]);
    // RFC 6797 s7.1: on every answer over https.
    for target in ["/", "/app.js", "/bff/user", "/api/orders", "/bff/login"] {
        let reply = gate.call("GET", target, &[]).await;
        assert_eq!(
            reply.header("strict-transport-security"),
            "max-age=31536000",
            "{target}"
        );
    }

    let keys = r#"headers = { content_security_policy = "default-src 'none'", strict_transport_security = "off", cross_origin_opener_policy = "off" }"#;
    let gate = with_pages(Some("https://app.example.test"), keys).await;
    let page = gate.call("GET", "/", &NAVIGATE).await;
    let names = [
        "content-security-policy",
        "strict-transport-security",
        "cross-origin-opener-policy",
    ];
    assert_eq!(headers(&page, &names), ["default-src 'none'", "", ""]);
    let gate = with_pages(None, "headers = { content_security_policy = \"off\" }").await;
    assert_eq!(
        gate.call("GET", "/", &NAVIGATE).await.header("content-security-policy"),
        ""
    );
}

#[tokio::test]
async fn what_an_upstream_says_of_its_pages_stays() {
    let of_upstream = |keys: &'static str| {
        Gate::start_with(None, move |text, _| {
            let (_, upstream) = text.split_once("upstream = \"").unwrap();
            let (upstream, _) = upstream.split_once('"').unwrap();
            let keys = format!("[frontend.shop]\nassets = {{ upstream = \"{upstream}\" }}\n{keys}");
            text.replace("[frontend.shop]", &keys)
        })
    };
    let gate = of_upstream("").await;
    let page = gate.call("GET", "/page", &NAVIGATE).await;
    assert_eq!((page.status, page.body.as_str()), (200, "<p>page</p>"));
    let names = [
        "content-security-policy",
        "referrer-policy",
        "cross-origin-opener-policy",
    ];
    assert_eq!(
        headers(&page, &names),
        ["", "origin", "same-origin"],
        "no policy that a development server cannot live with"
    );
    // No session, and no header of ours, is the pages' business.
    let browser = gate.sign_in().await;
    let cookie = format!("theme=dark; {}", gate.cookie(&browser));
    assert_eq!(gate.call("GET", "/page", &[("Cookie", &cookie)]).await.status, 200);
    let seen = gate.upstream.last();
    assert_eq!(
        (seen.all("cookie"), seen.all("authorization").len()),
        (vec!["theme=dark"], 0)
    );
    let gate = of_upstream("headers = { content_security_policy = \"default-src 'self'\" }").await;
    assert_eq!(
        gate.call("GET", "/page", &NAVIGATE)
            .await
            .header("content-security-policy"),
        "default-src 'self'"
    );
}
