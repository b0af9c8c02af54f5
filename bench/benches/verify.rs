//! Token validation: the bare signature, the whole of ours, and the `jsonwebtoken` crate, in one run.
//!
//! - `raw`: aws-lc-rs verifies the signature with a key that was parsed before. Base64 and JSON are not touched.
//! - `ours`: nothing is cached. Shape, header, key by `kid`, signature, all claims, and every rule for access tokens.
//! - `jsonwebtoken`: signature, `exp`, `nbf`, `iss`, `aud`, and that they and `sub` are there; claims into a struct.
//!   Its key is given to it, not looked up by `kid`.
//!
//! Criterion measures each by itself. The ratios at the end come from rounds in which the three take turns, so
//! that what slows the machine for a moment slows all three.
#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{self as aws, ParsedPublicKey, RsaPublicKeyComponents};
use criterion::Criterion;
use portcullis_bench::{AUDIENCE, ISSUER, Sample};
use portcullis_jose::{
    Algorithm, AlgorithmSet, Clock as _, JwkSet, Limits, SystemClock, UnixTime, UnverifiedJws, base64url_decode,
};
use portcullis_oidc::token_rules::AccessTokenRules;

/// One token, and what each of the three needs to judge it.
struct Arena {
    sample: Sample,
    now: UnixTime,
    raw_key: ParsedPublicKey,
    signed_part: Vec<u8>,
    signature: Vec<u8>,
    keys: JwkSet,
    rules: AccessTokenRules,
    limits: Limits,
    their_key: jsonwebtoken::DecodingKey,
    their_validation: jsonwebtoken::Validation,
}

/// The claims that a handler typically asks for.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "read from the token, as a handler would have them")]
struct TheirClaims {
    iss: String,
    aud: String,
    sub: String,
    exp: i64,
    client_id: String,
    scope: String,
    roles: Vec<String>,
}

fn main() {
    let arenas: Vec<Arena> = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA]
        .into_iter()
        .map(Arena::new)
        .collect();
    let mut criterion = Criterion::default().configure_from_args();
    for arena in &arenas {
        let mut group = criterion.benchmark_group(arena.sample.algorithm.name());
        group.bench_function("raw", |bencher| bencher.iter(|| arena.raw()));
        group.bench_function("ours", |bencher| bencher.iter(|| arena.ours()));
        group.bench_function("jsonwebtoken", |bencher| bencher.iter(|| arena.theirs()));
        group.finish();
    }
    criterion.final_summary();
    // `-- --test` and `-- --list` want no numbers.
    if !std::env::args().any(|arg| matches!(arg.as_str(), "--test" | "--list")) {
        println!("\nin turns, microseconds for one token, median:\n");
        println!(
            "{:<8} {:>6} {:>10} {:>10} {:>14} {:>11} {:>21}",
            "", "bytes", "raw", "ours", "jsonwebtoken", "ours / raw", "jsonwebtoken / ours"
        );
        for arena in &arenas {
            arena.take_turns();
        }
    }
}

// === impl Arena ===

impl Arena {
    fn new(algorithm: Algorithm) -> Self {
        let sample = Sample::make(algorithm, &SystemClock).unwrap();
        let (signed_part, signature) = sample.token.rsplit_once('.').unwrap();
        let (keys, ignored) =
            JwkSet::parse(serde_json::json!({ "keys": [sample.jwk] }).to_string().as_bytes()).unwrap();
        assert!(ignored.is_empty(), "{ignored:?}");

        let theirs: jsonwebtoken::jwk::Jwk = serde_json::from_value(sample.jwk.clone()).unwrap();
        let mut their_validation = jsonwebtoken::Validation::new(match algorithm {
            Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
            _ => jsonwebtoken::Algorithm::EdDSA,
        });
        their_validation.set_issuer(&[ISSUER]);
        their_validation.set_audience(&[AUDIENCE]);
        their_validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        their_validation.validate_nbf = true;
        their_validation.leeway = 30;

        let arena = Self {
            now: SystemClock.now(),
            raw_key: raw_key(&sample),
            signed_part: signed_part.as_bytes().to_vec(),
            signature: base64url_decode(signature).unwrap(),
            keys,
            rules: AccessTokenRules::new(ISSUER, AUDIENCE, AlgorithmSet::asymmetric()),
            limits: Limits::default(),
            their_key: jsonwebtoken::DecodingKey::from_jwk(&theirs).unwrap(),
            their_validation,
            sample,
        };
        arena.all_refuse_a_changed_token();
        arena
    }

