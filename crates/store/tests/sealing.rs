//! Sealing: what opens, and everything that does not.
#![expect(clippy::unwrap_used, reason = "helpers of tests are outside a test for the lint")]

use std::fs;

use portcullis_store::{KeyRing, KeyRingError, SealError, Sealer, SealingKey};
use tempfile::TempDir;

const OLD: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn ring(keys: &[&str]) -> KeyRing {
    KeyRing::from_keys(keys.iter().map(|key| SealingKey::parse(key).unwrap()).collect()).unwrap()
}

fn sealer(keys: &[&str], purpose: &str) -> Sealer {
    Sealer::new(&ring(keys), purpose).unwrap()
}

#[test]
fn what_was_sealed_opens() {
    let sealer = sealer(&[OLD], "session");
    for plaintext in [&b""[..], b"x", &[0; 5_000]] {
        let sealed = sealer.seal(b"row", plaintext).unwrap();
        let opened = sealer.open(b"row", &sealed).unwrap();
        assert_eq!(opened.plaintext.as_slice(), plaintext);
        assert!(!opened.needs_reseal);
        // Version, key identifier, nonce, tag (RFC 8452 s6).
        assert_eq!(sealed.len(), plaintext.len() + 1 + 4 + 12 + 16);
    }
}

#[test]
fn the_same_sealed_twice_differs() {
    let sealer = sealer(&[OLD], "session");
    assert_ne!(
        sealer.seal(b"row", b"text").unwrap(),
        sealer.seal(b"row", b"text").unwrap()
    );
}

#[test]
fn it_opens_at_its_own_place_and_for_its_own_purpose_only() {
    let session = sealer(&[OLD], "session");
    let sealed = session.seal(b"row 1", b"text").unwrap();
    for place in [&b"row 2"[..], b"", b"row 1 "] {
        assert_eq!(session.open(place, &sealed).unwrap_err(), SealError::NotAuthentic);
    }
    for purpose in ["login", "", "sessio", "sessionr"] {
        let other = sealer(&[OLD], purpose);
        assert_eq!(
            other.open(b"row 1", &sealed).unwrap_err(),
            SealError::NotAuthentic,
            "{purpose}"
        );
    }
    assert!(session.open(b"row 1", &sealed).is_ok());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let sealer = sealer(&[OLD], "session");
    let sealed = sealer.seal(b"row", b"text").unwrap();
    for index in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[index / 8] ^= 1 << (index % 8);
        let error = sealer.open(b"row", &changed).unwrap_err();
        let expected = match index / 8 {
            0 => "seal.unknown_version",
            1..=4 => "seal.unknown_key",
            _ => "seal.not_authentic",
        };
        assert_eq!(error.code(), expected, "bit {index}");
    }
}

#[test]
fn every_truncation_and_extension_is_noticed() {
    let sealer = sealer(&[OLD], "session");
    let mut sealed = sealer.seal(b"row", b"text").unwrap();
    for length in 0..sealed.len() {
        let error = sealer.open(b"row", &sealed[..length]).unwrap_err();
        let expected = if length < 33 {
            "seal.truncated"
        } else {
            "seal.not_authentic"
        };
        assert_eq!(error.code(), expected, "{length} bytes");
    }
    sealed.push(0);
    assert_eq!(sealer.open(b"row", &sealed).unwrap_err(), SealError::NotAuthentic);
}

#[test]
fn there_is_no_other_format_to_fall_back_to() {
    let sealer = sealer(&[OLD], "session");
    for bytes in [
        &b"{\"sub\":\"alice\",\"access_token\":\"plain text of an older program\"}"[..],
        &[0; 40],
        &[2; 40],
    ] {
        assert_eq!(sealer.open(b"row", bytes).unwrap_err().code(), "seal.unknown_version");
    }
}

/// What a released version has sealed must open in all later ones. Python's `cryptography` opens it too, with the key
/// and the associated data put together by hand.
#[test]
fn the_format_is_stable() {
    let sealed = [
        0x01, 0x84, 0xe6, 0x05, 0x37, 0xd2, 0xe4, 0x21, 0x20, 0x22, 0x41, 0x8f, 0x7f, 0xd5, 0x13, 0x95, 0x11, 0x5a,
        0x0d, 0x52, 0x84, 0x61, 0x06, 0x01, 0xd4, 0xfb, 0xe6, 0x09, 0x30, 0x7c, 0x5d, 0xce, 0xba, 0x23, 0x51, 0xe2,
        0x06, 0xf8, 0xaf, 0x8f, 0x42,
    ];
    let opened = sealer(&[OLD], "session").open(b"row", &sealed).unwrap();
    assert_eq!(opened.plaintext.as_slice(), b"format 1");
}

