//! Any change of a good token's text makes it a bad token.

use portcullis_guard::Presented;

use super::build;
use super::entry::{Entry, entries};
use super::judge::World as _;
use super::library::Library;

/// Random changes for each control.
const EDITS: usize = 150;
const CHARACTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/~!\"{}%,:;";

/// Xorshift: the same numbers in every run, so that a failure can be seen again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// The tokens of the controls that are sent as they are.
fn good_tokens(library: &Library) -> Vec<String> {
    let plain = |entry: &Entry| {
        entry.group == "control" && entry.passes() && entry.request.authorization.is_none() && entry.profile.is_none()
    };
    let entries = entries().into_iter().filter(plain);
    entries
        .flat_map(|entry| build::requests(&entry, library.fill()))
        .map(|request| request.token)
        .collect()
}

fn edited(token: &str, numbers: &mut Numbers) -> String {
    let mut bytes = token.as_bytes().to_vec();
    let at = numbers.below(bytes.len());
    let character = CHARACTERS[numbers.below(CHARACTERS.len())];
    match numbers.below(4) {
        0 => bytes.insert(at, character),
        1 => drop(bytes.remove(at)),
        2 => bytes.swap(at, numbers.below(token.len())),
        _ => bytes[at] = character,
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn every_edit_of_a_good_token_is_refused() {
    let library = Library::start().await;
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut tried, mut same) = (0, 0);
    for token in good_tokens(&library) {
        let presented = Presented::token_alone(&token);
        assert!(library.guard().verify(&presented).await.is_ok(), "{token}");
        for _ in 0..EDITS {
            let changed = edited(&token, &mut numbers);
            if changed == token {
                same += 1;
                continue;
            }
            let verdict = library.guard().verify(&Presented::token_alone(&changed)).await;
            assert!(verdict.is_err(), "{token}\n{changed}");
            tried += 1;
        }
    }
    assert!(tried > 3_000 && same < tried / 10, "{tried} edits, {same} of them none");
}

#[tokio::test]
async fn every_bit_of_a_short_token_counts() {
    let library = Library::start().await;
    let entry = super::entry::named(&entries(), "control-eddsa");
    let token = build::requests(&entry, library.fill()).remove(0).token;
    assert!(library.guard().verify(&Presented::token_alone(&token)).await.is_ok());
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let changed = String::from_utf8(bytes).unwrap();
            let verdict = library.guard().verify(&Presented::token_alone(&changed)).await;
            assert!(verdict.is_err(), "bit {bit} of character {at}: {changed:?}");
        }
    }
}
