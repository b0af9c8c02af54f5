//! The response's body on its way to the client.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::hygiene::clean_response_trailers;
use crate::transport::{Connection, Deadline, Keep, Pool};
use crate::upgrade::cut_off;
use crate::upstream::Upstream;

/// The body of a forwarded response. It drives the connection to the upstream while it is read, and ends with an
/// error, never with a clean end, where the upstream breaks off: a short answer does not look complete.
pub struct ProxyBody {
    source: Option<Incoming>,
    /// The connection that fills `source`, where it is ours to drive and to keep.
    connection: Option<(Box<Connection>, Upstream, Keep)>,
    deadline: Deadline,
    idle: Duration,
    waiting: bool,
    /// Ready when the caller cuts the answer off.
    cut: Option<Cut>,
}

type Cut = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why a response's body broke off. The client's connection or stream is aborted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The upstream closed the connection or sent something that is not HTTP.
    #[error("the upstream broke off its answer: {0}")]
    Upstream(#[source] hyper::Error),
    /// Nothing came for [`Timeouts::idle`](crate::Timeouts).
    #[error("the upstream was silent for too long in the middle of its answer")]
    Idle,
    /// The caller cut it off, by [`ForwardHead::cut`](crate::ForwardHead::cut).
    #[error("the answer was cut off, as what permitted it has ended")]
    Cut,
}

impl ProxyBody {
    /// A body without content.
    #[must_use]
    pub fn empty() -> ProxyBody {
        ProxyBody {
            source: None,
            connection: None,
            deadline: Deadline::default(),
            idle: Duration::MAX,
            waiting: false,
            cut: None,
        }
    }

    /// A body that comes over a connection of ours, which goes back to its pool when all is read.
    pub(crate) fn driven(source: Incoming, connection: Box<Connection>, upstream: &Upstream, keep: Keep) -> ProxyBody {
        let mut body = ProxyBody::plain(source, upstream.timeouts().idle);
        body.connection = Some((connection, upstream.clone(), keep));
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    /// A body whose connection is driven elsewhere.
    pub(crate) fn plain(source: Incoming, idle: Duration) -> ProxyBody {
        ProxyBody {
            source: Some(source),
            idle,
            ..ProxyBody::empty()
        }
    }

    /// Breaks the body off, where it is still coming, when `cut` turns true or its sender is dropped; of several, the first
    /// one does.
    #[must_use]
    pub fn cut_when(self, cut: watch::Receiver<bool>) -> ProxyBody {
        self.cut_by(cut_off(cut))
    }

    /// Lets `cut` break the body off.
    pub(crate) fn cut_by(mut self, cut: impl Future<Output = ()> + Send + 'static) -> ProxyBody {
        if !self.is_end_stream() {
            self.cut = Some(match self.cut.take() {
                None => Box::pin(cut),
                Some(other) => Box::pin(async {
                    tokio::select! {
                        () = other => {}
                        () = cut => {}
                    }
                }),
            });
        }
        self
    }

    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        let Some((connection, ..)) = &mut self.connection else {
            return Pin::new(source).poll_frame(cx).map_err(BodyError::Upstream);
        };
        // The connection fills the channel of `source` only while we drive it, so `source` itself need not wake us.
        let mut quiet = Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut *source).poll_frame(&mut quiet);
        if polled.is_pending() {
            connection.drive(cx);
            polled = Pin::new(source).poll_frame(&mut quiet);
        }
        polled.map_err(BodyError::Upstream)
    }

    /// Everything has been read: the connection may carry another request.
    fn finish(&mut self) {
        self.source = None;
        if let Some((connection, upstream, keep)) = self.connection.take() {
            Pool::put(&upstream.target, connection, keep);
        }
    }

    fn fail(&mut self) {
        self.source = None;
        self.connection = None;
        self.cut = None;
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        // First, since an upstream may always have something more to send.
        if this.cut.as_mut().is_some_and(|cut| cut.as_mut().poll(cx).is_ready()) {
            this.fail();
            return Poll::Ready(Some(Err(BodyError::Cut)));
        }
        match this.poll_source(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.waiting = false;
                let frame = match frame.into_trailers() {
                    Ok(mut trailers) => {
                        clean_response_trailers(&mut trailers);
                        this.finish();
                        Frame::trailers(trailers)
                    }
                    Err(data) => data,
                };
                if this.source.as_ref().is_some_and(Body::is_end_stream) {
                    this.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.fail();
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                // The clock runs while we wait for the upstream, not while the client is busy.
                if !this.waiting {
                    this.waiting = true;
                    this.deadline.set(this.idle);
                }
                if this.deadline.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.fail();
                Poll::Ready(Some(Err(BodyError::Idle)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.source
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Default for ProxyBody {
    fn default() -> Self {
        ProxyBody::empty()
    }
}

impl fmt::Debug for ProxyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBody")
            .field("is_end_stream", &self.is_end_stream())
            .finish_non_exhaustive()
    }
}