    fn raw(&self) {
        self.raw_key
            .verify_sig(black_box(&self.signed_part), black_box(&self.signature))
            .unwrap();
    }

    fn ours(&self) {
        assert!(self.ours_accepts(black_box(&self.sample.token)));
    }

    fn theirs(&self) {
        assert!(self.theirs_accepts(black_box(&self.sample.token)));
    }

    fn ours_accepts(&self, token: &str) -> bool {
        let parsed = UnverifiedJws::parse(token, &self.limits);
        parsed
            .and_then(|jws| self.rules.verify(jws, &self.keys, self.now))
            .map(black_box)
            .is_ok()
    }

    fn theirs_accepts(&self, token: &str) -> bool {
        let decoded = jsonwebtoken::decode::<TheirClaims>(token, &self.their_key, &self.their_validation);
        decoded.map(black_box).is_ok()
    }

    /// Who does not check is fast.
    fn all_refuse_a_changed_token(&self) {
        let mut changed = self.signature.clone();
        if let Some(byte) = changed.get_mut(20) {
            *byte ^= 1;
        }
        let signed = std::str::from_utf8(&self.signed_part).unwrap();
        let token = format!("{signed}.{}", portcullis_jose::base64url_encode(&changed));
        assert!(self.raw_key.verify_sig(&self.signed_part, &changed).is_err());
        assert!(!self.ours_accepts(&token) && !self.theirs_accepts(&token));
    }

    /// 60 rounds; in each, the three get the same short time one after the other.
    fn take_turns(&self) {
        let contenders: [&dyn Fn(); 3] = [&|| self.raw(), &|| self.ours(), &|| self.theirs()];
        let batches = contenders.map(|run| {
            let began = Instant::now();
            let mut count = 0_u32;
            while began.elapsed() < Duration::from_millis(20) {
                run();
                count += 1;
            }
            count
        });
        let mut micros: [Vec<f64>; 3] = Default::default();
        for _ in 0..60 {
            for ((run, batch), micros) in contenders.iter().zip(batches).zip(&mut micros) {
                let began = Instant::now();
                (0..batch).for_each(|_| run());
                micros.push(began.elapsed().as_secs_f64() * 1e6 / f64::from(batch));
            }
        }
        let [raw, ours, theirs] = &micros;
        println!(
            "{:<8} {:>6} {:>10.2} {:>10.2} {:>14.2} {:>11.2} {:>21.2}",
            self.sample.algorithm.name(),
            self.sample.token.len(),
            median(raw.clone()),
            median(ours.clone()),
            median(theirs.clone()),
            median(ratios(ours, raw)),
            median(ratios(theirs, ours)),
        );
    }
}

/// Of two that took turns, round by round.
fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

fn raw_key(sample: &Sample) -> ParsedPublicKey {
    let part = |name: &str| base64url_decode(sample.jwk.get(name).and_then(|text| text.as_str()).unwrap()).unwrap();
    match sample.algorithm {
        Algorithm::RS256 => RsaPublicKeyComponents {
            n: part("n"),
            e: part("e"),
        }
        .to_parsed_public_key(&aws::RSA_PKCS1_2048_8192_SHA256)
        .unwrap(),
        // SEC 1 s2.3.3: an uncompressed point is 4, x, y.
        Algorithm::ES256 => {
            ParsedPublicKey::new(&aws::ECDSA_P256_SHA256_FIXED, [vec![4], part("x"), part("y")].concat()).unwrap()
        }
        Algorithm::EdDSA => ParsedPublicKey::new(&aws::ED25519, part("x")).unwrap(),
        other => panic!("no benchmark for {other}"),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
