//! The tables. A key that is not here does not exist.

use super::Kind::{Address, Count, Duration, List, OneOf, Path, Reference, Secret, Switch, Text, True, Url};
use super::Presence::{Default, Depends, Optional, Required};
use super::access::{API, API_POLICY, API_REVOCATIONS, API_TOKEN, CLAIM, MEMBER, POLICY, ROUTE};
use super::client::{CLIENT, CLIENT_CERTIFICATE, CLIENT_SECRET, OWN_KEYS, REGISTRATION, SECRET};
use super::frontend::{ASSETS, FRONTEND, HEADERS, LOGIN, SESSION};
use super::{Key, Kind, Section, Table};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// What may stand at the top of the file.
pub(crate) const SECTIONS: &[Section] = &[
    Section {
        name: "server",
        named: false,
        also: &["listener", "gateway"],
    },
    Section {
        name: "store",
        named: false,
        also: &["session_store", "database"],
    },
    Section {
        name: "admin",
        named: false,
        also: &["administration", "management"],
    },
    Section {
        name: "provider",
        named: true,
        also: &["idp", "issuer", "identity_provider"],
    },
    Section {
        name: "client",
        named: true,
        also: &["application"],
    },
    Section {
        name: "frontend",
        named: true,
        also: &["spa", "bff"],
    },
    Section {
        name: "api",
        named: true,
        also: &["route", "upstream", "backend"],
    },
    Section {
        name: "policy",
        named: true,
        also: &["policies", "authorization"],
    },
    Section {
        name: "danger",
        named: false,
        also: &[],
    },
];

/// All tables, in the order of the manual.
pub(crate) const TABLES: &[&Table] = &[
    &SERVER,
    &TLS,
    &CERTIFICATE_HEADER,
    &STORE,
    &ADMIN,
    &PROVIDER,
    &INTROSPECTION,
    &CLIENT,
    &CLIENT_CERTIFICATE,
    &OWN_KEYS,
    &REGISTRATION,
    &CLIENT_SECRET,
    &SECRET,
    &FRONTEND,
    &ASSETS,
    &SESSION,
    &LOGIN,
    &HEADERS,
    &API,
    &API_POLICY,
    &ROUTE,
    &API_REVOCATIONS,
    &API_TOKEN,
    &POLICY,
    &MEMBER,
    &CLAIM,
    &DANGER,
];

