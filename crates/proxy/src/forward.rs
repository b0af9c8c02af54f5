//! Forwarding one request.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Extensions, Request, Response, StatusCode, Version};
use http_body::Body;
use tokio::sync::watch;

use crate::body::{ProxyBody, RequestBody};
use crate::error::{BoxError, ForwardError};
use crate::hygiene::{clean_request, clean_response, cookies::CookieMatch, finish_switch, protected_trailers};
use crate::path::CanonicalPath;
use crate::settings::Settings;
use crate::transport::{self, Connection, Keep, SendError, Tls};
use crate::upgrade::{Ends, Wanted, cut_off};
use crate::upstream::Upstream;

/// Forwards requests. Cheap to clone.
#[derive(Clone)]
pub struct Forwarder {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    keep: Keep,
    tls: Tls,
}

/// What a request's head becomes on its way. Made by whoever decided that the request may pass.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ForwardHead<'a> {
    /// The path that was matched, and the path that is asked for, after the upstream's prefix.
    pub path: &'a CanonicalPath<'a>,
    /// The query, without `?`. Default: none.
    pub query: Option<&'a str>,
    /// What becomes of `Authorization`. Default: removed.
    pub authorization: AuthorizationHeader,
    /// Our cookies: the upstream neither sees nor sets them. Others pass.
    pub remove_cookies: &'a [CookieMatch<'a>],
    /// Headers that only we may set, whether we set them this time or not: identity headers of all routes.
    pub remove: &'a [HeaderName],
    /// Headers that we set, after everything of the client's with these names is gone.
    pub set: &'a [(HeaderName, HeaderValue)],
    /// `X-Request-Id` for the upstream and, in the answer, for the client. Empty: none.
    pub request_id: &'a str,
    /// The peer's address.
    pub client_addr: IpAddr,
    /// `https` or `http`: how the client came to us. Default: `http`.
    pub scheme: &'a str,
    /// The host, with port, that the client asked for. Empty: none.
    pub host: &'a str,
    /// Cuts an upgraded connection, or an answer that is still coming, when it turns true or its sender is dropped:
    /// for the end of a session.
    pub cut: Option<watch::Receiver<bool>>,
    /// Cuts an upgraded connection when it turns true or its sender is dropped: for the end of the program. It is
    /// held for as long as the connection lasts, so that its sender can wait for all of them. A WebSocket's client is told
    /// which of the two it was, by the codes 1008 and 1001 (RFC 6455 s7.4.1).
    pub leaving: Option<watch::Receiver<bool>>,
}

/// What becomes of the client's `Authorization` header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorizationHeader {
    /// The upstream gets what the client sent.
    Keep,
    /// The upstream gets none.
    #[default]
    Remove,
    /// The upstream gets this one.
    Set(HeaderValue),
}

// === impl ForwardHead ===

impl<'a> ForwardHead<'a> {
    /// The strictest head: no credentials, no query, nothing set.
    #[must_use]
    pub fn new(path: &'a CanonicalPath<'a>, client_addr: IpAddr) -> ForwardHead<'a> {
        ForwardHead {
            path,
            query: None,
            authorization: AuthorizationHeader::Remove,
            remove_cookies: &[],
            remove: &[],
            set: &[],
            request_id: "",
            client_addr,
            scheme: "http",
            host: "",
            cut: None,
            leaving: None,
        }
    }
}

// === impl Forwarder ===

