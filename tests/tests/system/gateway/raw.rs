//! HTTP/1.1 written by hand, for what no well-behaved client sends.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Something hangs when an answer takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// A connection of our own.
pub(super) struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Reply {
    /// The value of a header that is there once; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [] => "",
            [value] => value,
            ref values => panic!("{name} is there {} times", values.len()),
        }
    }

    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Status, type and code of a problem document that carries the request's id, as every error must be.
    pub(super) fn problem(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(json["status"], self.status, "{self:?}");
        assert_eq!(json["request_id"], self.header("x-request-id"), "{self:?}");
        (self.status, json["code"].as_str().unwrap().to_owned())
    }

    pub(super) fn parse(text: &str) -> Reply {
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        Reply {
            status: status.unwrap_or_else(|| panic!("no status: {head}")),
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }
}

impl Raw {
    pub(super) async fn connect(address: SocketAddr) -> Raw {
        Raw {
            stream: TcpStream::connect(address).await.unwrap(),
            read: Vec::new(),
        }
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads up to and with this text, and returns what was read.
    pub(super) async fn until(&mut self, text: &str) -> String {
        let found = async {
            loop {
                let read = String::from_utf8_lossy(&self.read).into_owned();
                if let Some((before, after)) = read.split_once(text) {
                    self.read = after.as_bytes().to_vec();
                    return format!("{before}{text}");
                }
                let count = self.stream.read_buf(&mut self.read).await.unwrap();
                assert!(count > 0, "the connection ended before {text:?}: {read:?}");
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("{text:?} does not come"))
    }

    /// The head of the next answer.
    pub(super) async fn head(&mut self) -> Reply {
        Reply::parse(&self.until("\r\n\r\n").await)
    }

    /// All until the connection's end, also where it is broken off.
    pub(super) async fn end(&mut self) -> String {
        String::from_utf8_lossy(&self.end_bytes().await).into_owned()
    }

    /// The same as bytes.
    pub(super) async fn end_bytes(&mut self) -> Vec<u8> {
        let end = self.stream.read_to_end(&mut self.read);
        let _ = tokio::time::timeout(PATIENCE, end).await.expect("the connection ends");
        std::mem::take(&mut self.read)
    }

    /// All until the connection's end.
    pub(super) async fn rest(&mut self) -> String {
        let end = self.stream.read_to_end(&mut self.read);
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("the connection ends")
            .unwrap();
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}

/// Sends text as it is, and reads the answer until the connection's end.
pub(super) async fn exchange_text(address: SocketAddr, text: &str) -> Reply {
    let mut raw = Raw::connect(address).await;
    raw.send(text).await;
    Reply::parse(&raw.rest().await)
}

/// Sends one request, whose connection ends after it.
pub(super) async fn exchange(
    address: SocketAddr,
    method: &str,
    target: &str,
    host: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    if !body.is_empty() {
        write!(text, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    exchange_text(address, &format!("{text}\r\n{body}")).await
}
