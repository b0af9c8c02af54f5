//! What the doctor can find, with cause and fix; the findings add what they saw.

/// What there is to know about one problem.
pub(crate) struct Problem {
    /// The stable name: `doctor.tls_untrusted`.
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) fix: &'static str,
}

macro_rules! problems {
    ($($name:ident = $code:literal, $title:literal, $cause:literal, $fix:literal;)*) => {
        $(pub(crate) const $name: Problem = Problem { code: $code, title: $title, cause: $cause, fix: $fix };)*
        /// All of them, in the order of the manual.
        pub(crate) const ALL: &[&Problem] = &[$(&$name),*];
    };
}

problems! {
    DANGER = "doctor.danger", "A setting weakens security on purpose",
        "`[danger]` or `development` is in use.",
        "Leave it only where it is meant: on a laptop, or inside a network that nobody else listens on.";
    OWN_CERTIFICATE = "doctor.own_certificate", "The gateway's certificate cannot be used or is about to end",
        "Browsers and clients refuse the gateway when its certificate is over.",
        "Renew it and put it where `tls` says. Let a program do it ahead of time (ACME), and restart the gateway.";
    NAME_UNRESOLVED = "doctor.name_unresolved", "The name has no address",
        "DNS on this machine does not know it: a slip in the name, a resolver that does not see the internal zone, or no network.",
        "Try `getent hosts NAME` on this machine. In a container look at its resolver; behind a proxy that has to resolve, there is no direct way.";
    NOT_CONNECTED = "doctor.not_connected", "No connection",
        "Nobody listens at that address and port, or a firewall is in between.",
        "Check port and firewall from this machine: `nc -vz HOST PORT`. A proxy for outgoing calls is not used.";
    TLS_UNTRUSTED = "doctor.tls_untrusted", "The certificate is not trusted",
        "The chain does not lead to an authority that this machine trusts, is over, or is for another name. A proxy that opens TLS signs with an authority of its own.",
        "Name that authority in `ca_file` of the provider, or let the provider send its intermediate certificates and a certificate for its name.";
    TLS_FAILED = "doctor.tls_failed", "The TLS handshake fails",
        "What listens there does not speak TLS 1.2 or 1.3, or not TLS at all.",
        "Check port and protocol: `openssl s_client -connect HOST:PORT`. TLS 1.0 and 1.1 are not spoken.";
    CERTIFICATE_ENDS = "doctor.certificate_ends", "The certificate is about to end",
        "When it is over, nothing can be asked of the server any more.",
        "Tell whoever runs it. A certificate that is renewed by a program is renewed some 30 days ahead.";
    DISCOVERY_REDIRECTED = "doctor.discovery_redirected", "The discovery document answers with a redirect",
        "Redirects are not followed: whoever can redirect could name other keys. The address is not that of the issuer: http for https, a missing path, an old host name.",
        "Write the address that it leads to as `issuer`, if that is what the provider's tokens have in `iss`; else name it in `discovery`.";
    DISCOVERY_MISSING = "doctor.discovery_missing", "There is no discovery document",
        "The address answers, but not with a document: the issuer has another path (a realm, a tenant, `/v2.0`), or something in between answers for the provider.",
        "Open `ISSUER/.well-known/openid-configuration` yourself. Providers without discovery need `jwks_url` or `jwks_file`.";
    DISCOVERY_ISSUER = "doctor.discovery_issuer", "The discovery document names another issuer",
        "It must equal the configured one byte for byte (OpenID Connect Discovery 1.0 s4.3); else one provider could speak for another.",
        "Copy the `issuer` of the document into the configuration. If the host differs, the provider does not know its public address.";
    ENDPOINT_MISSING = "doctor.endpoint_missing", "The provider lacks an endpoint that the configuration needs",
        "Its discovery document does not name it.",
        "Turn the feature on at the provider, or take it out of the configuration.";
    ENDPOINT_WISHED = "doctor.endpoint_wished", "The provider lacks an endpoint that would be used",
        "Without `end_session_endpoint` a logout ends the session here and not at the provider; without `revocation_endpoint` refresh tokens live on until they expire.",
        "Turn it on at the provider if it has it. Nothing breaks without.";
    ENDPOINT_INSECURE = "doctor.endpoint_insecure", "The provider names an endpoint that secrets must not be sent to",
        "It is not https and not on loopback: the provider sits behind a proxy that ends TLS, and believes that it is asked over http.",
        "Tell the provider its public address, and let the proxy send `X-Forwarded-Proto`.";
    PKCE_NOT_ANNOUNCED = "doctor.pkce_not_announced", "The provider does not say that it supports PKCE with S256",
        "`code_challenge_methods_supported` lacks `S256` (RFC 8414 s2). Some providers support it and do not say so (Entra ID); one that does not would leave logins without this protection.",
        "Look into the provider's documentation. The challenge is sent in any case.";
    DEVELOPMENT_PROVIDER = "doctor.development_provider", "This is the development provider",
        "Its users and passwords are for laptops and tests, and its keys are gone when it stops.",
        "Configure a real provider before anybody relies on it.";
    ALGORITHM_OFFERED = "doctor.algorithm_offered", "The provider signs with other algorithms than are accepted",
        "None of the algorithms that the provider's keys and metadata offer is accepted by the configuration: every token would be refused.",
        "Set `algorithms` and `id_token_algorithm` of the provider to what it signs with, or change that at the provider.";
    SLOW = "doctor.slow", "The answer takes long",
        "A login and each refresh wait for it, and keys are fetched within 4 s or not at all.",
        "Look at the way between the two: DNS, proxies, another continent.";
    CLOCK_DIFFERS = "doctor.clock_differs", "The clocks differ",
        "Fresh tokens look as if they were from the future, or as if they were over, when clocks are further apart than `leeway`.",
        "Turn NTP on at this machine (`timedatectl set-ntp true`) or tell whoever runs the provider.";
    KEYS_UNREACHABLE = "doctor.keys_unreachable", "The provider's keys cannot be had",
        "Without them no token can be checked: calls get 503.",
        "See what is said above of name, connection and TLS. `jwks_url` and `jwks_file` name another place.";
    KEYS_NONE = "doctor.keys_none", "None of the published keys can be used",
        "The key set is empty, or all of its keys are left out.",
        "Look at why each is left out. RSA keys have 2048 bits at least; symmetric keys are never published.";
    KEY_IGNORED = "doctor.key_ignored", "A published key is not used",
        "It is for encryption, too weak, of another kind, or broken. Tokens that it signed are refused.",
        "Keys for encryption are none of our business. For the others: replace the key at the provider.";
    KEY_EXPOSED = "doctor.key_exposed", "The provider publishes a private key",
        "Whoever reads the key set can make tokens in the provider's name.",
        "Replace the key at once, and revoke what was signed with it: `portcullis revocations add --whole-issuer`.";
    KEYS_UNNAMED = "doctor.keys_unnamed", "Several keys have no name",
        "Without `kid` nobody can tell which key a token means; all of them are tried, up to eight.",
        "Let the provider write `kid` into keys and tokens.";
    CLIENT_REFUSED = "doctor.client_refused", "The provider does not accept the client",
        "It answered `invalid_client`: the secret is wrong or over, the client does not exist there, or it has to prove itself in another way.",
        "Compare `client_id` with the registration, make a new secret there, and look at the client's authentication method.";
    CLIENT_UNANSWERED = "doctor.client_unanswered", "The token endpoint gave no answer that can be used",
        "It failed, or answered something that is no OAuth answer.",
        "Try again; if it stays so, ask whoever runs the provider with the time of this report.";
    AUTH_METHOD = "doctor.auth_method", "The provider does not take the client's authentication method",
        "`token_endpoint_auth_methods_supported` does not list it.",
        "Choose one of the listed ones in `auth` of the client, and at its registration.";
    SECRET_ENDS = "doctor.secret_ends", "A secret of the client is over or about to end",
        "When the last one is over, logins, refreshes and token requests fail.",
        "Make a new secret at the provider, and put it beside the old one until that is over.";
    REDIRECT_UNREGISTERED = "doctor.redirect_unregistered", "The provider refuses the login's address of return",
        "The redirect URI is not registered for this client, byte for byte: another host, port or path, http for https, or a slash at the end.",
        "Register exactly this address for the client at the provider, or correct `public_url`.";
    LOGIN_REFUSED = "doctor.login_refused", "The provider refuses the login before anybody signs in",
        "It came back with an error at once: a scope that the client may not ask for, a resource that does not exist, a flow that is not allowed.",
        "Look at what it said, and compare `scopes` and `resource` of the frontend with the client's registration.";
    UPSTREAM_AWAY = "doctor.upstream_away", "The upstream does not answer",
        "Calls to this API get 502 or 504.",
        "Start it, or correct `upstream` of the API. In a container `127.0.0.1` is the container itself.";
    UPSTREAM_FAILS = "doctor.upstream_fails", "The upstream answers with a failure",
        "It is reached, and says itself that it cannot serve.",
        "Look into its own log, at the time of this report.";
    UPSTREAM_CORS = "doctor.upstream_cors", "The upstream lets every web page read its answers",
        "It answers a made-up origin with `Access-Control-Allow-Origin` for it and `Access-Control-Allow-Credentials: true`. Behind the gateway this opens nothing by itself; whoever reaches the upstream directly with a cookie is exposed.",
        "Turn CORS off at the upstream: pages and API have one origin here, so none is needed.";
    CORS_ANSWER = "doctor.cors_answer", "Pages of an origin that is let in are not",
        "`cors` of the frontend lists the origin, and the answer at the public address does not permit it: another gateway or an older configuration answers there, or something in between removes the headers.",
        "Restart or reload what answers there, and let proxies pass `Access-Control-*` headers and OPTIONS on.";
    STORE_UNUSABLE = "doctor.store_unusable", "The store cannot be used",
        "Without it nobody can sign in, and what is revoked is not known.",
        "Do what is said with it. A store is never emptied by itself.";
    STORE_SLOW = "doctor.store_slow", "The store answers slowly",
        "Every call with a session reads it.",
        "Use a local disk, not a network one; look at what else writes there.";
    DISK_SPACE = "doctor.disk_space", "The store is almost full",
        "When its disk, or the memory that it may use, is full, nobody can sign in, and revocations are refused.",
        "Make room, raise the limit (`maxmemory` of Redis), or move the store.";
    STORE_EVICTS = "doctor.store_evicts", "The store throws away what it holds when it is full",
        "Redis has a `maxmemory` and a policy that evicts: sessions would be lost, and with them revocations and the marks against replay.",
        "Set `maxmemory-policy noeviction` at the server, and enough `maxmemory`.";
    STORE_CLOCK = "doctor.store_clock", "The store's clock and this machine's differ",
        "One of them is wrong. Portcullis goes by its own; replicas with different clocks end sessions and take tokens at different times.",
        "Let both follow the same time servers (NTP).";
    KEY_RING = "doctor.key_ring", "The keys at hand do not open what is stored",
        "Sessions were sealed with a key that is not in the ring: another key file, or a key that was taken out too early. Whoever has such a session signs in again.",
        "Put the missing key back behind the first one in `keys` of `[store]`, or into the key file, until those sessions are over.";
    TOKEN_REFUSED = "doctor.token_refused", "The guard refuses the token",
        "One of its checks fails; see the list.",
        "The likely cause below says what to change.";
    ADDRESS_AWAY = "doctor.address_away", "The address does not answer",
        "No connection, no TLS, or no answer in time.",
        "Check the address from this machine, and that the gateway runs behind it.";
    ADDRESS_REFUSES = "doctor.address_refuses", "The address refuses the call",
        "The answer is an error.",
        "See the code and the likely cause; `portcullis explain CODE` tells more.";
}

