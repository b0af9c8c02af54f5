//! Where a call comes from, behind proxies that say so.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::config::Network;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of who calls: that of the connection, or where it is a proxy's that is trusted, the last one of its
/// `X-Forwarded-For` that is not a trusted proxy's too. What stands before that was said by nobody who is trusted.
pub(super) fn client_address(headers: &HeaderMap, peer: IpAddr, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let mut named = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut client = peer;
    while is_trusted(client) {
        match named.next().and_then(read) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// An address, also with a port.
fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let address = text.parse().ok();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    address.or_else(bracketed).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trusted_proxy_is_believed_and_what_stands_before_is_not() {
        let trusted = ["10.0.0.0/8", "::1"].map(|network| Network::parse(network).unwrap());
        for (peer, lines, expected) in [
            ("203.0.113.9", &["198.51.100.7"][..], "203.0.113.9"),
            ("10.1.2.3", &[], "10.1.2.3"),
            ("10.1.2.3", &["198.51.100.7"], "198.51.100.7"),
            ("10.1.2.3", &["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
            ("10.1.2.3", &["6.6.6.6, 198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            ("10.1.2.3", &["6.6.6.6", "198.51.100.7,10.9.9.9"], "198.51.100.7"),
            ("::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("::ffff:10.1.2.3", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.1.2.3", &["6.6.6.6, unknown"], "10.1.2.3"),
            ("10.1.2.3", &["6.6.6.6, "], "10.1.2.3"),
            ("10.1.2.3", &["10.2.2.2, 10.3.3.3"], "10.2.2.2"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(X_FORWARDED_FOR, http::HeaderValue::from_static(line));
            }
            let found = client_address(&headers, peer.parse().unwrap(), &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }
}