impl Forwarder {
    /// A forwarder with these settings. It connects to nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Forwarder {
        let tls = Tls::new(&settings);
        let keep = Keep {
            count: settings.idle_connections,
            age: settings.idle_connection_time,
        };
        Forwarder {
            shared: Arc::new(Shared { settings, keep, tls }),
        }
    }

    /// Sends a request to `upstream` and returns the answer as soon as its head is there. Bodies stream both ways.
    ///
    /// Dropping the future, or the answer's body, closes the connection to the upstream.
    ///
    /// # Errors
    /// [`ForwardError`], where there is no answer to pass on: see its status and code.
    pub async fn forward<B>(
        &self,
        upstream: &Upstream,
        request: Request<B>,
        head: ForwardHead<'_>,
    ) -> Result<Response<ProxyBody>, ForwardError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Settings {
            allow_underscores,
            upgrades,
            trusted_proxies,
            ..
        } = &self.shared.settings;
        let (mut parts, body) = request.into_parts();
        let body = RequestBody::new(body, || protected_trailers(&head));
        let upgrade = Wanted::take(&mut parts, !body.is_end_stream(), upgrades);
        let request_id = HeaderValue::from_str(head.request_id).ok().filter(|id| !id.is_empty());
        let trusted_peer = trusted_proxies.iter().any(|range| range.contains(head.client_addr));
        clean_request(
            &mut parts.headers,
            &upstream.target,
            &head,
            request_id.as_ref(),
            trusted_peer,
            *allow_underscores,
        );
        parts.uri = upstream.target.uri(parts.uri, head.path.as_str(), head.query)?;
        parts.version = Version::HTTP_11;
        // What the server or a layer left there is not for the client connection to see.
        parts.extensions = Extensions::new();
        let request = Request::from_parts(parts, body);

        let (mut response, switched) = match upgrade {
            Some(upgrade) => {
                let ends = Ends {
                    cut: head.cut.clone(),
                    leaving: head.leaving.clone(),
                };
                Box::pin(self.upgrade(upgrade, upstream, request, ends)).await?
            }
            None => (self.exchange(upstream, request).await?, None),
        };
        if let Some(cut) = head.cut {
            response = response.map(|body| body.cut_by(cut_off(cut)));
        }
        clean_response(
            response.headers_mut(),
            &upstream.target,
            head.remove_cookies,
            request_id,
        );
        if let Some(protocol) = switched {
            finish_switch(response.headers_mut(), protocol);
        }
        Ok(response)
    }

    async fn exchange(
        &self,
        upstream: &Upstream,
        request: Request<RequestBody>,
    ) -> Result<Response<ProxyBody>, ForwardError> {
        if upstream.target.tls {
            let response = Box::pin(self.shared.tls.send(request, upstream)).await?;
            return answer(response, upstream, |body| {
                ProxyBody::plain(body, upstream.timeouts().idle)
            });
        }
        let mut request = request;
        loop {
            let (connection, fresh) = match upstream.target.pool.take(self.shared.keep.age) {
                Some(connection) => (connection, false),
                None => (Box::pin(Connection::open(upstream)).await?, true),
            };
            match connection.send(request, upstream).await {
                Ok((response, connection)) => {
                    let keep = self.shared.keep;
                    return answer(response, upstream, |body| {
                        ProxyBody::driven(body, connection, upstream, keep)
                    });
                }
                // The upstream had closed an idle connection, which gives the request back unsent.
                Err(SendError::Unsent(unsent)) if !fresh => request = *unsent,
                Err(SendError::Unsent(_)) => {
                    return Err(ForwardError::UpstreamClosed {
                        origin: upstream.origin().to_owned(),
                        source: "the connection was closed as soon as it stood".into(),
                    });
                }
                Err(SendError::Failed(error)) => return Err(error),
            }
        }
    }

    async fn upgrade(
        &self,
        upgrade: Wanted,
        upstream: &Upstream,
        request: Request<RequestBody>,
        ends: Ends,
    ) -> Result<(Response<ProxyBody>, Option<HeaderValue>), ForwardError> {
        let protocol = upgrade.protocol.clone();
        let response = if upstream.target.tls {
            let request = origin_form(request, upstream);
            upgrade
                .send(self.shared.tls.connect(upstream).await?, request, upstream, ends)
                .await?
        } else {
            upgrade
                .send(transport::connect(upstream).await?, request, upstream, ends)
                .await?
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok((response.map(|_| ProxyBody::empty()), Some(protocol)));
        }
        let idle = upstream.timeouts().idle;
        Ok((answer(response, upstream, |body| ProxyBody::plain(body, idle))?, None))
    }
}

impl Default for Forwarder {
    fn default() -> Self {
        Forwarder::new(Settings::default())
    }
}

impl std::fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Forwarder")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

fn answer<T>(
    response: Response<T>,
    upstream: &Upstream,
    body: impl FnOnce(T) -> ProxyBody,
) -> Result<Response<ProxyBody>, ForwardError> {
    // RFC 9110 s15.2.2: 101 answers an Upgrade, and this request had none.
    if response.status().is_informational() {
        return Err(ForwardError::BadResponse {
            origin: upstream.origin().to_owned(),
            detail: format!("status {} to a request without Upgrade", response.status().as_u16()),
        });
    }
    let (mut parts, source) = response.into_parts();
    parts.version = Version::HTTP_11;
    parts.extensions = Extensions::new();
    Ok(Response::from_parts(parts, body(source)))
}

/// What the pooled TLS client does for itself, for a connection of our own.
fn origin_form(mut request: Request<RequestBody>, upstream: &Upstream) -> Request<RequestBody> {
    if let Some(path_and_query) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path_and_query.into();
    }
    request
        .headers_mut()
        .insert(http::header::HOST, upstream.target.host.clone());
    request
}
