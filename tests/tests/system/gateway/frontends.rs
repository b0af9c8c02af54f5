//! Several frontends in one process: by host and by path, each with what is its own.

use portcullis_idp::Idp;
use portcullis_jose::{Clock, ManualClock, SystemClock};
use serde_json::json;
use std::sync::Arc;

use super::dpop::{Sender, bound_token};
use super::raw::{self, Reply};
use super::{Gate, PASSWORD, START, provider_of};
use crate::demo::{Answer, Browser};

/// Signs in at the frontend that this address belongs to; follows wherever it is sent.
async fn sign_in(browser: &mut Browser, login: &str) -> Answer {
    let mut answer = browser.navigate(login).await;
    for _ in 0..12 {
        match answer.location() {
            Some(next) if next.path().ends_with("/bff/callback") => return browser.navigate(next.as_str()).await,
            Some(next) => answer = browser.navigate(next.as_str()).await,
            None => {
                answer = browser
                    .submit(&answer, &[("username", "alice"), ("password", PASSWORD)])
                    .await
            }
        }
    }
    panic!("no way back from {}", answer.url)
}

fn value(browser: &Browser, name: &str) -> Option<String> {
    browser.cookies.get(&(name.to_owned(), "/".to_owned())).cloned()
}

/// A call with `X-CSRF`, and these cookies.
async fn call(gate: &Gate, host: &str, target: &str, cookies: &str) -> Reply {
    let headers = [("Cookie", cookies), ("X-CSRF", "1")];
    raw::exchange(gate.address, "GET", target, host, &headers, "").await
}

