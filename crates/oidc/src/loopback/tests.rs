use portcullis_jose::UnixTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::login::{LoginRequest, begin};

const ISSUER: &str = "https://issuer.test";
const LONG: Duration = Duration::from_secs(60);

fn metadata() -> Metadata {
    let document = serde_json::json!({
        "issuer": ISSUER, "jwks_uri": "https://issuer.test/jwks",
        "authorization_response_iss_parameter_supported": true,
    });
    Metadata::parse(document.to_string().as_bytes(), ISSUER).unwrap()
}

fn attempt(redirect_uri: &str) -> LoginAttempt {
    let request = LoginRequest::new(redirect_uri, &[]);
    begin(ISSUER, "tool", &request, false, UnixTime::from_secs(7)).1
}

/// A login that waits, and where.
struct Waiting {
    address: SocketAddr,
    authority: String,
    state: String,
    ended: tokio::task::JoinHandle<Result<ValidatedCallback, LoopbackError>>,
}

async fn waiting(redirect: &str, limit: Duration) -> Waiting {
    let loopback = Loopback::bind(&redirect.parse().unwrap()).await.unwrap();
    let attempt = attempt(loopback.redirect_uri());
    Waiting {
        address: loopback.addresses()[0],
        authority: loopback.authority.clone(),
        state: attempt.state().expose().to_owned(),
        ended: tokio::spawn(async move {
            let rule = IssuerRule::exactly(ISSUER);
            loopback.answer(&rule, &metadata(), &attempt, limit).await
        }),
    }
}

impl Waiting {
    fn good(&self) -> String {
        format!("/cb?code=c&state={}&iss=https%3A%2F%2Fissuer.test", self.state)
    }

    async fn send(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(&self, target: &str) -> String {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.authority))
            .await
    }
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let head = answer.to_ascii_lowercase();
    for header in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'",
        "connection: close",
    ] {
        assert!(head.contains(header), "{header} is missing: {answer}");
    }
}

#[tokio::test]
async fn the_answer_is_taken_and_the_page_says_that_it_can_be_closed() {
    for redirect in ["http://127.0.0.1/cb", "http://[::1]/cb", "http://localhost/cb"] {
        let waiting = waiting(redirect, LONG).await;
        assert_ne!(waiting.address.port(), 0);
        assert!(
            waiting
                .authority
                .starts_with(redirect.strip_prefix("http://").unwrap().strip_suffix("/cb").unwrap())
        );
        let page = waiting.get(&waiting.good()).await;
        assert_status(&page, 200);
        assert!(page.contains("You can close this window"), "{page}");
        let callback = waiting.ended.await.unwrap().unwrap();
        assert_eq!(callback.issuer(), Some(ISSUER));
        assert_eq!(callback.into_code().expose(), "c");
        // Late: nobody listens any more.
        assert!(TcpStream::connect(waiting.address).await.is_err());
    }
}

#[tokio::test]
async fn localhost_is_both_families_at_one_port() {
    let loopback = Loopback::bind(&"http://localhost/cb".parse().unwrap()).await.unwrap();
    let addresses = loopback.addresses();
    let [first, second] = addresses[..] else {
        panic!("{addresses:?}")
    };
    assert!(first.is_ipv4() && second.is_ipv6() && first.port() == second.port());
    assert_eq!(loopback.redirect_uri(), format!("http://localhost:{}/cb", first.port()));
    // The one that a login comes back to may be either.
    let attempt = attempt(loopback.redirect_uri());
    let waiting = Waiting {
        address: second,
        authority: loopback.authority.clone(),
        state: attempt.state().expose().to_owned(),
        ended: tokio::spawn(async move {
            loopback
                .answer(&IssuerRule::exactly(ISSUER), &metadata(), &attempt, LONG)
                .await
        }),
    };
    assert_status(&waiting.get(&waiting.good()).await, 200);
    assert!(waiting.ended.await.unwrap().is_ok());
}

#[tokio::test]
async fn what_is_not_of_this_login_changes_nothing() {
    let waiting = waiting("http://127.0.0.1/cb", LONG).await;
    let state = &waiting.state;
    let iss = "iss=https%3A%2F%2Fissuer.test";
    for (target, status) in [
        ("/".to_owned(), 404),
        ("/favicon.ico".to_owned(), 404),
        (format!("/cb/?code=x&state={state}&{iss}"), 404),
        ("/cb".to_owned(), 400),
        (format!("/cb?code=evil&{iss}"), 400),
        (format!("/cb?code=evil&state=other&{iss}"), 400),
        ("/cb?error=access_denied&state=other".to_owned(), 400),
        (format!("/cb?code=evil&state={state}&state={state}&{iss}"), 400),
    ] {
        let page = waiting.get(&target).await;
        assert_status(&page, status);
        assert!(!page.contains("evil") && !page.contains(state), "{page}");
    }
    let good = waiting.good();
    let port = waiting.address.port();
    for (request, status) in [
        (format!("GET {good} HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n"), 421),
        (format!("GET {good} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"), 421),
        (format!("GET {good} HTTP/1.1\r\n\r\n"), 421),
        (
            format!("POST {good} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\r\n"),
            405,
        ),
        (format!("HEAD {good} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"), 405),
    ] {
        assert_status(&waiting.send(&request).await, status);
    }
    assert!(!waiting.ended.is_finished());
    // Somebody who connects and says nothing does not stand in the way.
    let _silent = TcpStream::connect(waiting.address).await.unwrap();
    assert_status(&waiting.get(&good).await, 200);
    assert!(waiting.ended.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_bad_answer_of_this_login_ends_it() {
    for (query, code) in [
        ("code=c&state=STATE", "login.issuer_missing"),
        (
            "code=c&state=STATE&iss=https%3A%2F%2Fevil.test",
            "login.issuer_mismatch",
        ),
        (
            "error=access_denied&state=STATE&iss=https%3A%2F%2Fissuer.test",
            "login.access_denied",
        ),
        ("state=STATE&iss=https%3A%2F%2Fissuer.test", "login.code_rejected"),
    ] {
        let waiting = waiting("http://127.0.0.1/cb", LONG).await;
        let page = waiting
            .get(&format!("/cb?{}", query.replace("STATE", &waiting.state)))
            .await;
        assert_status(&page, 400);
        assert!(page.contains("did not succeed"), "{page}");
        assert_eq!(waiting.ended.await.unwrap().unwrap_err().code(), code, "{query}");
    }
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let waiting = waiting("http://127.0.0.1/cb", Duration::from_millis(300)).await;
    assert_status(&waiting.get("/cb?code=c&state=other").await, 400);
    let error = waiting.ended.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "login.attempt_expired");
    assert!(matches!(error, LoopbackError::TimedOut { refused: 1, .. }), "{error:?}");
    assert!(
        error.to_string().contains("1 that came were not of this login"),
        "{error}"
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redirect = format!("http://127.0.0.1:{}/cb", taken.local_addr().unwrap().port());
    let error = Loopback::bind(&redirect.parse().unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "login.loopback_unavailable");
}
