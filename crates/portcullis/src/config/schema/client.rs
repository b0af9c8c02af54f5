//! `[client.NAME]` and secrets.

use super::Kind::{Duration, List, OneOf, Path, Reference, Secret, Secrets, Text, True};
use super::Presence::{Default, Depends, Optional, Required};
use super::tables::ALGORITHM;
use super::{Key, Kind, Table};

pub(crate) const CLIENT: Table = Table {
    name: "client.NAME",
    about: "A registration at a provider.",
    keys: &[
        Key::new(
            "provider",
            Reference("provider"),
            Required,
            r#""entra""#,
            "NAME of the provider.",
        ),
        Key::new(
            "client_id",
            Text,
            Required,
            r#""6cb04018-a3f5-46a7-b995-940c78f5aef3""#,
            "The identifier that the provider gave out.",
        )
        .also(&["id", "clientid"]),
        Key::new(
            "secret",
            Secrets,
            Depends("one of `secret`, `private_key`, `own_keys`, `certificate` and `assertion_file` is required, unless `auth` is `none`: a public client"),
            r#"{ file = "/run/secrets/web" }"#,
            "The client's secret, or several while one is replaced by another. It is read again when it changes.",
        )
        .also(&["client_secret", "password", "secrets"]),
        Key::new(
            "private_key",
            Secrets,
            Optional,
            r#"{ file = "/run/secrets/web.pem" }"#,
            "The key that signs the client's assertions (`private_key_jwt`, RFC 7523), as PEM or JWK, or several while one is replaced by another. A JWK keeps its `kid`, a PEM's is its thumbprint (RFC 7638).",
        )
        .also(&["private_keys", "signing_key"]),
        Key::new(
            "own_keys",
            Kind::Table("a table { file = \"FILE\" }"),
            Optional,
            r#"{ file = "web.keys" }"#,
            "Key pairs that Portcullis makes, keeps in this file, publishes at `/.well-known/portcullis/jwks.json` of `public_url` and replaces on a schedule (`private_key_jwt`). Register that address as `jwks_uri` at the provider.",
        ),
        Key::new(
            "certificate",
            Kind::Table("a table { cert = \"FILE\", key = \"FILE\" }"),
            Optional,
            r#"{ cert = "client.pem", key = "client.key" }"#,
            "The certificate that the client shows (RFC 8705). It is read again when it changes.",
        )
        .also(&["client_certificate", "tls"]),
        Key::new(
            "assertion_file",
            Path,
            Optional,
            r#""/var/run/secrets/tokens/portcullis""#,
            "A file with an assertion that the platform signs and keeps fresh (RFC 7523): the token of a Kubernetes service account, of GitHub Actions, of a workload identity in the cloud. It is read for each request and need not be there at the start.",
        )
        .also(&["federated_token_file", "workload_identity"]),
        Key::new(
            "auth",
            OneOf(&[
                "client_secret_basic",
                "client_secret_post",
                "private_key_jwt",
                "tls_client_auth",
                "self_signed_tls_client_auth",
                "none",
            ]),
            Depends("`client_secret_basic` with `secret`, `private_key_jwt` with `private_key` or `assertion_file`, `tls_client_auth` with `certificate`"),
            r#""client_secret_post""#,
            "How the client proves itself at the token, revocation and introspection endpoint. `none`: a public client.",
        )
        .also(&["token_endpoint_auth_method", "authentication", "method"]),
        Key::new(
            "registration",
            Kind::Table("a table { uri = \"URL\", token_file = \"FILE\" }"),
            Optional,
            r#"{ uri = "https://login.example.com/register/web", token_file = "web.registration" }"#,
            "Where the provider lets the registration be changed (RFC 7592). `portcullis secret rotate` gets new secrets there; the gateway does not.",
        )
        .also(&["registration_client_uri", "management"]),
        Key::new(
            "algorithm",
            ALGORITHM,
            Depends("that of the JWK; for PEM `RS256`, `EdDSA`, or the one of the curve"),
            r#""PS256""#,
            "What `private_key` signs with.",
        )
        .also(&["token_endpoint_auth_signing_alg", "alg"]),
        Key::new(
            "profile",
            OneOf(&["fapi2"]),
            Optional,
            r#""fapi2""#,
            "The FAPI 2.0 Security Profile: all that it demands of a client is done and demanded of the provider, and what it forbids is refused.",
        ),
        Key::new(
            "dpop_key",
            Secret,
            Optional,
            r#"{ file = "/run/secrets/dpop.pem" }"#,
            "The key, as PEM or JWK, that the access tokens of this client are bound to (DPoP, RFC 9449), so that nobody else can use them. The same in all replicas.",
        ),
        Key::new(
            "pushed_requests",
            True,
            Optional,
            "true",
            "Authorization requests are pushed to the provider, and the browser carries a reference (RFC 9126). Where the provider demands it, it is done in any case.",
        )
        .also(&["par"]),
        Key::new(
            "signed_requests",
            True,
            Optional,
            "true",
            "Authorization requests are signed by `private_key` (RFC 9101).",
        )
        .also(&["jar", "request_object"]),
        Key::new(
            "response_mode",
            OneOf(&["query", "form_post"]),
            Default(r#""query""#),
            r#""form_post""#,
            "How the answer to a login comes. With `form_post` no code stands in a URL; the cookie of the attempt is then `SameSite=None`, so `public_url` must be https.",
        ),
        Key::new(
            "authorization_parameters",
            Kind::Table("a table { NAME = \"TEXT\" }"),
            Optional,
            r#"{ domain_hint = "example.com" }"#,
            "More parameters of authorization requests, as a provider may want them.",
        )
        .also(&["extra_parameters", "authorize_params"]),
        Key::new(
            "assertion_audience",
            OneOf(&["issuer", "token_endpoint"]),
            Default(r#""issuer""#),
            r#""token_endpoint""#,
            "The `aud` of assertions that `private_key` signs. `token_endpoint` is for providers that do not take their issuer, such as Entra ID.",
        ),
    ],
};

pub(crate) const REGISTRATION: Table = Table {
    name: "registration of [client.NAME]",
    about: "What the provider answered when the client was registered (RFC 7591). `portcullis secret rotate` alone uses it.",
    keys: &[
        Key::new(
            "uri",
            Kind::Url,
            Required,
            r#""https://login.example.com/register/web""#,
            "Its address: the `registration_client_uri`.",
        )
        .also(&["url", "registration_client_uri"]),
        Key::new(
            "token_file",
            Path,
            Required,
            r#""web.registration""#,
            "A file with the `registration_access_token`, which no other user can read. It is written when the provider gives out another one. The gateway does not read it, and it need not be on the machine that the gateway runs on.",
        )
        .also(&["token", "registration_access_token"]),
    ],
};

pub(crate) const OWN_KEYS: Table = Table {
    name: "own_keys of [client.NAME]",
    about: "A new key is published for an hour before it signs. `portcullis keys` shows, replaces and removes keys.",
    keys: &[
        Key::new(
            "file",
            Path,
            Required,
            r#""web.keys""#,
            "Where they are kept, sealed by the keys of `[store]`. It is made at the first start; all replicas need the same.",
        ),
        Key::new(
            "rotate",
            Duration(DAY, 730 * DAY),
            Default(r#""90d""#),
            r#""30d""#,
            "A new key is made after so long.",
        )
        .also(&["rotate_every", "lifetime"]),
        Key::new(
            "overlap",
            Duration(HOUR, 90 * DAY),
            Default(r#""7d""#),
            r#""1d""#,
            "The key before stays published for so long after the new one signs.",
        ),
        Key::new(
            "algorithm",
            ALGORITHM,
            Default(r#""ES256""#),
            r#""PS256""#,
            "What they sign with.",
        ),
    ],
};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

pub(crate) const CLIENT_CERTIFICATE: Table = Table {
    name: "certificate of [client.NAME]",
    about: "PEM files, relative to the configuration's directory.",
    keys: &[
        Key::new(
            "cert",
            Path,
            Required,
            r#""client.pem""#,
            "The certificate and its chain.",
        )
        .also(&["chain"]),
        Key::new(
            "key",
            Path,
            Required,
            r#""client.key""#,
            "Its private key. Other users must not be able to read it.",
        ),
    ],
};

pub(crate) const CLIENT_SECRET: Table = Table {
    name: "a secret of [client.NAME]",
    about: "As any secret, and when it is valid. Of several the newest is used that is valid and that the provider takes; where no dates tell, the one that stands first. 30, 14, 7 and 1 days before `expires` there is an event, and `/readyz` says so.",
    keys: &[
        Key::new(
            "file",
            Path,
            Optional,
            r#""/run/secrets/web""#,
            "A file that no other user can read (`chmod 600`). It is read again when it changes.",
        ),
        Key::new("env", Text, Optional, r#""WEB_SECRET""#, "An environment variable."),
        Key::new(
            "command",
            List("the program and its arguments"),
            Optional,
            r#"["op", "read", "op://vault/web/secret"]"#,
            "A program whose standard output it is. No shell; 10 seconds. It is run again every five minutes, and when the provider refuses what it gave.",
        ),
        Key::new(
            "dev_only",
            Text,
            Optional,
            r#""web-secret""#,
            "The secret itself. Accepted only where `public_url` and the provider's issuer are both loopback.",
        ),
        Key::new(
            "not_before",
            Text,
            Optional,
            r#""2026-11-01""#,
            "It is not used before this day, or time in UTC.",
        ),
        Key::new(
            "expires",
            Text,
            Optional,
            r#""2027-05-01T12:00:00Z""#,
            "From then on it is only used where there is no other.",
        )
        .also(&["expiry", "not_after"]),
    ],
};

pub(crate) const SECRET: Table = Table {
    name: "a secret",
    about: "A secret is never written into the configuration. It is a table with exactly one of these keys.",
    keys: &[
        Key::new(
            "file",
            Path,
            Optional,
            r#""/run/secrets/web""#,
            "A file that no other user can read (`chmod 600`). A line break at its end, LF or CR LF, is left out; a byte order mark is refused, as is UTF-16.",
        )
        .also(&["path"]),
        Key::new("env", Text, Optional, r#""WEB_SECRET""#, "An environment variable.")
            .also(&["variable", "environment"]),
        Key::new(
            "command",
            List("the program and its arguments"),
            Optional,
            r#"["op", "read", "op://vault/web/secret"]"#,
            "A program whose standard output is the secret. No shell; 10 seconds.",
        )
        .also(&["cmd", "exec", "run"]),
        Key::new(
            "dev_only",
            Text,
            Optional,
            r#""web-secret""#,
            "The secret itself. Accepted only where `public_url` and the provider's issuer are both loopback.",
        ),
    ],
};
