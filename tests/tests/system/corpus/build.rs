//! From an entry to the requests that it stands for.

use std::sync::LazyLock;

use portcullis_jose::base64url_encode;
use serde_json::{Map, Value, json};

use super::entry::{Entry, OneOrMore, Op};
use super::fill::Fill;
use super::keys::Key;
use super::{mutate, sign};

/// A request that is ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The entry's name, with a number where it stands for several requests.
    pub(super) name: String,
    pub(super) method: String,
    /// The `Authorization` headers, as they are.
    pub(super) authorization: Vec<String>,
    pub(super) query: Option<String>,
    /// The `DPoP` headers.
    pub(super) proofs: Vec<String>,
    pub(super) body: String,
    /// The token, or the proof: nothing of it may be told to anybody.
    pub(super) token: String,
}

static BASE: LazyLock<(Map<String, Value>, Map<String, Value>)> = LazyLock::new(|| {
    let corpus: Value = serde_json::from_str(include_str!("../../../data/token_attacks.json")).unwrap();
    let object = |name: &str| corpus["base"][name].as_object().unwrap().clone();
    (object("header"), object("payload"))
});

/// The requests of an entry.
pub(super) fn requests(entry: &Entry, fill: &Fill) -> Vec<Request> {
    let mut fill = fill.clone();
    if entry.is_proof() {
        fill.token = bound_token(&fill);
    }
    let tokens = tokens(entry, &fill);
    let many = tokens.len() > 1;
    let requests = tokens.into_iter().enumerate().map(|(at, token)| {
        let name = match many {
            true => format!("{} [{at}]", entry.name),
            false => entry.name.clone(),
        };
        request(entry, &fill, name, token)
    });
    requests.collect()
}

fn request(entry: &Entry, fill: &Fill, name: String, token: String) -> Request {
    let (scheme, access_token, proofs) = match entry.is_proof() {
        true => {
            let lines = entry.request.dpop_lines.unwrap_or(1);
            ("DPoP", fill.token.clone(), vec![token.clone(); lines])
        }
        false => ("Bearer", token.clone(), Vec::new()),
    };
    let with_token = |text: &str| text.replace("$token", &access_token);
    let authorization = match &entry.request.authorization {
        None => vec![format!("{scheme} {access_token}")],
        Some(OneOrMore::One(text)) => vec![with_token(text)],
        Some(OneOrMore::More(texts)) => texts.iter().map(|text| with_token(text)).collect(),
    };
    let default_method = if entry.is_logout() { "POST" } else { "GET" };
    let default_body = if entry.is_logout() { "logout_token=$token" } else { "" };
    Request {
        name,
        method: entry.request.method.as_deref().unwrap_or(default_method).to_owned(),
        authorization: if entry.is_logout() { Vec::new() } else { authorization },
        query: entry.request.query.as_deref().map(with_token),
        proofs,
        body: entry
            .request
            .body
            .as_deref()
            .unwrap_or(default_body)
            .replace("$token", &form_encoded(&token)),
        token,
    }
}

/// A good token that is bound to the key of the proofs.
fn bound_token(fill: &Fill) -> String {
    let mut payload = BASE.1.clone();
    payload.insert("cnf".into(), json!({"jkt": "$jkt"}));
    let header = Value::Object(BASE.0.clone()).to_string();
    let payload = Value::Object(fill.object(&payload)).to_string();
    let input = signed_part(header.as_bytes(), payload.as_bytes());
    let key = fill.keys().named("rsa-1").unwrap();
    format!("{input}.{}", base64url_encode(&key.sign("RS256", input.as_bytes())))
}