pub(crate) const SERVER: Table = Table {
    name: "server",
    about: "Where the gateway is seen, and where it listens.",
    keys: &[
        Key::new(
            "public_url",
            Url,
            Required,
            r#""https://app.example.com""#,
            "The origin that browsers see. `https://`, or `http://` on loopback. No path.",
        )
        .also(&["url", "origin", "external_url", "base_url"]),
        Key::new(
            "listen",
            Address,
            Depends("required, unless `public_url` is loopback: then its host and port"),
            r#""0.0.0.0:8443""#,
            "Address and port to listen on.",
        )
        .also(&["bind", "address", "port", "host"]),
        Key::new(
            "tls",
            Kind::Table("a table { cert = \"PATH\", key = \"PATH\" }"),
            Optional,
            r#"{ cert = "tls.pem", key = "tls.key" }"#,
            "The certificate to serve. Absent where something in front ends TLS.",
        ),
        Key::new(
            "client_certificate_header",
            Kind::Table("a table { name = \"HEADER\", trusted_proxies = [\"NETWORK\"] }"),
            Optional,
            r#"{ name = "Client-Cert", trusted_proxies = ["10.0.0.0/8"] }"#,
            "The header in which a proxy in front, which ends TLS, passes the client's certificate on.",
        ),
        Key::new(
            "dpop_nonce",
            True,
            Optional,
            "true",
            "DPoP proofs must have a nonce that this gateway gave out within the last minutes. Replicas share the store's `keys`, or its key file.",
        ),
        Key::new(
            "admin",
            Address,
            Optional,
            r#""127.0.0.1:9090""#,
            "Console, `/metrics`, `/livez`, `/readyz` and the admin API. Always a loopback address. Absent: none of them is served.",
        ),
        Key::new(
            "probes",
            Address,
            Optional,
            r#""0.0.0.0:9091""#,
            "`/livez`, `/readyz` and `/metrics` alone, under any name: for load balancers, a kubelet and Prometheus. They tell names of the configuration (routes, providers) and counts; let only those reach it who may know. While the gateway ends, it is alive and not ready there.",
        )
        .also(&["health", "metrics"]),
        Key::new(
            "stop_delay",
            Duration(0, 5 * MINUTE),
            Default(r#""0s""#),
            r#""5s""#,
            "When it is told to stop (SIGTERM), the gateway takes new calls for so long, while `/readyz` says that it is not ready: time for a load balancer to notice. A second signal ends the wait.",
        )
        .also(&["shutdown_delay", "pre_stop"]),
        Key::new(
            "drain",
            Duration(1, HOUR),
            Default(r#""10s""#),
            r#""30s""#,
            "How long calls that are under way may go on after that. WebSockets and event streams have no end of their own, and end at once: their clients come back.",
        )
        .also(&["shutdown_timeout", "grace_period"]),
        Key::new(
            "trusted_proxies",
            List("IP addresses or networks in quotes"),
            Optional,
            r#"["10.0.0.0/8", "::1"]"#,
            "Proxies in front whose `X-Forwarded-For` says where a call comes from: for upstreams, and for `address` of a person's sessions. From anybody else it means nothing.",
        )
        .also(&["proxies", "forwarded_allow"]),
        Key::new(
            "development",
            Switch,
            Default("false"),
            "true",
            "Refusals tell their code in the header `Portcullis-Reason`. Only where `public_url` and `listen` are loopback.",
        )
        .also(&["dev", "debug"]),
        Key::new(
            "workers",
            Count(1, 1024),
            Depends("one for each core"),
            "2",
            "Number of threads.",
        )
        .also(&["threads"]),
        Key::new(
            "token_cache",
            Count(0, 65_536),
            Default("128"),
            "512",
            "MiB of memory for tokens that were verified, over all APIs; a token takes about 3 KB. Where more are in use than there is room for, signatures are verified again and again. `0`: for each call.",
        )
        .also(&["cache", "cache_size"]),
    ],
};

pub(crate) const TLS: Table = Table {
    name: "tls of [server]",
    about: "PEM files, relative to the configuration's directory.",
    keys: &[
        Key::new("cert", Path, Required, r#""tls.pem""#, "The certificate and its chain.")
            .also(&["certificate", "chain"]),
        Key::new(
            "key",
            Path,
            Required,
            r#""tls.key""#,
            "Its private key. Other users must not be able to read it.",
        )
        .also(&["private_key"]),
        Key::new(
            "client_certificates",
            True,
            Optional,
            "true",
            "Asks clients for a certificate, for tokens that are bound to one (RFC 8705). Any is taken whose key the client proves to have, as the token says which it must be. A client without one is served too. Browsers may ask their users which certificate to show.",
        )
        .also(&["client_auth", "mtls"]),
        Key::new(
            "client_ca",
            Path,
            Optional,
            r#""clients.pem""#,
            "The same, and a certificate that is shown must be issued by one of the authorities in this PEM file.",
        )
        .also(&["client_ca_file", "ca"]),
    ],
};

pub(crate) const CERTIFICATE_HEADER: Table = Table {
    name: "client_certificate_header of [server]",
    about: "From anybody else than these proxies the header means nothing. No upstream ever gets it.",
    keys: &[
        Key::new(
            "name",
            Text,
            Required,
            r#""Client-Cert""#,
            "The header's name. Its value is read as RFC 9440 (`:BASE64:`), URL-encoded PEM (nginx), the base64 of the DER form (Traefik), or, where the name is `X-Forwarded-Client-Cert`, as Envoy writes it with `Cert`.",
        )
        .also(&["header"]),
        Key::new(
            "trusted_proxies",
            List("IP addresses or networks in quotes"),
            Required,
            r#"["10.0.0.0/8", "::1"]"#,
            "Where requests of the proxy come from. It must set the header itself, also to nothing, whatever the client sent.",
        )
        .also(&["proxies", "from"]),
    ],
};

pub(crate) const STORE: Table = Table {
    name: "store",
    about: "Where sessions and revocations live. Without this table: `portcullis.db` beside the configuration. The manual's page on stores says what each is for.",
    keys: &[
        Key::new("url", Text, Default(r#""sqlite:portcullis.db""#), r#""rediss://portcullis@redis.internal:6379""#,
            "`sqlite:PATH`, in a directory that exists; `redis://[USER@]HOST[:PORT][/DATABASE]`, `redis+sentinel://HOST,HOST/MASTER`, `redis+cluster://HOST,HOST`, each with TLS as `rediss`; `postgres://[USER@]HOST[:PORT][/DATABASE]`, with TLS unless the host is loopback or `?sslmode=disable` is there; `cookie`: no store, browsers carry their sessions.")
            .also(&["path", "file", "redis", "connection_string", "dsn"]),
        Key::new("password", Secret, Optional, r#"{ file = "/run/secrets/redis" }"#,
            "The password of the user in `url`, or that of Redis' `requirepass`."),
        Key::new("sentinel_password", Secret, Optional, r#"{ file = "/run/secrets/sentinel" }"#,
            "The password of the Sentinels themselves, where they have one."),
        Key::new("ca_file", Path, Optional, r#""internal-ca.pem""#,
            "PEM file of the authority that signed the server's certificate, to trust instead of the system's.")
            .also(&["ca", "ca_cert", "tls_ca"]),
        Key::new("keys", List("secrets"), Depends("required, unless `url` is `sqlite:`"), r#"[{ file = "/run/secrets/seal" }]"#,
            "Keys that seal what is stored: 32 random bytes each, base64url or hex. A file or the output of a command may hold several, one in a line. The first seals, all open, so a new one is put in front to rotate; files are read again every 2 seconds, commands every 30. Absent: a key file is made beside the SQLite file.")
            .also(&["key", "secret", "sealing_keys"]),
        Key::new("grace", Duration(0, 10 * MINUTE), Default(r#""30s""#), r#""2m""#,
            "While the store does not answer, a session that was read from it so recently still counts for calls that only read (GET, HEAD, OPTIONS). `0s`: for none.")
            .also(&["stale_for"]),
    ],
};

pub(super) const ALGORITHM: Kind = OneOf(&ALGORITHMS);
/// Signature algorithms by name; symmetric ones and `none` are not among them.
pub(crate) const ALGORITHMS: [&str; 11] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
];

pub(crate) const PROVIDER: Table = Table {
    name: "provider.NAME",
    about: "An identity provider: who issues the tokens.",
    keys: &[
        Key::new("issuer", Url, Required, r#""https://login.example.com""#,
            "The provider's issuer, exactly as its discovery document and its tokens spell it. `https://`, or `http://` on loopback. With `{tenantid}` in it, it is the template of the issuers of `tenants`.")
            .also(&["authority", "domain", "url"]),
        Key::new("tenants", List("tenant identifiers"), Depends("required with a template, else none"), r#"["9122040d-6c67-4c5b-b112-36a304b66dad"]"#,
            "The tenants whose tokens count: `iss` is the template filled with the token's own `tid`, and that is one of these. There is no wildcard.")
            .also(&["tenant", "tenant_ids"]),
        Key::new("discovery", Url, Depends("required with a template, unless the keys have an address of their own"), r#""https://login.microsoftonline.com/organizations/v2.0""#,
            "Where the discovery document is (before `/.well-known/`), if not at the issuer. It must name the issuer, or the template, all the same.")
            .also(&["discovery_url", "metadata"]),
        Key::new("internal_hosts", List("host names"), Optional, r#"["keys.internal.example.com"]"#,
            "Hosts at private addresses that the discovery document may lead to. A document is followed to public addresses, to the hosts of `issuer`, `discovery` and `jwks_url`, and to private addresses where the issuer is at one itself; nowhere else.")
            .also(&["allowed_hosts"]),
        Key::new("keys_on_demand", True, Optional, "true",
            "Keys are fetched again when they are old and used, and not while nobody calls; where they are older than an hour, the first call waits for newer ones. By default they are fetched ahead, so that no call meets old ones; a provider is then asked also while the gateway is idle."),
        Key::new("jwks_url", Url, Optional, r#""https://login.example.com/keys""#,
            "Where the keys are. Absent: discovery says it.")
            .also(&["jwks_uri", "keys"]),
        Key::new("jwks_file", Path, Optional, r#""issuer-keys.json""#,
            "A file with the keys, for a provider that publishes none: a JWK set, a JWK or PEM. It is read again when it changes.")
            .also(&["jwks", "keys_file", "public_key"]),
        Key::new("shared_secret", Secret, Optional, r#"{ file = "/run/secrets/issuer" }"#,
            "The secret that a provider without key pairs signs with, byte for byte as it is there; at least as long as the algorithm's hash. Whoever can check such a token could make it: where there is a choice, use key pairs.")
            .also(&["hmac_secret", "signing_secret"]),
        Key::new("introspection", Kind::Table("a table { client = \"NAME\", cache = \"60s\" }"), Optional, r#"{ client = "web" }"#,
            "Takes tokens that are no JWT too: the provider is asked about each (RFC 7662)."),
        Key::new("id_token_algorithm", ALGORITHM, Default(r#""RS256""#), r#""ES256""#, "The algorithm of ID tokens."),
        Key::new("access_token_type", OneOf(&["at+jwt", "any"]), Default(r#""at+jwt""#), r#""any""#,
            "The `typ` of access tokens. `any` is for providers that do not mark them (RFC 9068 asks for `at+jwt`); an ID token is refused in both cases."),
        Key::new("algorithms", List("algorithms"), Default(r#"["RS256", "PS256", "ES256", "EdDSA"]"#), r#"["ES256"]"#,
            "The algorithms of access tokens. `HS256`, `HS384` and `HS512` with `shared_secret`, and only then.")
            .also(&["algs", "signing_algorithms"]),
        Key::new("leeway", Duration(0, 5 * MINUTE), Default(r#""30s""#), r#""5s""#, "How far the provider's clock and ours may differ.")
            .also(&["clock_skew", "skew"]),
        Key::new("max_token_lifetime", Duration(MINUTE, 31 * 24 * HOUR), Default(r#""1d""#), r#""30d""#,
            "The longest time from `iat` to `exp` of an access token; one that lives for longer is refused. Revocations of what was issued by now are kept for as long.")
            .also(&["max_lifetime"]),
        Key::new("ca_file", Path, Optional, r#""corporate-ca.pem""#, "PEM file of the authority that signed the provider's certificate, to trust instead of the system's.")
            .also(&["ca", "ca_cert"]),
    ],
};

/// The algorithms of a shared secret.
pub(crate) const SHARED_ALGORITHMS: [&str; 3] = ["HS256", "HS384", "HS512"];

pub(crate) const INTROSPECTION: Table = Table {
    name: "introspection of [provider.NAME]",
    about: "How tokens that are no JWT are asked about. The answer is held to the same rules as a JWT: it must have `aud`, `exp` and `sub`.",
    keys: &[
        Key::new(
            "client",
            Reference("client"),
            Required,
            r#""web""#,
            "NAME of the client, with a secret at this provider, that asks.",
        )
        .also(&["client_id"]),
        Key::new(
            "cache",
            Duration(0, HOUR),
            Default(r#""60s""#),
            r#""10s""#,
            "How long an answer counts; the provider's own revocation is not seen before. `0s` asks for every call.",
        )
        .also(&["ttl", "cache_for"]),
        Key::new(
            "url",
            Url,
            Optional,
            r#""https://login.example.com/introspect""#,
            "Where to ask. Absent: discovery says it.",
        )
        .also(&["endpoint", "introspection_endpoint"]),
    ],
};

pub(crate) const ADMIN: Table = Table {
    name: "admin",
    about: "Who may revoke tokens through the admin address. Absent: nobody.",
    keys: &[Key::new(
        "token",
        Secret,
        Required,
        r#"{ file = "/run/secrets/admin" }"#,
        "What a call of the admin API carries as `Authorization: Bearer`: at least 32 characters, such as those of `openssl rand -hex 32`.",
    )
    .also(&["secret", "password", "api_key", "key"])],
};

pub(crate) const DANGER: Table = Table {
    name: "danger",
    about: "What weakens security, where there is no other way. Every key is listed at each start. Nothing turns off the check of a signature, an issuer, an audience or a lifetime.",
    keys: &[Key::new(
        "dangerous_allow_plain_http_upstream_hosts",
        List("host names"),
        Optional,
        r#"["orders.internal"]"#,
        "Hosts that an API's `upstream` may name with plain `http://`: who can read that network can read the tokens.",
    )],
};