#[test]
fn keys_rotate() {
    let before = sealer(&[OLD], "session");
    let during = sealer(&[NEW, OLD], "session");
    let after = sealer(&[NEW], "session");

    let sealed = before.seal(b"row", b"text").unwrap();
    let opened = during.open(b"row", &sealed).unwrap();
    assert_eq!(opened.plaintext.as_slice(), b"text");
    assert!(opened.needs_reseal, "the old key sealed it");
    assert_eq!(after.open(b"row", &sealed).unwrap_err().code(), "seal.unknown_key");

    let resealed = during.seal(b"row", &opened.plaintext).unwrap();
    assert!(!during.open(b"row", &resealed).unwrap().needs_reseal);
    assert_eq!(after.open(b"row", &resealed).unwrap().plaintext.as_slice(), b"text");
    assert_eq!(before.open(b"row", &resealed).unwrap_err().code(), "seal.unknown_key");
}

#[test]
fn nothing_prints_the_content_or_a_key() {
    let sealer = sealer(&[OLD], "session");
    let opened = sealer.open(b"row", &sealer.seal(b"row", b"a-token").unwrap()).unwrap();
    let text = format!(
        "{opened:?} {sealer:?} {:?} {:?}",
        ring(&[OLD]),
        SealingKey::parse(OLD).unwrap()
    );
    // As text, and as the bytes that a derived Debug would show.
    for secret in ["a-token", "97, 45, 116", "1a1b1c", "26, 27, 28"] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("[redacted]"));
}

#[test]
fn a_key_file_is_made_once_and_then_used() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("keys");
    let made = KeyRing::load_or_create(&path).unwrap();
    let loaded = KeyRing::load_or_create(&path).unwrap();
    assert!(made.key_ids().eq(loaded.key_ids()));
    let sealed = Sealer::new(&made, "session").unwrap().seal(b"row", b"text").unwrap();
    assert!(Sealer::new(&loaded, "session").unwrap().open(b"row", &sealed).is_ok());

    let names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    assert_eq!(names, ["keys"], "no draft is left behind");
    let other = KeyRing::load_or_create(directory.path().join("other")).unwrap();
    assert!(!made.key_ids().eq(other.key_ids()), "every file has a key of its own");
}

#[test]
fn many_that_start_at_once_agree_on_a_key() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("keys");
    let ids: Vec<Vec<_>> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| KeyRing::load_or_create(&path).unwrap().key_ids().collect()))
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
}

#[test]
fn a_key_file_is_read_line_by_line() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("keys");
    let write = |text: &str| {
        // Made by the program, so that the permissions are right.
        if !path.exists() {
            KeyRing::load_or_create(&path).unwrap();
        }
        fs::write(&path, text).unwrap();
    };
    write(&format!("# the newer one\n{NEW}\n\n  {OLD}  \n"));
    assert!(
        KeyRing::load_or_create(&path)
            .unwrap()
            .key_ids()
            .eq(ring(&[NEW, OLD]).key_ids())
    );

    write(&format!("# a typing error\n{NEW}\n{}\n", &OLD[..60]));
    let error = KeyRing::load_or_create(&path).unwrap_err();
    assert!(matches!(error, KeyRingError::Line { line: 3, .. }), "{error}");
    assert_eq!(error.code(), "keyring.malformed_key");
    assert!(!error.to_string().contains(&OLD[..20]), "{error}");

    write("# nothing but this\n");
    let error = KeyRing::load_or_create(&path).unwrap_err();
    assert!(
        error.to_string().contains("there is no sealing key"),
        "an empty file is never filled: {error}"
    );
    write(&"x".repeat(100_000));
    assert_eq!(KeyRing::load_or_create(&path).unwrap_err().code(), "keyring.file");
}

#[test]
fn a_key_file_in_no_directory_is_an_error() {
    let directory = TempDir::new().unwrap();
    let error = KeyRing::load_or_create(directory.path().join("absent/keys")).unwrap_err();
    assert_eq!(error.code(), "keyring.file");
    assert!(error.to_string().contains("directory"), "{error}");
    assert_eq!(
        KeyRing::load_or_create(directory.path()).unwrap_err().code(),
        "keyring.file"
    );
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = TempDir::new().unwrap();
    let path = directory.path().join("keys");
    KeyRing::load_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for mode in [0o644, 0o660, 0o606] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = KeyRing::load_or_create(&path).unwrap_err();
        assert_eq!(error.code(), "keyring.insecure_file", "{mode:o}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    KeyRing::load_or_create(&path).unwrap();
}
