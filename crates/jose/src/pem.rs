//! PEM blocks (RFC 7468). What is inside of them is read by the cryptographic library.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::KeyError;

const NOT_PEM: KeyError = KeyError::Unreadable {
    form: "a PEM text (blocks from \"-----BEGIN ...-----\" to \"-----END ...-----\")",
};

/// One block. The bytes may be a private key, so they are zeroed.
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// Every block of `text`, at least one. What stands between blocks explains them and is passed over (RFC 7468 s2).
pub(crate) fn blocks(text: &str) -> Result<Vec<Block<'_>>, KeyError> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let (label, body) = begun.split_once("-----").ok_or(NOT_PEM)?;
        let (body, after) = body.split_once("-----END ").ok_or(NOT_PEM)?;
        rest = after
            .strip_prefix(label)
            .and_then(|after| after.strip_prefix("-----"))
            .ok_or(NOT_PEM)?;
        // An encrypted block of the old form has header lines, whose colon is no base64.
        let letters: Zeroizing<Vec<u8>> = body
            .bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect::<Vec<_>>()
            .into();
        let der = STANDARD.decode(&*letters).map(Zeroizing::new).map_err(|_| NOT_PEM)?;
        blocks.push(Block { label, der });
    }
    if blocks.is_empty() { Err(NOT_PEM) } else { Ok(blocks) }
}

/// Writes one block, in lines of 64 letters.
pub(crate) fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(String::with_capacity(body.len() * 66 / 64 + 80));
    pem.push_str(&format!("-----BEGIN {label}-----\n"));
    for line in body.as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Vec<(&str, Vec<u8>)>> {
        let blocks = blocks(text).ok()?;
        Some(
            blocks
                .into_iter()
                .map(|block| (block.label, block.der.to_vec()))
                .collect(),
        )
    }

    #[test]
    fn blocks_are_read_in_order_and_text_around_them_is_passed_over() {
        let text = format!(
            "subject=x\r\n{}\n# two\n{}",
            &*write("A B", &[1; 100]),
            &*write("C", b"")
        )
        .replace('\n', "\r\n");
        assert_eq!(read(&text), Some(vec![("A B", vec![1; 100]), ("C", vec![])]));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in [
            "",
            "AQ==",
            "-----BEGIN A-----",
            "-----BEGIN A-----\nAQ==\n",
            "-----BEGIN A-----\nAQ==\n-----END B-----",
            "-----BEGIN A-----\nAR==\n-----END A-----",
            "-----BEGIN A-----\nA_==\n-----END A-----",
            "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nAQ==\n-----END A-----",
            "-----BEGIN A----\nAQ==\n-----END A----",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