#[tokio::test]
async fn by_host_each_with_its_own_provider_and_lifetime() {
    // The provider of the second frontend, which does not know the gateway's port yet: a loopback address's is not
    // compared, a name's is.
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let mut config = provider_of("http://[::1]:1");
    config.clients[0].redirect_uris = vec!["http://[::1]/bff/callback".into()];
    config.clients[0].backchannel_logout_uri = None;
    let other = Idp::start(config, clock).await.unwrap();
    let issuer = other.issuer().to_owned();
    let gate = Gate::start_with(None, |text, _| {
        let (_, port) = text.split_once("listen = \"127.0.0.1:").unwrap();
        let (port, _) = port.split_once('"').unwrap();
        let text = text.replace("[api.page]\n", "[api.page]\nfrontend = [\"desk\", \"shop\"]\n");
        let (before, after) = text.split_once("[api.page]").unwrap();
        let after = after.replacen("provider = \"dev\"", "provider = [\"dev\", \"other\"]", 1);
        let text = format!("{before}[api.page]{after}");
        // Elsewhere the sessions of the first alone count.
        let text = ["orders", "shelf", "app", "closed"].iter().fold(text, |text, api| {
            text.replace(
                &format!("[api.{api}]\n"),
                &format!("[api.{api}]\nfrontend = \"shop\"\n"),
            )
        });
        format!(
            "{text}
            [provider.other]
            issuer = \"{issuer}\"
            id_token_algorithm = \"ES256\"
            [client.desk]
            provider = \"other\"
            client_id = \"web\"
            secret = {{ env = \"WEB_SECRET\" }}
            [frontend.desk]
            public_url = \"http://[::1]:{port}\"
            client = \"desk\"
            scopes = [\"openid\", \"orders.read\"]
            session = {{ idle = \"5m\", lifetime = \"1h\" }}"
        )
    })
    .await;
    let port = gate.address.port();
    let (shop, desk) = (gate.host().to_owned(), format!("[::1]:{port}"));

    // The name of the second host leads elsewhere in a test, so its own answers are asked for by hand.
    let begun = raw::exchange(gate.address, "GET", "/bff/login?return_to=/here", &desk, &[], "").await;
    assert_eq!(begun.status, 303, "{begun:?}");
    let authorize = begun.header("location").to_owned();
    assert!(authorize.starts_with(other.issuer()), "{authorize}");
    let mut attempts = Browser::new();
    let mut answer = attempts.navigate(&authorize).await;
    let callback = loop {
        match answer.location() {
            Some(next) if next.path() == "/bff/callback" => break next,
            Some(next) => answer = attempts.navigate(next.as_str()).await,
            None => {
                answer = attempts
                    .submit(&answer, &[("username", "alice"), ("password", PASSWORD)])
                    .await
            }
        }
    };
    assert_eq!(callback.host_str(), Some("[::1]"));
    let attempt = begun.header("set-cookie").split(';').next().unwrap().to_owned();
    assert!(attempt.starts_with("portcullis-desk-login-"), "{attempt}");
    let target = format!("/bff/callback?{}", callback.query().unwrap());
    let done = raw::exchange(gate.address, "GET", &target, &desk, &[("Cookie", &attempt)], "").await;
    assert_eq!((done.status, done.header("location")), (303, "/here"), "{done:?}");
    let of_desk = done
        .all("set-cookie")
        .into_iter()
        .find(|cookie| cookie.starts_with("portcullis-desk="));
    let of_desk = of_desk.unwrap().split(';').next().unwrap().to_owned();

    let alice = gate.sign_in().await;
    let of_shop = gate.cookie(&alice);
    let both = format!("{of_shop}; {of_desk}; theme=dark");
    for (host, seconds) in [(&shop, 1800), (&desk, 300)] {
        let user = call(&gate, host, "/bff/user", &both).await;
        assert_eq!(user.json()["seconds_left"], seconds, "{host}");
        assert_eq!(call(&gate, host, "/api/page", &both).await.status, 200, "{host}");
        let seen = gate.upstream.last();
        assert_eq!(seen.all("cookie"), ["theme=dark"], "neither cookie goes on");
        assert_eq!(seen.all("x-forwarded-host"), [host.as_str()]);
    }
    // A session counts at its own frontend alone.
    for (host, target, cookie, status) in [
        (&shop, "/api/page", &of_desk, 401),
        (&desk, "/api/page", &of_shop, 401),
        (&shop, "/api/orders", &of_shop, 200),
        (&desk, "/api/orders", &of_desk, 401),
        (&desk, "/api/orders", &of_shop, 401),
    ] {
        assert_eq!(
            call(&gate, host, target, cookie).await.status,
            status,
            "{host} {target} {cookie}"
        );
    }
    // Where sessions alone are taken, no token of a caller's own is, whatever the host.
    let token = format!("Bearer {}", gate.token());
    for (host, target, status) in [
        (&shop, "/api/orders", 200),
        (&desk, "/api/orders", 200),
        (&shop, "/app/x", 401),
        (&desk, "/app/x", 401),
    ] {
        let headers = [("Authorization", token.as_str())];
        let reply = raw::exchange(gate.address, "GET", target, host, &headers, "").await;
        assert_eq!(reply.status, status, "{host} {target}");
    }
    // A proof names the address that it was made for: any of this gateway's own.
    let sender = Sender::new();
    let bound = bound_token(&gate, &json!({"jkt": sender.0.kid()}));
    for (host, origin, status) in [
        (&shop, &gate.origin, 200),
        (&desk, &format!("http://{desk}"), 200),
        (&desk, &"http://[::1]".to_owned(), 401),
        (&desk, &"http://other.example".to_owned(), 401),
    ] {
        let proof = sender.proof(&gate, Some(&bound), &json!({"htu": format!("{origin}/api/machine/1")}));
        let authorization = format!("DPoP {bound}");
        let headers = [("Authorization", authorization.as_str()), ("DPoP", &proof)];
        let reply = raw::exchange(gate.address, "GET", "/api/machine/1", host, &headers, "").await;
        assert_eq!(reply.status, status, "{host} {origin}");
    }
    // One's value under the other's name opens nothing.
    let swapped = format!("portcullis-shop={}", of_desk.split_once('=').unwrap().1);
    let reply = call(&gate, &shop, "/api/page", &swapped).await;
    assert_eq!(reply.problem(), (401, "session.invalid".into()));
    let reply = raw::exchange(gate.address, "GET", "/api/public", "other.example", &[], "").await;
    assert_eq!(reply.status, 421);
}

#[tokio::test]
async fn by_path_each_with_its_own_pages_and_endpoints() {
    let gate = Gate::start_with(None, |text, dir| {
        for (pages, title) in [("shop", "Shop"), ("desk", "Desk")] {
            std::fs::create_dir(dir.join(pages)).unwrap();
            std::fs::write(dir.join(pages).join("index.html"), format!("<title>{title}</title>")).unwrap();
            std::fs::write(dir.join(pages).join("app.js"), format!("// {title}")).unwrap();
        }
        let text = text.replace("[frontend.shop]", "[frontend.shop]\nassets = { dir = \"shop\" }\n");
        let (_, upstream) = text.split_once("upstream = \"").unwrap();
        let (upstream, _) = upstream.split_once('"').unwrap();
        format!(
            "{text}
            [frontend.desk]
            path = \"/desk\"
            client = \"web\"
            scopes = [\"openid\", \"offline_access\", \"orders.read\"]
            assets = {{ dir = \"desk\" }}
            [api.desk]
            path = \"/desk/api\"
            upstream = \"{upstream}\"
            accept = [\"session\"]
            provider = \"dev\"
            audience = \"https://orders.example.test\"
            policy = \"authenticated\""
        )
    })
    .await;
    let host = gate.host().to_owned();
    let navigate = [
        ("Accept", "text/html"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    for (target, title) in [
        ("/", "Shop"),
        ("/some/where", "Shop"),
        ("/desks", "Shop"),
        ("/desk/", "Desk"),
        ("/desk/some/where", "Desk"),
    ] {
        let page = gate.call("GET", target, &navigate).await;
        assert_eq!(
            (page.status, page.body.contains(title)),
            (200, true),
            "{target}: {}",
            page.body
        );
    }
    assert_eq!(gate.call("GET", "/app.js", &[]).await.body, "// Shop");
    assert_eq!(gate.call("GET", "/desk/app.js", &[]).await.body, "// Desk");
    let moved = gate.call("GET", "/desk", &navigate).await;
    assert_eq!((moved.status, moved.header("location")), (308, "/desk/"));
    let moved = gate.call("GET", "/desk?invite=abc", &[]).await;
    assert_eq!(
        (moved.status, moved.header("location"), moved.header("cache-control")),
        (308, "/desk/?invite=abc", "no-store")
    );

    // One browser, signed in to both.
    let mut browser = Browser::new();
    let done = sign_in(&mut browser, &format!("{}/desk/bff/login", gate.origin)).await;
    assert_eq!((done.status.as_u16(), done.location().unwrap().path()), (303, "/desk/"));
    let desk = value(&browser, "portcullis-desk").unwrap();
    assert!(value(&browser, "portcullis-shop").is_none());
    let done = sign_in(&mut browser, &format!("{}/bff/login", gate.origin)).await;
    assert_eq!(done.location().unwrap().path(), "/");
    let shop = value(&browser, "portcullis-shop").unwrap();
    assert_eq!(
        value(&browser, "portcullis-desk").as_ref(),
        Some(&desk),
        "one login leaves the other alone"
    );
    let (of_shop, of_desk) = (format!("portcullis-shop={shop}"), format!("portcullis-desk={desk}"));
    for (target, cookie, status) in [
        ("/bff/user", &of_shop, 200),
        ("/bff/user", &of_desk, 401),
        ("/desk/bff/user", &of_desk, 200),
        ("/desk/bff/user", &of_shop, 401),
        ("/api/page", &of_shop, 200),
        ("/api/page", &of_desk, 401),
        ("/desk/api/x", &of_desk, 200),
        ("/desk/api/x", &of_shop, 401),
        ("/desk/bff/portcullis.js", &of_shop, 200),
    ] {
        let reply = call(&gate, &host, target, cookie).await;
        assert_eq!(reply.status, status, "{target} {cookie}");
        if status == 401 {
            let login = if target.starts_with("/desk") {
                "/desk/bff/login"
            } else {
                "/bff/login"
            };
            assert_eq!(reply.json()["login_url"], login, "{target}");
        }
    }
    // A logout ends one of them, and comes back to its pages.
    let user = call(&gate, &host, "/desk/bff/user", &of_desk).await;
    let logout = user.json()["logout_url"].as_str().unwrap().to_owned();
    assert!(logout.starts_with("/desk/bff/logout?token="), "{logout}");
    let done = call(&gate, &host, &logout, &format!("{of_desk}; {of_shop}")).await;
    assert_eq!(done.status, 303);
    let encoded: String = url::form_urlencoded::byte_serialize(format!("{}/desk/", gate.origin).as_bytes()).collect();
    assert!(done.header("location").contains(&encoded), "{done:?}");
    assert_eq!(call(&gate, &host, "/desk/bff/user", &of_desk).await.status, 401);
    assert_eq!(call(&gate, &host, "/bff/user", &of_shop).await.status, 200);

    // A logout everywhere ends those of the other frontend too, and what they hold is worth nothing at the provider.
    let live = || gate.idp.control().token_counts().live_refresh_tokens;
    let done = sign_in(&mut browser, &format!("{}/desk/bff/login", gate.origin)).await;
    assert_eq!(done.location().unwrap().path(), "/desk/");
    let of_desk = format!("portcullis-desk={}", value(&browser, "portcullis-desk").unwrap());
    assert_eq!(live(), 2, "one each");
    let user = call(&gate, &host, "/bff/user", &of_shop).await;
    let logout = format!("{}&everywhere=true", user.json()["logout_url"].as_str().unwrap());
    assert_eq!(call(&gate, &host, &logout, &of_shop).await.status, 303);
    assert_eq!(call(&gate, &host, "/desk/bff/user", &of_desk).await.status, 401);
    let gone = async {
        while live() > 0 {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(START, gone).await;
    assert!(gone.is_ok(), "{} are left", live());
}
