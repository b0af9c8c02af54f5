//! Ranges of addresses, for naming the proxies in front of us.

use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    first: u128,
    bits: u32,
    v4: bool,
}

/// The text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address and no range of addresses such as `10.0.0.0/8`")]
pub struct IpRangeError(String);

impl IpRange {
    /// Whether `address` lies in the range. An IPv4 address that is written as IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (value, v4) = number(address);
        v4 == self.v4 && value & mask(self.bits, v4) == self.first
    }
}

impl FromStr for IpRange {
    type Err = IpRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || IpRangeError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| error())?;
        let (value, v4) = number(address);
        let width = if v4 { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(error)?,
            None => width,
        };
        // Bits beyond the mask are a typing mistake that would trust other addresses than the author means.
        if value & mask(bits, v4) != value {
            return Err(error());
        }
        Ok(IpRange { first: value, bits, v4 })
    }
}

fn number(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u128::from(address.to_bits()), true),
        IpAddr::V6(address) => (address.to_bits(), false),
    }
}

fn mask(bits: u32, v4: bool) -> u128 {
    let width: u32 = if v4 { 32 } else { 128 };
    let host_bits = width.saturating_sub(bits);
    u128::MAX.checked_shl(host_bits).unwrap_or(0) & if v4 { u128::from(u32::MAX) } else { u128::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_only() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/25", "::ffff:192.0.2.127", "192.0.2.128"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("::/0", "::1", "127.0.0.1"),
        ] {
            let range: IpRange = range.parse().unwrap();
            assert!(range.contains(inside.parse().unwrap()), "{range:?} {inside}");
            assert!(!range.contains(outside.parse().unwrap()), "{range:?} {outside}");
        }
    }

    #[test]
    fn a_mistake_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/-1",
            "10.0.0",
            "proxy.test",
            "::/129",
        ] {
            assert!(text.parse::<IpRange>().is_err(), "{text}");
        }
    }
}
