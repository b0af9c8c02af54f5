use super::{Entry, entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(
        ("keys.unknown_kid", "kid_unknown"),
        401,
        "The token is signed with a key that the provider does not publish",
        "No key of the provider's key set has the token's `kid`, not even after the set was fetched again.",
        "Most often the token comes from another issuer, tenant or environment: compare its `iss` with the configuration. If the issuer is right, open its `jwks_uri` and look for the `kid`; where it is missing, the provider has removed the key too early or an intermediate cache serves an old key set.",
    ),
    entry(
        ("keys.unusable", "key_unusable"),
        401,
        "The key that the token names cannot be used",
        "The key set has the key, and it is not fit: an RSA key under 2048 bits, an unknown curve, `use` other than `sig`, or broken parameters.",
        "Make the provider sign with a key that is fit: RSA of at least 2048 bits, P-256, P-384, P-521 or Ed25519, published with `use: sig`. The event `keys_refreshed` lists under `ignored` every key that is left out, with the reason.",
    ),
    entry(
        ("keys.unavailable", "keys_unavailable"),
        503,
        "The provider's keys cannot be fetched",
        "No key set could be fetched yet, or the last one is older than it may be used; no token can be checked, so all are refused for now. Or a session's token names a key that may be newer than the last fetch; the session is kept.",
        "Open the provider's discovery document and `jwks_uri` from this machine (`curl -v`): DNS, egress rules, a proxy, or a TLS certificate of a company's inspection proxy are the usual reasons. The event `keys_unavailable` says what failed; once it works, requests succeed without a restart.",
    ),
    entry(
        ("introspection.unavailable", "introspection_unavailable"),
        503,
        "The provider cannot be asked about the token",
        "The token is no JWT, so the provider's introspection endpoint (RFC 7662) decides; it did not answer, refused our client, or answered something that says neither yes nor no.",
        "The event says what came instead. `provider.client_rejected` or a status of 401 or 403: compare the secret of the client that `introspection` names, and let that client use the endpoint at the provider. Otherwise try the endpoint from this machine with `curl -v`; it has to answer `application/json` with `active` as true or false.",
    ),
];
