//! The same tokens before us, the crate `jsonwebtoken` and npm's `jose`, each with every check on that it has. Where
//! they disagree, `docs/security/differences.md` has a row that says why; a row without a disagreement is an error.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a test; its helpers are outside of the functions that clippy knows as tests"
)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portcullis_bench::{AUDIENCE, ISSUER};
use portcullis_jose::{
    Algorithm, AlgorithmSet, Clock as _, JwkSet, Limits, SigningKey, SystemClock, UnverifiedJws, base64url_encode,
};
use portcullis_oidc::token_rules::AccessTokenRules;
use serde_json::{Value, json};

#[test]
fn every_disagreement_is_known_and_has_its_reason() {
    let world = World::new();
    let cases = world.cases();
    let ours = world.ours(&cases);
    let theirs = world.jsonwebtoken(&cases);
    let jose = world.npm_jose(&cases);
    let mut known = rows();
    let mut wrong = Vec::new();
    for (i, (name, _)) in cases.iter().enumerate() {
        let (ours, theirs) = (word(ours[i]), word(theirs[i]));
        let row = known.remove(name.as_str());
        // Where node's packages are not installed, the row is taken at its word.
        let jose = match (&jose, &row) {
            (Some(jose), _) => word(jose[i]),
            (None, Some(row)) if row[2] == "accepts" => "accepts",
            (None, Some(row)) if row[2] == "refuses" => "refuses",
            (None, _) => ours,
        };
        let found = [ours, theirs, jose];
        let agree = found.iter().all(|verdict| *verdict == ours);
        match row {
            None if agree => {}
            Some(row) if row[..3] == found && !agree => assert!(row[3].len() > 10, "{name} wants a reason"),
            row => wrong.push(format!("| {name} | {} | (the page says {row:?})", found.join(" | "))),
        }
        if name.starts_with("valid") {
            assert_eq!(ours, "accepts", "{name}");
        }
    }
    wrong.extend(known.keys().map(|name| format!("{name}: there is no such case")));
    assert!(wrong.is_empty(), "docs/security/differences.md:\n{}", wrong.join("\n"));
}

fn word(accepted: bool) -> &'static str {
    if accepted { "accepts" } else { "refuses" }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The table: case -> ours, jsonwebtoken, jose, reason.
fn rows() -> BTreeMap<String, [String; 4]> {
    let page = std::fs::read_to_string(root().join("docs/security/differences.md")).unwrap();
    page.lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").map(str::to_owned).collect::<Vec<_>>())
        .filter(|cells| {
            cells.len() == 5
                && cells[1..4]
                    .iter()
                    .all(|cell| ["accepts", "refuses"].contains(&cell.as_str()))
        })
        .map(|cells| {
            let [name, ours, theirs, jose, reason] = cells.try_into().unwrap();
            (name, [ours, theirs, jose, reason])
        })
        .collect()
}

struct World {
    keys: Vec<SigningKey>,
    now: i64,
}

// === impl World ===

impl World {
    fn new() -> Self {
        let keys = AlgorithmSet::asymmetric()
            .iter()
            .map(|alg| SigningKey::generate(alg).unwrap());
        Self {
            keys: keys.collect(),
            now: SystemClock.now().as_secs(),
        }
    }

    fn key(&self, algorithm: Algorithm) -> &SigningKey {
        self.keys.iter().find(|key| key.algorithm() == algorithm).unwrap()
    }

    fn jwks(&self) -> Value {
        json!({ "keys": self.keys.iter().map(SigningKey::public_jwk).collect::<Vec<_>>() })
    }

    fn header(&self, key: &SigningKey) -> Value {
        json!({ "alg": key.algorithm().name(), "typ": "at+jwt", "kid": key.kid() })
    }

