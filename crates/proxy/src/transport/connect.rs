//! Opening a connection to an upstream.

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service as _;

use crate::error::ForwardError;
use crate::upstream::Upstream;

/// Resolves names, tries addresses of both families, and gives up after the upstream's time-out.
pub(crate) async fn connect(upstream: &Upstream) -> Result<TokioIo<TcpStream>, ForwardError> {
    let target: Uri = upstream.target.connect_uri()?;
    let origin = || upstream.origin().to_owned();
    match tokio::time::timeout(upstream.timeouts().connect, connector().call(target)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(ForwardError::Connect {
            origin: origin(),
            source: source.into(),
        }),
        Err(_) => Err(ForwardError::ConnectTimeout { origin: origin() }),
    }
}

pub(super) fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.enforce_http(false);
    connector
}
