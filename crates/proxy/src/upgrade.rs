//! `Upgrade`: WebSocket and what else is allowed. Bytes are copied as they are, and only after the upstream's 101.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::body::RequestBody;
use crate::error::ForwardError;
use crate::hygiene::tokens;
use crate::transport::{Deadline, judge, within};
use crate::upstream::Upstream;
use crate::websocket::{Goodbye, ToClient};

/// An upgrade that the client asks for and that we forward.
pub(crate) struct Wanted {
    /// As the client wrote it.
    pub(crate) protocol: HeaderValue,
    client: OnUpgrade,
}

/// What ends a connection that was switched, beside its two sides.
#[derive(Clone)]
pub(crate) struct Ends {
    pub(crate) cut: Option<watch::Receiver<bool>>,
    pub(crate) leaving: Option<watch::Receiver<bool>>,
}

impl Wanted {
    /// Takes the wish for an upgrade out of a request. Others are ignored, as RFC 9110 s7.8 allows: the upstream never
    /// hears of them.
    pub(crate) fn take(parts: &mut Parts, has_body: bool, allowed: &[String]) -> Option<Wanted> {
        if !parts.headers.contains_key(UPGRADE) {
            return None;
        }
        // RFC 6455 s4.1: GET, HTTP/1.1 or higher; RFC 9110 s7.8: `Connection` must name it.
        if has_body || parts.version != Version::HTTP_11 || parts.method != Method::GET {
            return None;
        }
        if !tokens(&parts.headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade")) {
            return None;
        }
        let is_allowed = |token: &&[u8]| allowed.iter().any(|name| token.eq_ignore_ascii_case(name.as_bytes()));
        let protocol = HeaderValue::from_bytes(tokens(&parts.headers, &UPGRADE).find(is_allowed)?).ok()?;
        let client = parts.extensions.remove::<OnUpgrade>()?;
        Some(Wanted { protocol, client })
    }

    /// Sends the request over a connection of its own, and joins both sides if the upstream switches.
    pub(crate) async fn send<T>(
        self,
        stream: T,
        mut request: Request<RequestBody>,
        upstream: &Upstream,
        ends: Ends,
    ) -> Result<Response<Incoming>, ForwardError>
    where
        T: Read + Write + Unpin + Send + 'static,
    {
        request
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(UPGRADE, self.protocol.clone());
        let (mut sender, connection) = http1::handshake(stream)
            .await
            .map_err(|error| judge(error, None, upstream))?;
        // Ends with the exchange, as the sender is dropped here: this connection carries one request only.
        tokio::spawn(connection.with_upgrades());
        let wait = upstream.timeouts().response_header;
        let exchange = sender.send_request(request);
        let mut response = within(exchange, &mut Deadline::default(), wait, None, upstream)
            .await?
            .map_err(|error| judge(error, None, upstream))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let agreed = tokens(response.headers(), &UPGRADE).next();
        if !agreed.is_some_and(|token| token.eq_ignore_ascii_case(self.protocol.as_bytes())) {
            return Err(ForwardError::BadResponse {
                origin: upstream.origin().to_owned(),
                detail: "it switched to another protocol than was asked for".to_owned(),
            });
        }
        let upstream_side = hyper::upgrade::on(&mut response);
        let idle = upstream.timeouts().idle;
        let is_websocket = self.protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
        tokio::spawn(async move {
            // The client's side is ready once the 101 has been sent to it, the upstream's side is already.
            let (Ok(client), Ok(upstream)) = tokio::join!(self.client, upstream_side) else {
                return;
            };
            join(client, upstream, is_websocket, idle, ends).await;
        });
        Ok(response)
    }
}

/// Copies in both directions until one side ends, both are silent for `idle`, or the connection is cut.
async fn join(client: Upgraded, upstream: Upgraded, is_websocket: bool, idle: Duration, ends: Ends) {
    let (mut client_read, client_write) = tokio::io::split(TokioIo::new(client));
    let mut client_write = ToClient::new(client_write, is_websocket);
    let (mut upstream_read, mut upstream_write) = tokio::io::split(TokioIo::new(upstream));
    let activity = Activity {
        start: Instant::now(),
        last: AtomicU64::new(0),
    };
    let both = async {
        // A side that breaks, other than by ending, ends both directions.
        tokio::try_join!(
            copy(&mut client_read, &mut upstream_write, &activity),
            copy(&mut upstream_read, &mut client_write, &activity),
        )
    };
    let goodbye = tokio::select! {
        _ = both => None,
        () = activity.silence(idle) => None,
        () = perhaps(ends.cut) => Some(Goodbye::NotPermitted),
        () = perhaps(ends.leaving) => Some(Goodbye::GoingAway),
    };
    if let Some(goodbye) = goodbye {
        client_write.say(goodbye).await;
    }
}

async fn perhaps(cut: Option<watch::Receiver<bool>>) {
    match cut {
        Some(cut) => cut_off(cut).await,
        None => std::future::pending().await,
    }
}

/// Ends when the value is true, or when nobody is left who could set it: who may cut must be there.
pub(crate) async fn cut_off(mut cut: watch::Receiver<bool>) {
    // An error means that the sender is gone.
    let _ = cut.wait_for(|cut| *cut).await;
}

/// The end of one direction is passed on; the other may go on, as in a close handshake.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    activity: &Activity,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        activity.touch();
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..count).unwrap_or_default()).await?;
        to.flush().await?;
    }
}

/// When bytes last came, in milliseconds after `start`.
struct Activity {
    start: Instant,
    last: AtomicU64,
}

impl Activity {
    fn touch(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(elapsed, Ordering::Relaxed);
    }

    async fn silence(&self, idle: Duration) {
        loop {
            let last = self.start + Duration::from_millis(self.last.load(Ordering::Relaxed));
            let Some(end) = last.checked_add(idle) else {
                return std::future::pending().await;
            };
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}
