//! Bodies that are for this program itself: small, read whole, and soon.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portcullis_audit::Refused;

/// Whoever sends so little takes no longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The whole body, if it has at most so many bytes.
pub(crate) async fn read<B>(body: B, limit: usize) -> Result<Bytes, Refused>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // What says beforehand that it is too large is not waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let broken = |found: &str| Refused::new("request.bad_head").found(found);
    let collected = tokio::time::timeout(PATIENCE, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| broken("the body came too slowly"))? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Err(_) => Err(broken("the body broke off")),
    }
}

fn too_large(limit: usize) -> Refused {
    Refused::new("request.body_too_large").expected(format!("at most {limit} bytes"))
}
