//! The provider's keys: which there are, which are used, and why others are not.

use portcullis_jose::{Algorithm, AlgorithmSet, JwkSet, KeyProblem, PublicKey, base64url_decode};
use portcullis_oidc::{HttpsUrl, HyperClient};
use serde_json::Value;

use super::discovery::Document;
use crate::config::{Keys, ProviderSettings};
use crate::doctor::finding::Area;
use crate::doctor::words::tidy;
use crate::doctor::{asking, problems};

/// Fetches or reads the keys, and says of each what it is.
pub(super) async fn keys(
    area: &mut Area,
    name: &str,
    provider: &ProviderSettings,
    client: &HyperClient,
    document: Option<&Document>,
) {
    let (set, problems, key) = match &provider.keys {
        Keys::Shared(_) => {
            area.fine("keys", "a shared secret of the configuration");
            return;
        }
        Keys::File(path) => {
            let read = std::fs::read(path).map_err(|error| error.to_string());
            let read = read.and_then(|file| JwkSet::from_local(&file).map_err(|error| error.to_string()));
            match read {
                Ok((set, problems)) => (set, problems, "jwks_file"),
                Err(why) => {
                    let found = format!("{}: {why}", path.display());
                    area.broken("keys", &problems::KEYS_UNREACHABLE, found)
                        .at(["provider", name, "jwks_file"]);
                    return;
                }
            }
        }
        Keys::Url(url) => match fetch(client, url.as_str()).await {
            Ok((set, problems)) => (set, problems, "jwks_url"),
            Err(why) => {
                let found = format!("{url}: {why}");
                area.broken("keys", &problems::KEYS_UNREACHABLE, found)
                    .at(["provider", name, "jwks_url"]);
                return;
            }
        },
        Keys::Discovered => {
            let Some(uri) = document.and_then(|document| document.text("jwks_uri")) else {
                area.skipped("keys", "the discovery document does not say where they are");
                return;
            };
            match fetch(client, uri).await {
                Ok((set, problems)) => (set, problems, "issuer"),
                Err(why) => {
                    let found = format!("{}: {why}", tidy(uri));
                    area.broken("keys", &problems::KEYS_UNREACHABLE, found)
                        .at(["provider", name, "issuer"]);
                    return;
                }
            }
        }
    };
    tell(area, name, provider, &set, &problems, key);
}

async fn fetch(client: &HyperClient, uri: &str) -> Result<(JwkSet, Vec<KeyProblem>), String> {
    let url = HttpsUrl::parse(uri).map_err(|error| error.to_string())?;
    let answer = asking::get(client, &url).await?;
    if answer.status() != http::StatusCode::OK {
        return Err(format!("status {}", answer.status().as_u16()));
    }
    JwkSet::parse(answer.body()).map_err(|error| error.to_string())
}

fn tell(
    area: &mut Area,
    name: &str,
    provider: &ProviderSettings,
    set: &JwkSet,
    problems: &[KeyProblem],
    place: &'static str,
) {
    let at = ["provider", name, place];
    for problem in problems {
        let found = tidy(&problem.to_string());
        match problem.exposed {
            true => area.broken("key", &problems::KEY_EXPOSED, found).at(at),
            false => area.warning("key", &problems::KEY_IGNORED, found).at(at),
        };
    }
    if set.is_empty() {
        area.broken(
            "keys",
            &problems::KEYS_NONE,
            format!("{} published, none used", problems.len()),
        )
        .at(at);
        return;
    }
    let accepted = AlgorithmSet::of(&provider.algorithms);
    let mut usable = AlgorithmSet::of(&[]);
    for key in set.public_keys() {
        area.fine("key", shown(key));
        usable = key.algorithms().iter().fold(usable, AlgorithmSet::with);
    }
    let unnamed = set.public_keys().iter().filter(|key| key.kid().is_none()).count();
    // Those of a file have no names by nature.
    if unnamed > 1 && !matches!(provider.keys, Keys::File(_)) {
        area.warning("keys", &problems::KEYS_UNNAMED, format!("{unnamed} keys without kid"))
            .at(at);
    }
    let both = usable.and(accepted);
    if both.is_empty() {
        area.broken(
            "algorithms",
            &problems::ALGORITHM_OFFERED,
            format!("the keys are for {usable}"),
        )
        .expected(accepted.to_string())
        .at(["provider", name, "algorithms"]);
    } else {
        area.fine("algorithms", format!("{both} of the accepted {accepted}"));
    }
}

/// Kind and strength of a key.
fn shown(key: &PublicKey) -> String {
    let jwk = key.to_jwk();
    let kind = match jwk.get("n").and_then(Value::as_str).and_then(base64url_decode) {
        Some(modulus) => format!("RSA, {} bits", bits(&modulus)),
        None => jwk.get("crv").and_then(Value::as_str).unwrap_or("unknown").to_owned(),
    };
    let algorithms: Vec<&str> = key.algorithms().iter().map(Algorithm::name).collect();
    format!(
        "{}: {kind}, for {}",
        tidy(key.kid().unwrap_or("(no kid)")),
        algorithms.join(" ")
    )
}

fn bits(modulus: &[u8]) -> usize {
    let mut significant = modulus.iter().skip_while(|byte| **byte == 0);
    let first = significant.next().map_or(0, |byte| 8 - byte.leading_zeros() as usize);
    first + significant.count() * 8
}