fn tokens(entry: &Entry, fill: &Fill) -> Vec<String> {
    let mut header = BASE.0.clone();
    for (name, value) in &entry.header {
        match value {
            Value::Null => drop(header.remove(name)),
            value => drop(header.insert(name.clone(), value.clone())),
        }
    }
    let named_key = entry
        .key
        .as_deref()
        .or_else(|| header.get("kid").and_then(Value::as_str));
    let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default().to_owned();
    let kid = named_key.unwrap_or("rsa-1").to_owned();
    let key = key_of(entry, fill, &kid, &algorithm);

    let mut header = match &entry.header_raw {
        Some(raw) => fill.bytes(raw),
        None => Value::Object(fill.object(&header)).to_string().into_bytes(),
    };
    let mut claims = claims(entry, fill);
    if let Some(Op::ToStandardB64) = entry.token_mutation.as_ref().map(|mutation| &mutation.op) {
        // At whatever place it stands, this has the characters in which the alphabets differ.
        claims.insert("x".into(), "?~?~?~?>>>???>".into());
    }
    let mut payload = match &entry.payload_raw {
        Some(raw) => fill.bytes(raw),
        None => Value::Object(claims.clone()).to_string().into_bytes(),
    };
    let mutation = entry.token_mutation.as_ref();
    match mutation.and_then(|mutation| mutate::needs_spare_bits(&mutation.op)) {
        Some(0) => pad_with_blanks(&mut header),
        Some(1) => pad_with_blanks(&mut payload),
        _ => {}
    }
    let mut sent = claims;
    sent.extend(fill.object(&entry.payload_mutation.set_after_sign));
    let sent = match entry.payload_mutation.set_after_sign.is_empty() {
        true => payload.clone(),
        false => Value::Object(sent).to_string().into_bytes(),
    };

    let mut input = signed_part(&header, &payload);
    if entry.signing == "transplanted" {
        let other = json!({"jti": fill.text("$uuid"), "sub": "admin"}).to_string();
        input = signed_part(&header, other.as_bytes());
    }
    let mutated = |text: &str| match mutation {
        Some(mutation) => mutate::mutate(text, &mutation.op, |text| fill.text(text)),
        None => text.to_owned(),
    };
    if let Some(true) = mutation.map(|mutation| mutation.resign) {
        let changed = mutated(&format!("{input}."));
        let changed = changed.rsplit_once('.').unwrap().0.to_owned();
        let signatures = sign::signatures(&entry.signing, key, &algorithm, changed.as_bytes());
        let whole = |signature: Vec<u8>| {
            let signature = mutate::alphabet_of(&base64url_encode(&signature), mutation.map(|mutation| &mutation.op));
            format!("{changed}.{signature}")
        };
        return signatures.into_iter().map(whole).collect();
    }
    let (header64, sent64) = (base64url_encode(&header), base64url_encode(&sent));
    let whole = |signature: &[u8]| match entry.signing.as_str() {
        "json-flattened" => sign::json_flattened(&header64, &sent64, signature),
        "json-general-unprotected" => sign::json_general_unprotected(&algorithm, &kid, &sent64, signature),
        "json-polyglot" => sign::json_polyglot(&header64, &sent64, signature),
        "jwe-wrapped-plain" => {
            let none = base64url_encode(br#"{"alg":"none"}"#);
            sign::jwe(key, &kid, &format!("{none}.{sent64}."))
        }
        "jwe-wrapped-signed" => {
            let inside = format!("{header64}.{sent64}.{}", base64url_encode(signature));
            sign::jwe(key, &kid, &inside)
        }
        _ => format!("{header64}.{sent64}.{}", base64url_encode(signature)),
    };
    let kind = match entry.signing.as_str() {
        kind if kind.starts_with("json-") || kind.starts_with("jwe-") => "valid-key",
        kind => kind,
    };
    let signatures = sign::signatures(kind, key, &algorithm, input.as_bytes());
    signatures.iter().map(|signature| mutated(&whole(signature))).collect()
}

fn key_of<'k>(entry: &Entry, fill: &Fill, kid: &str, algorithm: &str) -> &'k Key {
    let keys = fill.keys();
    match entry.signing.as_str() {
        "other-key" | "embedded-key" => keys.attacker(algorithm),
        _ if entry.is_proof() => &keys.dpop,
        _ => keys.named(kid).unwrap_or(&keys.a[0]),
    }
}

fn claims(entry: &Entry, fill: &Fill) -> Map<String, Value> {
    let mutation = &entry.payload_mutation;
    let mut claims = mutation.replace.clone().unwrap_or_else(|| BASE.1.clone());
    claims.extend(mutation.set.clone());
    for name in &mutation.remove {
        claims.remove(name);
    }
    fill.object(&claims)
}

fn signed_part(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", base64url_encode(header), base64url_encode(payload))
}

/// Blanks at the end of JSON mean nothing, and change the length.
fn pad_with_blanks(text: &mut Vec<u8>) {
    while text.len().is_multiple_of(3) {
        text.push(b' ');
    }
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
