//! The listener of one login, until its answer is there.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answer::{Expected, Page, Verdict};
use super::{Loopback, LoopbackError};
use crate::login::{LoginAttempt, LoginError, ValidatedCallback};
use crate::{IssuerRule, Metadata};

/// A browser sends its request at once and reads the page at once.
const PATIENCE: Duration = Duration::from_secs(10);
/// Browsers open connections ahead of need; nobody opens so many for a login.
const CONNECTIONS: usize = 32;
/// Longer than the address and header fields of any browser.
const HEAD: usize = 32 * 1024;

type Answer = Result<ValidatedCallback, LoginError>;

/// What the connections share.
struct Login {
    authority: String,
    path: String,
    rule: IssuerRule,
    metadata: Metadata,
    attempt: LoginAttempt,
    answered: AtomicBool,
    refused: AtomicUsize,
}

pub(super) async fn until_answered(
    loopback: Loopback,
    rule: &IssuerRule,
    metadata: &Metadata,
    attempt: &LoginAttempt,
    limit: Duration,
) -> Result<ValidatedCallback, LoopbackError> {
    let login = Arc::new(Login {
        authority: loopback.authority,
        path: loopback.path,
        rule: rule.clone(),
        metadata: metadata.clone(),
        attempt: attempt.clone(),
        answered: AtomicBool::new(false),
        refused: AtomicUsize::new(0),
    });
    match tokio::time::timeout(limit, accept(&loopback.listeners, &login)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(LoopbackError::TimedOut {
            limit,
            refused: login.refused.load(Ordering::Relaxed),
        }),
    }
}

async fn accept(listeners: &[TcpListener], login: &Arc<Login>) -> Answer {
    // What is still open when the answer is there ends with this set.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = next(listeners), if connections.len() < CONNECTIONS => match stream {
                Ok(stream) => {
                    connections.spawn(connection(stream, Arc::clone(login)));
                }
                // Out of file descriptors, or a connection that is gone already: take a breath and go on.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
            Some(ended) = connections.join_next() => {
                if let Ok(Some(answer)) = ended {
                    return answer;
                }
            }
        }
    }
}

/// The next connection at any of them.
async fn next(listeners: &[TcpListener]) -> std::io::Result<TcpStream> {
    match listeners {
        [one] => one.accept().await.map(|(stream, _)| stream),
        [one, other] => tokio::select! {
            accepted = one.accept() => accepted.map(|(stream, _)| stream),
            accepted = other.accept() => accepted.map(|(stream, _)| stream),
        },
        _ => std::future::pending().await,
    }
}

/// Serves a connection to its end, so that the page has arrived before the answer counts.
async fn connection(stream: TcpStream, login: Arc<Login>) -> Option<Answer> {
    let found = Arc::new(Mutex::new(None));
    let service = service_fn(|request: http::Request<Incoming>| {
        let page = login.page(&request, &found);
        async move { Ok::<_, Infallible>(page.respond()) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A browser that hangs up has sent its request all the same.
    drop(tokio::time::timeout(PATIENCE, serving).await);
    found.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Login {
    fn page(&self, request: &http::Request<Incoming>, found: &Mutex<Option<Answer>>) -> Page {
        let expected = Expected {
            authority: &self.authority,
            path: &self.path,
            rule: &self.rule,
            metadata: &self.metadata,
            attempt: &self.attempt,
        };
        match expected.judge(request) {
            Verdict::Foreign(page) => {
                if page == Page::NotOurs {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
                page
            }
            // RFC 6749 s4.1.2: a code is good once, and so is the answer.
            Verdict::Ours(_) if self.answered.swap(true, Ordering::AcqRel) => Page::Over,
            Verdict::Ours(answer) => {
                let page = match answer {
                    Ok(_) => Page::Done,
                    Err(_) => Page::Failed,
                };
                *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                page
            }
        }
    }
}
