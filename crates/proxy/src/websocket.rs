//! The end of a WebSocket that is cut off: the client is told why (RFC 6455 s7.4.1), which needs the place between two
//! frames. What is in them is not looked at.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};

/// A client that takes nothing is not waited for: a session's end is that of its streams within a second.
const PATIENCE: Duration = Duration::from_millis(250);
/// An unmasked close frame with two bytes (RFC 6455 s5.2, s5.5.1).
const CLOSE: [u8; 2] = [0x88, 2];
const OPCODE_CLOSE: u8 = 8;

/// Why it is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// What permitted it is over: `1008`, policy violation.
    NotPermitted,
    /// The gateway ends: `1001`, going away. Another one takes the client.
    GoingAway,
}

/// The way to the client, which knows where a frame ends.
pub(crate) struct ToClient<W> {
    inner: W,
    /// `None` where it is not a WebSocket.
    frames: Option<Frames>,
}

/// Where in the frames of one direction we are.
#[derive(Debug, Default)]
struct Frames {
    head: Vec<u8>,
    /// What is still to come of the frame's content.
    content: u64,
    /// Whether a close frame has begun: nothing comes after it.
    closes: bool,
}

// === impl Goodbye ===

impl Goodbye {
    fn code(self) -> u16 {
        match self {
            Goodbye::NotPermitted => 1008,
            Goodbye::GoingAway => 1001,
        }
    }
}

// === impl ToClient ===

impl<W: AsyncWrite + Unpin> ToClient<W> {
    pub(crate) fn new(inner: W, is_websocket: bool) -> ToClient<W> {
        let frames = is_websocket.then(Frames::default);
        ToClient { inner, frames }
    }

    /// Tells the client why its WebSocket ends, where a frame can be sent now, and ends it.
    pub(crate) async fn say(mut self, goodbye: Goodbye) {
        let close = async {
            if self.frames.as_ref().is_some_and(Frames::is_between) {
                self.inner.write_all(&CLOSE).await?;
                self.inner.write_all(&goodbye.code().to_be_bytes()).await?;
                self.inner.flush().await?;
            }
            self.inner.shutdown().await
        };
        // It is gone, or it is told: both are its end.
        let _: Result<io::Result<()>, _> = tokio::time::timeout(PATIENCE, close).await;
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for ToClient<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = written
            && let Some(frames) = &mut self.frames
        {
            frames.pass(bytes.get(..count).unwrap_or_default());
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

// === impl Frames ===

impl Frames {
    /// Whether a frame of ours can be sent now.
    fn is_between(&self) -> bool {
        self.head.is_empty() && self.content == 0 && !self.closes
    }

    fn pass(&mut self, mut bytes: &[u8]) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.content > 0 {
                let here = usize::try_from(self.content).unwrap_or(usize::MAX).min(bytes.len());
                self.content -= here as u64;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            self.head.push(first);
            bytes = rest;
            if let Some(content) = content(&self.head) {
                self.closes |= self.head.first().is_some_and(|first| first & 0x0f == OPCODE_CLOSE);
                self.content = content;
                self.head.clear();
            }
        }
    }
}

/// The length of a frame's content, once its head is all there (RFC 6455 s5.2).
fn content(head: &[u8]) -> Option<u64> {
    let (_, rest) = head.split_first()?;
    let (&second, rest) = rest.split_first()?;
    let mask = usize::from(second >> 7) * 4;
    let (length, given) = match second & 0x7f {
        126 => (
            2,
            rest.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes).into()),
        ),
        127 => (8, rest.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))),
        small => (0, Some(u64::from(small))),
    };
    given.filter(|_| rest.len() == length + mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of each kind of length, some masked, and the places between them.
    fn frames() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut between) = (Vec::new(), vec![0]);
        for (length, masked) in [
            (0_usize, false),
            (5, true),
            (125, false),
            (126, true),
            (65_535, false),
            (65_536, true),
        ] {
            let mask = if masked { 0x80 } else { 0 };
            bytes.push(0x82);
            match length {
                0..126 => bytes.push(mask | length as u8),
                126..65_536 => {
                    bytes.push(mask | 126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(mask | 127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.extend(vec![0x88; length + if masked { 4 } else { 0 }]);
            between.push(bytes.len());
        }
        (bytes, between)
    }

    #[test]
    fn frames_end_where_they_end_however_they_are_cut() {
        let (bytes, between) = frames();
        for step in [1, 2, 3, 7, 4_096, bytes.len()] {
            let (mut found, mut place) = (Frames::default(), 0);
            for part in bytes.chunks(step) {
                assert_eq!(found.is_between(), between.contains(&place), "{place} by {step}");
                found.pass(part);
                place += part.len();
            }
            assert!(found.is_between());
        }
    }

    #[tokio::test]
    async fn the_goodbye_stands_between_frames_alone() {
        let between = |sent: &'static [u8]| async move {
            let mut written = Vec::new();
            let mut client = ToClient::new(&mut written, true);
            client.write_all(sent).await.unwrap();
            client.say(Goodbye::GoingAway).await;
            written.split_off(sent.len())
        };
        let close = [0x88, 2, 0x03, 0xe9];
        assert_eq!(between(&[]).await, close);
        assert_eq!(between(&[0x81, 2, b'h', b'i']).await, close);
        assert_eq!(between(&[0x81, 2, b'h']).await, [0; 0], "in the middle of a frame");
        assert_eq!(between(&[0x81]).await, [0; 0], "in the middle of a head");
        assert_eq!(
            between(&[0x88, 2, 0x03, 0xe8]).await,
            [0; 0],
            "the upstream has said it"
        );

        let mut written = Vec::new();
        ToClient::new(&mut written, false).say(Goodbye::NotPermitted).await;
        assert!(written.is_empty(), "another protocol");
    }
}