/// The problem of this code, with or without its family.
pub(crate) fn find(code: &str) -> Option<&'static Problem> {
    let known = ALL.iter().copied();
    known
        .into_iter()
        .find(|problem| problem.code == code || problem.code.strip_prefix("doctor.") == Some(code))
}

/// The page of the manual.
pub(crate) fn markdown() -> String {
    let mut out = include_str!("manual.md.in").to_owned();
    for problem in ALL {
        let cell = |text: &str| text.replace('|', "\\|");
        out.push_str(&format!(
            "| `{}` | {}. | {} | {} |\n",
            problem.code,
            problem.title,
            cell(problem.cause),
            cell(problem.fix)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_all_of_them() {
        let manual = include_str!("../../../../docs/doctor.md");
        assert_eq!(manual, markdown(), "run `cargo xtask docs`");
    }

    #[test]
    fn names_are_unique_and_every_text_says_something() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|problem| problem.code).collect();
        assert_eq!(names.len(), ALL.len());
        for problem in ALL {
            assert!(problem.code.starts_with("doctor."), "{}", problem.code);
            assert!(problem.cause.len() > 20 && problem.fix.len() > 20, "{}", problem.code);
            assert_eq!(find(problem.code).map(|found| found.title), Some(problem.title));
        }
    }
}
