//! Where the addresses in a provider's documents may lead: not into the network that we run in.
//!
//! A discovery document can name `https://169.254.169.254/` as the place of its keys, or a name that the DNS resolves to
//! the machine next door. Whoever controls the document would have us send requests, and a client's secret, there.

use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

use crate::HttpError;

type BoxError = Box<dyn Error + Send + Sync>;

/// Resolves names, and says which addresses may be connected to.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    dns: GaiResolver,
    /// Hosts that the configuration names; they may be anywhere. `None`: every host may.
    named: Option<Arc<[String]>>,
}

/// Who can be behind an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// Everybody.
    Public,
    /// RFC 1918, RFC 4193, RFC 6598, RFC 2544
    Private,
    /// This machine.
    Loopback,
    /// Link-local (where clouds have their metadata), unspecified, multicast: no provider is there.
    Nobody,
}

// === impl Reach ===

impl Reach {
    pub(crate) fn anywhere() -> Reach {
        Reach {
            dns: GaiResolver::new(),
            named: None,
        }
    }

    /// Hosts other than these only at public addresses, or where one of these is at an address of the same zone.
    pub(crate) fn beside(hosts: &[String]) -> Reach {
        Reach {
            named: Some(hosts.iter().map(|host| bare(host)).collect()),
            ..Reach::anywhere()
        }
    }

    /// Judges the host of a URL where it is an address: names are judged when they are resolved.
    pub(crate) async fn check(&mut self, host: &str) -> Result<(), BoxError> {
        let host = bare(host);
        match host.parse() {
            Ok(address) => self.permitted(&host, vec![address]).await.map(drop),
            Err(_) => Ok(()),
        }
    }

    async fn permitted(&mut self, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, BoxError> {
        let Some(named) = self.named.clone() else {
            return Ok(found);
        };
        let inside = found.iter().copied().find(|address| zone(*address) != Zone::Public);
        let Some(inside) = inside.filter(|_| !named.iter().any(|name| name == host)) else {
            return Ok(found);
        };
        let mut zones = Vec::new();
        for name in &*named {
            for address in self.addresses(name).await.unwrap_or_default() {
                zones.push(zone(address));
            }
        }
        let permitted = |address: &IpAddr| match zone(*address) {
            Zone::Public => true,
            Zone::Nobody => false,
            other => zones.contains(&other),
        };
        let permitted: Vec<IpAddr> = found.into_iter().filter(permitted).collect();
        if permitted.is_empty() {
            let (host, address) = (host.to_owned(), inside);
            return Err(HttpError::Inside { host, address }.into());
        }
        Ok(permitted)
    }

    async fn addresses(&mut self, host: &str) -> Result<Vec<IpAddr>, BoxError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let found = self.dns.call(host.parse::<Name>()?).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

impl Service<Name> for Reach {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let mut reach = self.clone();
        Box::pin(async move {
            let host = bare(name.as_str());
            let found = reach.addresses(&host).await?;
            // What was judged is what is connected to: the name is not resolved again. The connector sets the port.
            let permitted = reach.permitted(&host, found).await?;
            let addresses: Vec<_> = permitted.into_iter().map(|address| (address, 0).into()).collect();
            Ok(addresses.into_iter())
        })
    }
}

/// A host as it is compared: without the brackets of IPv6, in lower case.
fn bare(host: &str) -> String {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.to_ascii_lowercase()
}

fn zone(address: IpAddr) -> Zone {
    match address {
        IpAddr::V4(address) => zone_v4(address),
        IpAddr::V6(address) => zone_v6(address),
    }
}

fn zone_v4(address: Ipv4Addr) -> Zone {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        (127, ..) => Zone::Loopback,
        (10, ..) | (172, 16..=31, _) | (192, 168, _) | (100, 64..=127, _) | (198, 18..=19, _) => Zone::Private,
        (0, ..) | (169, 254, _) | (192, 0, 0) | (224.., ..) => Zone::Nobody,
        _ => Zone::Public,
    }
}

fn zone_v6(address: Ipv6Addr) -> Zone {
    // RFC 4291 s2.5.5.2 and RFC 6052 s2.1: an IPv4 address in other clothes.
    let [.., high, low] = address.segments();
    let embedded = Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Zone::Loopback,
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => zone_v4(embedded),
        // RFC 8215: translation within a network, wherever in the address the other one is; RFC 4380: Teredo.
        [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] => Zone::Nobody,
        // RFC 3056 s2: 6to4.
        [0x2002, high, low, ..] => zone_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        [0xfc00..=0xfdff, ..] => Zone::Private,
        [0, ..] | [0xfe80..=0xfeff, ..] | [0xff00..=0xffff, ..] => Zone::Nobody,
        _ => Zone::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        for (zone_expected, addresses) in [
            (
                Zone::Public,
                &[
                    "8.8.8.8",
                    "172.32.0.1",
                    "100.128.0.1",
                    "2606:4700::1111",
                    "::ffff:8.8.8.8",
                    "2002:808:808::1",
                ][..],
            ),
            (
                Zone::Private,
                &[
                    "10.0.0.1",
                    "172.31.255.255",
                    "192.168.1.1",
                    "100.64.0.1",
                    "fd00::1",
                    "::ffff:10.0.0.1",
                    "64:ff9b::a00:1",
                    "2002:a00:1::1",
                ],
            ),
            (Zone::Loopback, &["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]),
            (
                Zone::Nobody,
                &[
                    "169.254.169.254",
                    "0.0.0.0",
                    "::",
                    "fe80::1",
                    "224.0.0.1",
                    "255.255.255.255",
                    "ff02::1",
                    "64:ff9b:1::a00:1",
                    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                    "::ffff:169.254.1.1",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(zone(address.parse().unwrap()), zone_expected, "{address}");
            }
        }
    }

    async fn judged(named: &[&str], host: &str) -> Result<(), String> {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let mut reach = Reach::beside(&named);
        reach.check(host).await.map_err(|error| error.to_string())?;
        if let Ok(name) = host.parse::<Name>() {
            reach.call(name).await.map(drop).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_document_leads_to_public_addresses_and_to_hosts_that_are_named() {
        let public = &["203.0.113.7"][..];
        for inside in [
            "169.254.169.254",
            "10.0.0.1",
            "127.0.0.1",
            "[::1]",
            "[fd00::1]",
            "localhost",
        ] {
            let refused = judged(public, inside).await.unwrap_err();
            assert!(refused.contains("inside the network"), "{refused}");
            assert_eq!(
                judged(&["203.0.113.7", inside], inside).await,
                Ok(()),
                "{inside} is named"
            );
        }
        assert_eq!(judged(public, "198.51.100.1").await, Ok(()));
        // Inside by itself, it may have its parts on other machines there, yet not on this one.
        assert_eq!(judged(&["10.1.1.1"], "192.168.0.9").await, Ok(()));
        assert_eq!(judged(&["localhost"], "127.0.0.1").await, Ok(()));
        for other in ["127.0.0.1", "169.254.169.254"] {
            assert!(judged(&["10.1.1.1"], other).await.is_err(), "{other}");
        }
    }
}
