//! WebSockets and answers without an end: when what permitted them is over.

use std::sync::Arc;
use std::time::Duration;

use portcullis_bff::{Bff, Session};
use portcullis_guard::{Guard, VerifiedToken};
use tokio::sync::watch;

/// A stream whose token was revoked is closed within a second.
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// Turns true when what permitted a call is over: its session has ended, or its token was revoked. `None` where nothing
/// was asked for.
pub(super) fn end_of(
    session: Option<&(Bff, Session)>,
    permitted: Option<(&Guard, &Arc<VerifiedToken>)>,
) -> Option<watch::Receiver<bool>> {
    let session = session.map(|(bff, session)| bff.session_end(session));
    let Some((guard, token)) = permitted else {
        return session;
    };
    let (over, end) = watch::channel(false);
    let (guard, token) = (guard.clone(), Arc::clone(token));
    tokio::spawn(async move {
        let session = async {
            match session {
                // A sender that is gone is an end too.
                Some(mut session) => drop(session.wait_for(|over| *over).await),
                None => std::future::pending().await,
            }
        };
        let revoked = async {
            while !guard.is_revoked(&token) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let ended = async {
            // The very call may have brought the end about, and its answer be all there.
            tokio::time::sleep(LOOK_EVERY).await;
            tokio::select! {
                () = session => {}
                () = revoked => {}
            }
        };
        tokio::select! {
            () = over.closed() => {}
            () = ended => drop(over.send(true)),
        }
    });
    Some(end)
}