    fn claims(&self) -> Value {
        json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "spa", "jti": "1", "scope": "orders.read",
            "iat": self.now, "exp": self.now + 600,
        })
    }

    /// Signs the parts as they are spelled.
    fn spelled(&self, header: &str, claims: &str) -> String {
        let signature = self
            .key(Algorithm::ES256)
            .sign(format!("{header}.{claims}").as_bytes())
            .unwrap();
        format!("{header}.{claims}.{}", base64url_encode(&signature))
    }

    /// Signs texts as they are.
    fn texts(&self, header: &[u8], claims: &[u8]) -> String {
        self.spelled(&base64url_encode(header), &base64url_encode(claims))
    }

    fn cases(&self) -> Vec<(String, String)> {
        let key = self.key(Algorithm::ES256);
        let (header, claims) = (self.header(key), self.claims());
        let (header_text, claims_text) = (header.to_string(), claims.to_string());
        let mut cases: Vec<(String, String)> = Vec::new();
        let mut add = |name: &str, token: String| cases.push((name.to_owned(), token));
        for key in &self.keys {
            let token = key.sign_with_header(&self.header(key), claims_text.as_bytes()).unwrap();
            add(&format!("valid-{}", key.algorithm()), token);
        }
        let good = self.texts(header_text.as_bytes(), claims_text.as_bytes());
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let (front, payload) = signed.split_once('.').unwrap();

        add("shape-empty", String::new());
        add("shape-two-parts", signed.to_owned());
        add("shape-no-signature", format!("{signed}."));
        add("shape-four-parts", format!("{good}.AA"));
        add("shape-five-parts", format!("{good}.AA.AA"));
        add(
            "shape-json",
            json!({ "protected": front, "payload": payload, "signature": signature }).to_string(),
        );
        add("base64-padding", format!("{good}=="));
        add("base64-space-before", format!(" {good}"));
        add("base64-newline-after", format!("{good}\n"));
        add(
            "base64-space-in-signature",
            format!("{signed}.{} {}", &signature[..40], &signature[40..]),
        );
        add(
            "base64-space-in-claims",
            self.spelled(front, &format!("{} {}", &payload[..40], &payload[40..])),
        );
        // 64 bytes are 86 letters, of which the last has four bits to spare.
        let last = b"AQgw"
            .iter()
            .position(|letter| *letter == signature.as_bytes()[85])
            .unwrap();
        add(
            "base64-spare-bits",
            format!("{signed}.{}{}", &signature[..85], ["B", "R", "h", "x"][last]),
        );
        let question = self.texts(
            header_text.as_bytes(),
            claims_text.replace("alice", "~~~???").as_bytes(),
        );
        let (question, _) = question.rsplit_once('.').unwrap();
        let (_, question) = question.split_once('.').unwrap();
        add(
            "base64-other-alphabet",
            self.spelled(front, &question.replace('-', "+").replace('_', "/")),
        );

        let with_header = |name: &str, value: Value| {
            let mut header = header.clone();
            match value {
                Value::Null => drop(header.as_object_mut().unwrap().remove(name)),
                value => header[name] = value,
            }
            self.texts(header.to_string().as_bytes(), claims_text.as_bytes())
        };
        add("header-unknown-member", with_header("x", json!({ "y": 1 })));
        add("header-crit-known", with_header("crit", json!(["kid"])));
        add("header-crit-unknown", with_header("crit", json!(["x"])));
        add("header-crit-empty", with_header("crit", json!([])));
        add("header-crit-string", with_header("crit", json!("exp")));
        add("header-b64-false", with_header("b64", json!(false)));
        add("header-b64-true", with_header("b64", json!(true)));
        add("header-zip", with_header("zip", json!("DEF")));
        add("header-typ-missing", with_header("typ", Value::Null));
        add("header-typ-jwt", with_header("typ", json!("JWT")));
        add("header-typ-id-token", with_header("typ", json!("id+jwt")));
        add("header-typ-upper-case", with_header("typ", json!("AT+JWT")));
        add("header-typ-long", with_header("typ", json!("application/at+jwt")));
        add("header-typ-number", with_header("typ", json!(7)));
        add("header-kid-missing", with_header("kid", Value::Null));
        add("header-kid-unknown", with_header("kid", json!("other")));
        add("header-kid-number", with_header("kid", json!(7)));
        add(
            "header-kid-of-another-kind",
            with_header("kid", json!(self.key(Algorithm::RS256).kid())),
        );
        add("header-alg-none", with_header("alg", json!("none")));
        add("header-alg-lower-case", with_header("alg", json!("es256")));
        add("header-alg-missing", with_header("alg", Value::Null));
        add("header-alg-other", with_header("alg", json!("ES384")));
        let thief = SigningKey::generate(Algorithm::ES256).unwrap();
        let own_key = json!({ "alg": "ES256", "typ": "at+jwt", "jwk": thief.public_jwk() });
        add(
            "header-jwk",
            thief.sign_with_header(&own_key, claims_text.as_bytes()).unwrap(),
        );
        let rsa = self.key(Algorithm::RS256);
        let pss = SigningKey::from_pem(rsa.to_pkcs8_pem().unwrap().expose(), Algorithm::PS256).unwrap();
        let pss = pss.sign_with_header(
            &json!({ "alg": "PS256", "typ": "at+jwt", "kid": rsa.kid() }),
            claims_text.as_bytes(),
        );
        add("header-alg-not-that-of-the-key", pss.unwrap());

        let json_header = |text: String| self.texts(text.as_bytes(), claims_text.as_bytes());
        let json_claims = |text: &[u8]| self.texts(header_text.as_bytes(), text);
        let open = claims_text.trim_end_matches('}');
        add(
            "json-header-alg-twice",
            json_header(header_text.replacen('{', "{\"alg\":\"none\",", 1)),
        );
        add(
            "json-header-unknown-twice",
            json_header(header_text.replacen('{', "{\"x\":1,\"x\":2,", 1)),
        );
        add("json-header-bom", json_header(format!("\u{feff}{header_text}")));
        add(
            "json-claims-exp-twice",
            json_claims(format!("{open},\"exp\":9999999999}}").as_bytes()),
        );
        add(
            "json-claims-scope-twice",
            json_claims(format!("{open},\"scope\":\"admin\"}}").as_bytes()),
        );
        add(
            "json-claims-twice-escaped",
            json_claims(format!("{open},\"\\u0073cope\":\"admin\"}}").as_bytes()),
        );
        add(
            "json-claims-bom",
            json_claims(format!("\u{feff}{claims_text}").as_bytes()),
        );
        add(
            "json-claims-space-around",
            json_claims(format!(" {claims_text}\n").as_bytes()),
        );
        add(
            "json-claims-more-after",
            json_claims(format!("{claims_text}x").as_bytes()),
        );
        add(
            "json-claims-not-utf8",
            json_claims(&[open.as_bytes(), b",\"x\":\"\xff\"}"].concat()),
        );
        add(
            "json-claims-half-surrogate",
            json_claims(format!("{open},\"x\":\"\\ud800\"}}").as_bytes()),
        );
        add(
            "json-claims-deep",
            json_claims(format!("{open},\"x\":{}{}}}", "[".repeat(20), "]".repeat(20)).as_bytes()),
        );
        add("json-claims-array", json_claims(b"[]"));
        add(
            "json-claims-17-kib",
            json_claims(format!("{open},\"x\":\"{}\"}}", "x".repeat(17_000)).as_bytes()),
        );

        let with = |name: &str, value: &str| {
            let mut text = claims.clone();
            text.as_object_mut().unwrap().remove(name);
            let text = text.to_string();
            match value {
                "" => self.texts(header_text.as_bytes(), text.as_bytes()),
                value => {
                    let text = text.replacen('{', &format!("{{\"{name}\":{value},"), 1);
                    self.texts(header_text.as_bytes(), text.as_bytes())
                }
            }
        };
        let at = |seconds: i64| (self.now + seconds).to_string();
        for (name, claim, value) in [
            ("exp-missing", "exp", ""),
            ("exp-string", "exp", "\"9999999999\""),
            ("exp-null", "exp", "null"),
            ("exp-array", "exp", "[9999999999]"),
            ("exp-1e300", "exp", "1e300"),
            ("exp-1e400", "exp", "1e400"),
            ("exp-u64-max", "exp", "18446744073709551615"),
            ("exp-negative", "exp", "-1"),
            ("exp-expired", "exp", &at(-90)),
            ("exp-within-leeway", "exp", &at(-10)),
            ("exp-fraction", "exp", &format!("{}.5", self.now + 600)),
            ("exp-exponent", "exp", &format!("{}e2", (self.now + 600) / 100)),
            ("exp-two-days", "exp", &at(2 * 86_400)),
            ("nbf-future", "nbf", &at(90)),
            ("nbf-within-leeway", "nbf", &at(10)),
            ("nbf-string", "nbf", "\"0\""),
            ("iat-future", "iat", &at(90)),
            ("iat-string", "iat", "\"0\""),
            ("iat-missing", "iat", ""),
            ("aud-missing", "aud", ""),
            ("aud-array", "aud", &format!("[\"{AUDIENCE}\",\"other\"]")),
            ("aud-array-mixed", "aud", &format!("[\"{AUDIENCE}\",7]")),
            ("aud-array-empty", "aud", "[]"),
            ("aud-other", "aud", "\"api://other\""),
            ("aud-prefix", "aud", &format!("\"{AUDIENCE}/x\"")),
            ("aud-number", "aud", "7"),
            ("iss-missing", "iss", ""),
            ("iss-array", "iss", &format!("[\"{ISSUER}\",\"https://evil.example\"]")),
            ("iss-slash", "iss", &format!("\"{ISSUER}/\"")),
            ("iss-upper-case", "iss", &format!("\"{}\"", ISSUER.to_uppercase())),
            ("sub-missing", "sub", ""),
            ("sub-number", "sub", "7"),
            ("sub-null", "sub", "null"),
            ("client-id-number", "client_id", "7"),
            ("scope-number", "scope", "7"),
        ] {
            add(&format!("claims-{name}"), with(claim, value));
        }
        cases
    }

    fn ours(&self, cases: &[(String, String)]) -> Vec<bool> {
        let (keys, problems) = JwkSet::parse(self.jwks().to_string().as_bytes()).unwrap();
        assert!(problems.is_empty());
        let rules = AccessTokenRules::new(ISSUER, AUDIENCE, AlgorithmSet::asymmetric());
        let now = SystemClock.now();
        let judge =
            |token: &str| UnverifiedJws::parse(token, &Limits::default()).and_then(|jws| rules.verify(jws, &keys, now));
        cases.iter().map(|(_, token)| judge(token).is_ok()).collect()
    }

    /// With the key of the `kid`, as its users look it up; without one, the key that signed.
    fn jsonwebtoken(&self, cases: &[(String, String)]) -> Vec<bool> {
        let judge = |token: &str| -> Option<()> {
            let header = jsonwebtoken::decode_header(token).ok()?;
            let kid = header.kid.as_deref().unwrap_or(self.key(Algorithm::ES256).kid());
            let key = self.keys.iter().find(|key| key.kid() == kid)?;
            let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.public_jwk()).ok()?;
            let mut validation = jsonwebtoken::Validation::new(header.alg);
            validation.set_issuer(&[ISSUER]);
            validation.set_audience(&[AUDIENCE]);
            validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
            validation.validate_nbf = true;
            validation.leeway = 30;
            let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).ok()?;
            jsonwebtoken::decode::<Value>(token, &key, &validation).ok().map(drop)
        };
        cases.iter().map(|(_, token)| judge(token).is_some()).collect()
    }

    /// `None` where node or its packages are not there.
    fn npm_jose(&self, cases: &[(String, String)]) -> Option<Vec<bool>> {
        let directory = root().join("interop/jose");
        if !directory.join("node_modules/jose").is_dir() {
            eprintln!("skipped: npm's jose is not installed (npm ci in interop/jose)");
            return None;
        }
        let question = json!({
            "jwks": self.jwks(), "issuer": ISSUER, "audience": AUDIENCE,
            "algorithms": AlgorithmSet::asymmetric().iter().map(Algorithm::name).collect::<Vec<_>>(),
            "tokens": cases.iter().map(|(_, token)| token).collect::<Vec<_>>(),
        });
        let mut node = Command::new("node")
            .arg("judge.mjs")
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        node.stdin
            .take()
            .unwrap()
            .write_all(question.to_string().as_bytes())
            .unwrap();
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success());
        let verdicts: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(verdicts.len(), cases.len());
        Some(verdicts)
    }
}
