use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// `N` bytes from the operating system's generator.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "without randomness nothing here is safe; aws-lc aborts on its own in practice"
)]
pub fn random_array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system's random generator answers");
    bytes
}

/// A random value of `n_bytes` bytes as base64url text; 32 bytes make 43 characters.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "without randomness nothing here is safe; aws-lc aborts on its own in practice"
)]
pub fn random_token(n_bytes: usize) -> String {
    let mut bytes = vec![0; n_bytes];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system's random generator answers");
    base64url_encode(&bytes)
}

/// SHA-256 of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data).as_ref());
    out
}

/// Base64url without padding (RFC 7515 s2).
#[must_use]
pub fn base64url_encode(data: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(data)
}

/// Decodes base64url strictly: no padding, no white space, no spare bits; `None` if it is anything else.
#[must_use]
pub fn base64url_decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Whether two byte strings are equal, in a time that depends on their lengths alone.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_canonical() {
        assert_eq!(base64url_decode("AQ").as_deref(), Some(&[1][..]));
        for lax in ["AQ==", "AR", "A Q", "AQ\n", "+/", "A"] {
            assert_eq!(base64url_decode(lax), None, "{lax:?}");
        }
    }

    #[test]
    fn tokens_have_the_asked_length_and_differ() {
        assert_eq!(random_token(32).len(), 43);
        assert_ne!(random_token(32), random_token(32));
    }
}
