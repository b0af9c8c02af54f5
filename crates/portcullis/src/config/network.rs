//! Networks, as proxies are named by.

use std::fmt;
use std::net::IpAddr;

/// An IP network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    /// Of 128 bits: an IPv4 address stands in the IPv6 network `::ffff:0:0/96`.
    bits: u32,
}

// === impl Network ===

impl Network {
    /// `10.0.0.0/8`, `2001:db8::/32`, or one address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u32>().ok()?))
            }
            Some(_) => return None,
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let (most, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = bits.unwrap_or(most);
        (bits <= most).then(|| Network {
            address: number(address),
            bits: before + bits,
        })
    }

    /// Whether an address lies in this network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = self.address ^ number(address);
        // 128 is no shift: every address lies in a network of 0 bits.
        differing.checked_shr(128 - self.bits).unwrap_or(0) == 0
    }

    /// Whether every address of its family lies in it.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        let mapped = std::net::Ipv6Addr::from(self.address).to_ipv4_mapped().is_some();
        self.bits == 0 || (mapped && self.bits <= 96)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = std::net::Ipv6Addr::from(self.address);
        match address.to_ipv4_mapped().filter(|_| self.bits >= 96) {
            Some(address) => write!(f, "{address}/{}", self.bits - 96),
            None => write!(f, "{address}/{}", self.bits),
        }
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_inside_or_not() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.1", "9.255.255.255"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1/32", "::ffff:127.0.0.1", "::1"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        for (network, everybody) in [
            ("0.0.0.0/0", true),
            ("::/0", true),
            ("0.0.0.0/1", false),
            ("fd00::/8", false),
        ] {
            assert_eq!(Network::parse(network).unwrap().is_everybody(), everybody, "{network}");
        }
        assert!(Network::parse("::/0").unwrap().contains("1.2.3.4".parse().unwrap()));
        assert_eq!(Network::parse("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(Network::parse("2001:db8::/32").unwrap().to_string(), "2001:db8::/32");
    }

    #[test]
    fn what_is_no_network_is_none() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "localhost",
            "*",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
