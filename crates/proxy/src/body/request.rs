//! The request's body on its way to the upstream.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::HeaderName;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use crate::error::BoxError;
use crate::hygiene::is_unwanted;

/// A request's body, without a box for the kinds that matter.
pub(crate) struct RequestBody {
    kind: Kind,
    upload: Option<Arc<Upload>>,
}

enum Kind {
    Empty,
    Incoming(Incoming),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

/// What the sender of a request knows about its body while the connection reads it.
#[derive(Default)]
pub(crate) struct Upload {
    frames: AtomicU64,
    waits_for_client: AtomicBool,
    failed: AtomicBool,
    /// Names that trailers must not bring in.
    protected: Vec<HeaderName>,
}

// === impl RequestBody ===

impl RequestBody {
    pub(crate) fn empty() -> RequestBody {
        RequestBody {
            kind: Kind::Empty,
            upload: None,
        }
    }

    pub(crate) fn new<B>(body: B, protected: impl FnOnce() -> Vec<HeaderName>) -> RequestBody
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return RequestBody::empty();
        }
        let mut slot = Some(body);
        let incoming = (&mut slot as &mut dyn Any)
            .downcast_mut::<Option<Incoming>>()
            .and_then(Option::take);
        let kind = match (incoming, slot) {
            (Some(incoming), _) => Kind::Incoming(incoming),
            (None, Some(body)) => Kind::Boxed(body.map_err(Into::into).boxed_unsync()),
            (None, None) => Kind::Empty,
        };
        RequestBody {
            kind,
            upload: Some(Arc::new(Upload {
                protected: protected(),
                ..Upload::default()
            })),
        }
    }

    pub(crate) fn upload(&self) -> Option<Arc<Upload>> {
        self.upload.clone()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = match &mut self.kind {
            Kind::Empty => return Poll::Ready(None),
            Kind::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
            Kind::Boxed(body) => Pin::new(body).poll_frame(cx),
        };
        let Some(upload) = &self.upload else { return polled };
        upload.waits_for_client.store(polled.is_pending(), Ordering::Relaxed);
        let frame = match ready!(polled) {
            None => return Poll::Ready(None),
            Some(Err(error)) => {
                upload.failed.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(error)));
            }
            Some(Ok(frame)) => frame,
        };
        upload.frames.fetch_add(1, Ordering::Relaxed);
        let frame = match frame.into_trailers() {
            Ok(trailers) => Frame::trailers(upload.clean(trailers)),
            Err(data) => data,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Incoming(body) => body.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Incoming(body) => body.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

// === impl Upload ===

impl Upload {
    /// Grows with each piece that the connection has taken.
    pub(crate) fn progress(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// The connection asked for more, and the client has not sent it yet.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waits_for_client.load(Ordering::Relaxed)
    }

    /// The client broke off.
    pub(crate) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// RFC 9110 s6.5.1: trailers that frame, route or authenticate are forbidden; some servers merge them all the same.
    fn clean(&self, mut trailers: HeaderMap) -> HeaderMap {
        let doomed: Vec<HeaderName> = trailers
            .keys()
            .filter(|name| {
                is_forbidden_trailer(name.as_str())
                    || is_unwanted(name.as_str(), false)
                    || self.protected.contains(name)
            })
            .cloned()
            .collect();
        for name in &doomed {
            trailers.remove(name);
        }
        trailers
    }
}

fn is_forbidden_trailer(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || name.starts_with("content-")
        || name.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-')
        || matches!(
            name,
            "authorization"
                | "connection"
                | "cookie"
                | "expect"
                | "forwarded"
                | "host"
                | "keep-alive"
                | "proxy-authorization"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
                | "x-request-id"
        )
}
