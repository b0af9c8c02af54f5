//! What stands between gateways and provider, and can hold a refresh on its way there or back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    Nothing,
    /// The provider does not see the request.
    Request,
    /// The provider has answered; the gateway does not see the answer.
    Answer,
}

/// A relay of single requests: it ends each connection after the answer.
pub(super) struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    to: Mutex<Option<SocketAddr>>,
    hold: watch::Sender<Hold>,
    /// How many refreshes were held.
    held: watch::Sender<usize>,
    lost: AtomicBool,
}

impl Relay {
    pub(super) async fn start() -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            to: Mutex::new(None),
            hold: watch::Sender::new(Hold::Nothing),
            held: watch::Sender::new(0),
            lost: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever goes away ends it.
                tokio::spawn(pass_on(stream, Arc::clone(&shared)));
            }
        });
        Relay { address, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn leads_to(&self, address: SocketAddr) {
        *self.state.to.lock().unwrap() = Some(address);
    }

    /// From now on refreshes are held there. Those that are held go on when nothing is held any more.
    pub(super) fn hold(&self, hold: Hold) {
        self.state.hold.send_replace(hold);
    }

    /// Requests that are held go nowhere: whoever sent them is gone.
    pub(super) fn lose(&self) {
        self.state.lost.store(true, Ordering::Relaxed);
    }

    pub(super) async fn until_held(&self) {
        let mut held = self.state.held.subscribe();
        let wait = held.wait_for(|count| *count > 0);
        tokio::time::timeout(super::START, wait)
            .await
            .expect("a refresh gets here")
            .unwrap();
    }
}

async fn pass_on(mut from: TcpStream, state: Arc<State>) -> Option<()> {
    let request = read(&mut from).await?;
    let text = String::from_utf8_lossy(&request);
    let refresh = text.starts_with("POST /token") && text.contains("grant_type=refresh_token");
    let stop = async |here: Hold| {
        let held = refresh && *state.hold.borrow() == here;
        if held {
            state.held.send_modify(|count| *count += 1);
            let _ = state.hold.subscribe().wait_for(|hold| *hold != here).await;
        }
        held
    };
    if stop(Hold::Request).await && state.lost.load(Ordering::Relaxed) {
        return None;
    }
    let to = (*state.to.lock().unwrap())?;
    let mut to = TcpStream::connect(to).await.ok()?;
    to.write_all(&closing(&request)).await.ok()?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer).await.ok()?;
    stop(Hold::Answer).await;
    from.write_all(&answer).await.ok()?;
    from.shutdown().await.ok()
}

/// One request, by its `Content-Length`.
async fn read(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 16 * 1024];
        let count = from.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&piece[..count]);
        let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
        if request.len() >= end + 4 + length {
            return Some(request);
        }
    }
}

/// The same request, which asks for the connection's end.
fn closing(request: &[u8]) -> Vec<u8> {
    let line = request.windows(2).position(|window| window == b"\r\n").unwrap() + 2;
    [&request[..line], b"Connection: close\r\n", &request[line..]].concat()
}
