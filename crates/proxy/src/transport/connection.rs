//! One HTTP/1.1 connection to an upstream, driven by the request that uses it.
//!
//! A connection has no task of its own. The task that waits for the answer drives it, so that a request costs no
//! hand-over between tasks, and a request that is dropped closes its connection at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::deadline::Deadline;
use crate::body::{RequestBody, Upload};
use crate::error::ForwardError;
use crate::upstream::Upstream;

pub(crate) struct Connection {
    sender: http1::SendRequest<RequestBody>,
    /// `None` once the connection is closed.
    driver: Option<http1::Connection<TokioIo<TcpStream>, RequestBody>>,
    deadline: Deadline,
}

/// Why a connection gave no answer.
pub(crate) enum SendError {
    /// The connection was closed before any of the request was written, which is here unharmed.
    Unsent(Box<Request<RequestBody>>),
    Failed(ForwardError),
}

impl Connection {
    pub(crate) async fn open(upstream: &Upstream) -> Result<Box<Connection>, ForwardError> {
        let stream = super::connect(upstream).await?;
        let (sender, driver) = http1::handshake(stream)
            .await
            .map_err(|error| closed(upstream, error))?;
        Ok(Box::new(Connection {
            sender,
            driver: Some(driver),
            deadline: Deadline::default(),
        }))
    }

    /// Sends a request and waits for the answer's head, while the body goes out.
    pub(crate) async fn send(
        mut self: Box<Self>,
        request: Request<RequestBody>,
        upstream: &Upstream,
    ) -> Result<(Response<Incoming>, Box<Self>), SendError> {
        let upload = request.body().upload();
        let mut deadline = std::mem::take(&mut self.deadline);
        // The answer comes while we drive the connection and never otherwise, so it need not wake us; and as it
        // cannot wake us, it must not be put off by tokio's budget for a task.
        let mut answer = pin!(tokio::task::unconstrained(self.sender.try_send_request(request)));
        let exchange = poll_fn(|cx| {
            self.drive(cx);
            let mut quiet = Context::from_waker(Waker::noop());
            match answer.as_mut().poll(&mut quiet) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending if self.driver.is_none() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        });
        let wait = upstream.timeouts().response_header;
        let answer = within(exchange, &mut deadline, wait, upload.as_deref(), upstream).await;
        self.deadline = deadline;
        match answer {
            Ok(Some(Ok(response))) => Ok((response, self)),
            Ok(Some(Err(mut error))) => Err(match error.take_message() {
                Some(request) => SendError::Unsent(Box::new(request)),
                None => SendError::Failed(judge(error.into_error(), upload.as_deref(), upstream)),
            }),
            Ok(None) => Err(SendError::Failed(ForwardError::UpstreamClosed {
                origin: upstream.origin().to_owned(),
                source: "connection closed".into(),
            })),
            Err(error) => Err(SendError::Failed(error)),
        }
    }

    /// Reads and writes what can be read and written now.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        // Errors reach whoever waits for the answer or its body.
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Lets go of the task that used the connection. Returns whether it can carry another request.
    pub(crate) fn park(&mut self) -> bool {
        // Without this, the next request on it would wake the task of the last one.
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// Waits for `work`, but no longer than `wait` after the last piece of the request's body went out.
pub(crate) async fn within<F: Future>(
    work: F,
    deadline: &mut Deadline,
    wait: Duration,
    upload: Option<&Upload>,
    upstream: &Upstream,
) -> Result<F::Output, ForwardError> {
    let mut work = pin!(work);
    let mut seen = 0;
    deadline.set(wait);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if deadline.poll(cx).is_pending() {
                return Poll::Pending;
            }
            match upload {
                Some(upload) if upload.progress() != seen => {
                    seen = upload.progress();
                    deadline.set(wait);
                }
                Some(upload) if upload.waits_for_client() => return Poll::Ready(Err(ForwardError::RequestTimeout)),
                _ => {
                    return Poll::Ready(Err(ForwardError::Timeout {
                        origin: upstream.origin().to_owned(),
                    }));
                }
            }
        }
    })
    .await
}

/// Whose fault an exchange without an answer is.
pub(crate) fn judge(error: hyper::Error, upload: Option<&Upload>, upstream: &Upstream) -> ForwardError {
    if upload.is_some_and(Upload::failed) {
        ForwardError::RequestBody
    } else if error.is_parse() {
        ForwardError::BadResponse {
            origin: upstream.origin().to_owned(),
            detail: error.to_string(),
        }
    } else {
        closed(upstream, error)
    }
}

fn closed(upstream: &Upstream, error: hyper::Error) -> ForwardError {
    ForwardError::UpstreamClosed {
        origin: upstream.origin().to_owned(),
        source: error.into(),
    }
}
