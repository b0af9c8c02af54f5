//! What a [`Forwarder`](crate::Forwarder) can be told.

use std::time::Duration;

use crate::address::IpRange;

/// Settings of a [`Forwarder`](crate::Forwarder). The default is the strict choice for each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Peers whose `X-Forwarded-*` and `Forwarded` are believed. Default: nobody's.
    pub trusted_proxies: Vec<IpRange>,
    /// Forwards headers with `_` in their names. Default: dropped, as many upstreams take `_` and `-` for the same.
    /// A spelling of a header that is removed or set is dropped in any case.
    pub allow_underscores: bool,
    /// Tokens of `Upgrade` that are forwarded, in lower case. Default: `websocket`. Others are ignored.
    pub upgrades: Vec<String>,
    /// Idle connections kept for each upstream.
    pub idle_connections: usize,
    /// How long an idle connection to an upstream is kept.
    pub idle_connection_time: Duration,
    /// Which certificates of upstreams are believed.
    pub trust: Trust,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            trusted_proxies: Vec::new(),
            allow_underscores: false,
            upgrades: vec![String::from("websocket")],
            idle_connections: 256,
            idle_connection_time: Duration::from_secs(60),
            trust: Trust::Platform,
        }
    }
}

/// Whose certificates are believed when the upstream is `https`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// The operating system's authorities.
    #[default]
    Platform,
    /// Only these authorities: certificates in PEM.
    Only(String),
}

/// Time-outs of one upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Until the connection stands. Default: 2 s.
    pub connect: Duration,
    /// From the last byte of the request until the answer's head. Default: 30 s.
    pub response_header: Duration,
    /// Silence in the answer's body, or in both directions of an upgraded connection. Default: 5 minutes.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(2),
            response_header: Duration::from_secs(30),
            idle: Duration::from_secs(300),
        }
    }
}
