//! Nonces that this server gives out (RFC 9449 s9): the number of a period, sealed. Nothing is stored.

use std::sync::Arc;

use http::HeaderValue;
use portcullis_jose::{UnixTime, base64url_decode, base64url_encode};
use portcullis_store::{KeyRing, SealError, Sealer, SealingKey};

const PURPOSE: &str = "dpop nonce";
const DEFAULT_PERIOD: i64 = 300;
/// Ours have 55 characters.
const MAX_NONCE: usize = 128;

/// Nonces for DPoP proofs. Each is good for the period in which it was given out, and the one after it.
#[derive(Clone, Debug)]
pub struct DpopNonces {
    sealer: Arc<Sealer>,
    period: i64,
}

// === impl DpopNonces ===

impl DpopNonces {
    /// For a service with one replica: nobody else knows the key, and a restart asks each client for a new nonce once.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn of_this_process() -> Result<DpopNonces, SealError> {
        let ring = KeyRing::from_keys(vec![SealingKey::generate()]).map_err(|_| SealError::Crypto)?;
        DpopNonces::of_keys(&ring)
    }

    /// For replicas that share this ring: each accepts the others' nonces.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn of_keys(ring: &KeyRing) -> Result<DpopNonces, SealError> {
        Ok(DpopNonces {
            sealer: Arc::new(Sealer::new(ring, PURPOSE)?),
            period: DEFAULT_PERIOD,
        })
    }

    /// Takes over another ring, in all clones; see [`Sealer::rekey`].
    ///
    /// # Errors
    /// The cryptographic library failed; the keys of before stay then.
    pub fn rekey(&self, ring: &KeyRing) -> Result<(), SealError> {
        self.sealer.rekey(ring)
    }

    /// How long a period is, in seconds: 300 by default, at least 10.
    #[must_use]
    pub fn period(self, seconds: i64) -> DpopNonces {
        DpopNonces {
            period: seconds.max(10),
            ..self
        }
    }

    pub(super) fn current(&self, now: UnixTime) -> Option<HeaderValue> {
        let number = self.number(now).to_be_bytes();
        let sealed = self.sealer.seal(&[], &number).ok()?;
        HeaderValue::from_str(&base64url_encode(&sealed)).ok()
    }

    /// Replicas' clocks differ: one may be in the next period already.
    pub(super) fn accepts(&self, nonce: &str, now: UnixTime) -> bool {
        let number = self.number(now);
        self.opened(nonce)
            .is_some_and(|given_out| (number - 1..=number + 1).contains(&given_out))
    }

    pub(super) fn is_current(&self, nonce: &str, now: UnixTime) -> bool {
        self.opened(nonce)
            .is_some_and(|given_out| given_out >= self.number(now))
    }

    fn opened(&self, nonce: &str) -> Option<i64> {
        if nonce.len() > MAX_NONCE {
            return None;
        }
        let opened = self.sealer.open(&[], &base64url_decode(nonce)?).ok()?;
        Some(i64::from_be_bytes(opened.plaintext.as_slice().try_into().ok()?))
    }

    fn number(&self, now: UnixTime) -> i64 {
        now.as_secs().div_euclid(self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + seconds)
    }

    fn given(nonces: &DpopNonces, at: UnixTime) -> String {
        nonces.current(at).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_nonce_is_good_for_its_period_and_the_next() {
        let nonces = DpopNonces::of_this_process().unwrap();
        let nonce = given(&nonces, at(0));
        for (seconds, accepted, current) in [
            (0, true, true),
            (299, true, true),
            (300, true, false),
            (599, true, false),
            (600, false, false),
        ] {
            assert_eq!(nonces.accepts(&nonce, at(seconds)), accepted, "{seconds}");
            assert_eq!(nonces.is_current(&nonce, at(seconds)), current, "{seconds}");
        }
        // A replica whose clock is ahead.
        assert!(nonces.accepts(&given(&nonces, at(300)), at(299)));
        assert!(!nonces.accepts(&given(&nonces, at(600)), at(299)));
    }

    #[test]
    fn a_new_ring_is_taken_over_by_all_clones() {
        let ring = |keys| KeyRing::from_keys(keys).unwrap();
        let key = |start: &str| SealingKey::parse(&format!("{start}{}", "1a".repeat(31))).unwrap();
        let (old, new) = ("00", "ff");
        let nonces = DpopNonces::of_keys(&ring(vec![key(old)])).unwrap();
        let (clone, before) = (nonces.clone(), given(&nonces, at(0)));
        nonces.rekey(&ring(vec![key(new), key(old)])).unwrap();
        assert!(clone.accepts(&before, at(0)), "the old key still opens");
        let after = given(&clone, at(0));
        let other = DpopNonces::of_keys(&ring(vec![key(new)])).unwrap();
        assert!(other.accepts(&after, at(0)), "the new key seals");
        assert!(!other.accepts(&before, at(0)));
    }

    #[test]
    fn nobody_else_makes_one() {
        let nonces = DpopNonces::of_this_process().unwrap();
        let other = DpopNonces::of_this_process().unwrap();
        let nonce = given(&nonces, at(0));
        assert!(!other.accepts(&nonce, at(0)));
        for bad in ["", "6000000", &nonce[1..], &format!("{nonce}A"), &"A".repeat(20_000)] {
            assert!(!nonces.accepts(bad, at(0)), "{bad}");
        }
        let ring = KeyRing::from_keys(vec![SealingKey::generate()]).unwrap();
        let (one, two) = (DpopNonces::of_keys(&ring).unwrap(), DpopNonces::of_keys(&ring).unwrap());
        assert!(two.accepts(&given(&one, at(0)), at(0)));
        // What was sealed with the same ring for something else is no nonce.
        let session = Sealer::new(&ring, "session").unwrap();
        let sealed = session.seal(&[], &6_000_000_i64.to_be_bytes()).unwrap();
        assert!(!one.accepts(&base64url_encode(&sealed), at(0)));
    }
}
