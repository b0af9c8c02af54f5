//! The tables of who may call what: APIs, their routes, and policies.

use super::Kind::{Duration, List, OneOf, OneOrMore, Other, Reference, Text, True, Url};
use super::Presence::{Default, Depends, Optional, Required};
use super::{Key, Kind, Table};

const HOUR: u64 = 60 * 60;
const YEAR: u64 = 365 * 24 * HOUR;

/// The policy that is there without a table: every valid token passes.
pub(crate) const AUTHENTICATED: &str = "authenticated";

pub(crate) const API: Table = Table {
    name: "api.NAME",
    about: "An API: which calls are checked, how, and where they go.",
    keys: &[
        Key::new(
            "path",
            Text,
            Required,
            r#""/api/orders""#,
            "The path, and everything below it. The paths of two APIs do not overlap.",
        )
        .also(&["prefix", "location", "path_prefix"]),
        Key::new(
            "upstream",
            Url,
            Required,
            r#""http://127.0.0.1:5000""#,
            "Where calls go. The path is passed on unchanged: `/api/orders/7` arrives as `/api/orders/7`; with `http://127.0.0.1:5000/v1` as `/v1/api/orders/7`. `https://`, or `http://` on loopback, because tokens go there too; see `[danger]`.",
        )
        .also(&["url", "backend", "target", "proxy_pass"]),
        Key::new(
            "upstream_path",
            Text,
            Optional,
            r#""/v1/orders""#,
            "What stands in the place of `path` when a call is sent on: `/api/orders/7` arrives as `/v1/orders/7`; with `\"/\"` as `/7`. Policies and `routes` judge the path as it was called. Redirects to an absolute URL of the upstream's lead back below `path`; one to a path alone, and the `Path` of cookies, are passed on as the upstream wrote them.",
        )
        .also(&["rewrite", "strip_prefix", "path_rewrite", "remote_path"]),
        Key::new(
            "accept",
            List("\"session\", \"bearer\" or \"anyone\""),
            Depends(r#"`["session", "bearer"]`, without a frontend `["bearer"]`"#),
            r#"["bearer"]"#,
            "The credentials that a call may bring. `[\"anyone\"]`: a public route, nothing is checked.",
        ),
        Key::new(
            "provider",
            OneOrMore("the NAME of a [provider.NAME] table"),
            Depends("required, unless `accept` is `[\"anyone\"]`"),
            r#""entra""#,
            "NAME of the provider that issues the tokens, or of several: the token's `iss` picks one, exactly, and only its keys are tried.",
        )
        .also(&["providers", "issuer", "issuers"]),
        Key::new(
            "audience",
            OneOrMore("an audience in quotes"),
            Depends("required, unless `accept` is `[\"anyone\"]`"),
            r#""api://orders""#,
            "What `aud` of a token must be, or one of it. It is always checked.",
        )
        .also(&["aud", "audiences"]),
        Key::new(
            "policy",
            Other("the NAME of a [policy.NAME] table, or a table { GET = \"NAME\", default = \"NAME\" }"),
            Depends("required, unless `accept` is `[\"anyone\"]` or there are `routes`"),
            r#"{ GET = "ReadOrders", default = "WriteOrders" }"#,
            "Who may call the API's path and what is below. `\"authenticated\"`: every valid token for this audience. A method or path that no policy is about is refused.",
        )
        .also(&["policies", "authorize"]),
        Key::new(
            "routes",
            List("tables { path, methods, policy }"),
            Optional,
            r#"[{ path = "/api/orders/report", policy = "Admin" }]"#,
            "Paths inside with policies of their own. The most specific that matches decides.",
        )
        .also(&["route", "rules"]),
        Key::new(
            "sender_constrained",
            OneOf(&["dpop", "mtls", "any"]),
            Optional,
            r#""dpop""#,
            "Only tokens that are bound to a key of their sender: by DPoP, a client certificate, or one of the two. Whether or not it is set, a token that is bound is refused without its proof.",
        ),
        Key::new(
            "frontend",
            OneOrMore("the NAME of a [frontend.NAME] table"),
            Depends("the frontend that the path lies below, else the only one on its host"),
            r#""shop""#,
            "NAME of the frontend whose sessions count, or of several on different hosts.",
        )
        .also(&["frontends"]),
        Key::new(
            "pages",
            True,
            Optional,
            "true",
            "The upstream serves pages to people with a session: links from anywhere may read, and forms of the app's own origin may change, without the header `X-CSRF`. A form that meets a session which is over is kept, and can be sent after the login.",
        )
        .also(&["html", "forms"]),
        Key::new(
            "timeout",
            Duration(1, HOUR),
            Default(r#""30s""#),
            r#""5s""#,
            "How long the upstream may take to begin its answer.",
        ),
        Key::new(
            "revocations",
            Kind::Table("a table { max_age = \"1m\", when_stale = \"refuse\" }"),
            Depends("those of its keys"),
            r#"{ max_age = "10s", when_stale = "serve" }"#,
            "What happens while the list of revocations cannot be read.",
        )
        .also(&["revocation"]),
        Key::new(
            "token",
            Kind::Table("a table { from = \"WAY\" }"),
            Depends("`{ from = \"caller\" }`"),
            r#"{ from = "exchange", audience = "api://billing" }"#,
            "Which token the upstream gets.",
        )
        .also(&["upstream_token", "attach"]),
        Key::new(
            "realm",
            Text,
            Depends("the API's NAME"),
            r#""orders""#,
            "The realm of `WWW-Authenticate`.",
        ),
        Key::new(
            "resource",
            Url,
            Depends("`public_url` and `path`"),
            r#""http://localhost/api/orders""#,
            "What identifies the API for clients that look for its provider (RFC 9728): the address that they call. It lies inside `path`. The document about it is at `/.well-known/oauth-protected-resource` and its path.",
        ),
    ],
};

pub(crate) const API_TOKEN: Table = Table {
    name: "token of [api.NAME]",
    about: "Which token the upstream gets. The checks of the call are the same in each case.",
    keys: &[
        Key::new(
            "from",
            OneOf(&[
                "caller",
                "exchange",
                "client",
                "caller_or_client",
                "caller_or_none",
                "none",
            ]),
            Required,
            r#""client""#,
            "`caller`: what the call was made with, the session's token or the caller's own. `exchange`: that one, exchanged for a narrower one (RFC 8693). `client`: Portcullis' own (client credentials). `none`: none. `caller_or_client` and `caller_or_none` are for public routes (`accept = [\"anyone\"]`): the token of a session, where the browser has one.",
        ),
        Key::new(
            "client",
            Reference("client"),
            Depends("the client of the frontend"),
            r#""web""#,
            "NAME of the client that asks for the token.",
        ),
        Key::new(
            "scopes",
            List("scopes"),
            Optional,
            r#"["billing.read"]"#,
            "The scopes to ask for. Absent: what the provider gives without.",
        )
        .also(&["scope"]),
        Key::new(
            "resource",
            Url,
            Optional,
            r#""https://billing.example.com""#,
            "The resource to ask for (RFC 8707).",
        ),
        Key::new(
            "audience",
            Text,
            Optional,
            r#""api://billing""#,
            "The audience to ask for, where the provider goes by that (RFC 8693; Auth0).",
        )
        .also(&["aud"]),
    ],
};

pub(crate) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

const METHOD_EXAMPLE: &str = r#""WriteOrders""#;
const METHOD_ABOUT: &str = "NAME of the policy for this method.";

pub(crate) const API_POLICY: Table = Table {
    name: "policy of [api.NAME], by method",
    about: "HTTP methods and `default`. A method that is not named, where there is no `default`, is refused.",
    keys: &[
        Key::new(
            "GET",
            Reference("policy"),
            Optional,
            r#""ReadOrders""#,
            "NAME of the policy for GET, and for HEAD where that is not named.",
        ),
        Key::new("HEAD", Reference("policy"), Optional, METHOD_EXAMPLE, METHOD_ABOUT),
        Key::new("POST", Reference("policy"), Optional, METHOD_EXAMPLE, METHOD_ABOUT),
        Key::new("PUT", Reference("policy"), Optional, METHOD_EXAMPLE, METHOD_ABOUT),
        Key::new("PATCH", Reference("policy"), Optional, METHOD_EXAMPLE, METHOD_ABOUT),
        Key::new("DELETE", Reference("policy"), Optional, METHOD_EXAMPLE, METHOD_ABOUT),
        Key::new("OPTIONS", Reference("policy"), Optional, METHOD_EXAMPLE, METHOD_ABOUT),
        Key::new(
            "default",
            Reference("policy"),
            Optional,
            METHOD_EXAMPLE,
            "NAME of the policy for all other methods.",
        )
        .also(&["*", "other", "any"]),
    ],
};

pub(crate) const ROUTE: Table = Table {
    name: "routes of [api.NAME]",
    about: "Also written as `[[api.NAME.routes]]`.",
    keys: &[
        Key::new(
            "path",
            Text,
            Required,
            r#""/api/orders/{id}""#,
            "It lies inside the API's. Without braces: the path, and everything below it. With braces: exactly the paths like it; `{id}` stands for one segment, `{*rest}` at the end for one or more.",
        ),
        Key::new(
            "methods",
            List("HTTP methods"),
            Optional,
            r#"["GET"]"#,
            "Absent: all that no other route names for the same path. Other methods are left to the next less specific path, at last the API's.",
        )
        .also(&["method"]),
        Key::new(
            "policy",
            Reference("policy"),
            Required,
            r#""Admin""#,
            "NAME of the policy.",
        ),
    ],
};

pub(crate) const API_REVOCATIONS: Table = Table {
    name: "revocations of [api.NAME]",
    about: "What this replica has revoked holds at once in any case; these keys are about what others revoke.",
    keys: &[
        Key::new(
            "max_age",
            Duration(2, HOUR),
            Default(r#""1m""#),
            r#""10s""#,
            "The list is read every second. It is stale when it could not be read for so long.",
        )
        .also(&["stale_after", "ttl"]),
        Key::new(
            "when_stale",
            OneOf(&["refuse", "serve"]),
            Default(r#""refuse""#),
            r#""serve""#,
            "`refuse`: calls get 503 until it can be read. `serve`: they go on, are counted, and an event tells it.",
        ),
        Key::new(
            "require_jti",
            Kind::True,
            Optional,
            "true",
            "A token without `jti` is refused. It can be revoked all the same, by the hash of what was signed.",
        ),
    ],
};

const POLICIES: Kind = List("tables, each with one rule, or NAMEs of policies");

pub(crate) const POLICY: Table = Table {
    name: "policy.NAME",
    about: "Who may pass: exactly one rule, which `all`, `any` and `not` combine.",
    keys: &[
        Key::new(
            "all",
            POLICIES,
            Optional,
            r#"[{ scope = "orders.write" }, { role = "Orders.Admin" }]"#,
            "Every one passes.",
        ),
        Key::new(
            "any",
            POLICIES,
            Optional,
            r#"[{ role = "Admin" }, { kind = "service" }]"#,
            "At least one passes.",
        )
        .also(&["or", "one_of"]),
        Key::new(
            "not",
            Kind::Table("a table with one rule, or the NAME of a policy"),
            Optional,
            r#"{ client = "legacy" }"#,
            "The rule inside does not pass.",
        ),
        Key::new(
            "scope",
            Text,
            Optional,
            r#""orders.read""#,
            "The token has this scope (`scope` or `scp`).",
        ),
        Key::new(
            "scopes",
            List("scopes"),
            Optional,
            r#"["orders.read", "orders.write"]"#,
            "The token has all of these scopes.",
        ),
        Key::new(
            "role",
            Other("a role in quotes, or a table { name = \"ROLE\", in = \"CLAIM\" }"),
            Optional,
            r#""Orders.Admin""#,
            "The role is in `roles` or `realm_access.roles`, or in the claims that the table names.",
        )
        .also(&["roles"]),
        Key::new(
            "group",
            Other("a group in quotes, or a table { name = \"GROUP\", in = \"CLAIM\" }"),
            Optional,
            r#""staff""#,
            "The group is in `groups`, or in the claims that the table names.",
        )
        .also(&["groups"]),
        Key::new(
            "claim",
            Kind::Table("a table { path = \"CLAIM\", equals = VALUE }"),
            Optional,
            r#"{ path = "tenant", equals = "acme" }"#,
            "A claim has a value.",
        )
        .also(&["claims"]),
        Key::new(
            "client",
            OneOrMore("a client identifier in quotes"),
            Optional,
            r#"["reports", "billing"]"#,
            "The token was issued to this client, or one of these (`client_id`, else `azp`).",
        )
        .also(&["clients", "client_id", "azp"]),
        Key::new(
            "kind",
            OneOf(&["user", "service"]),
            Optional,
            r#""user""#,
            "The token is a person's, or a service's.",
        ),
        Key::new(
            "acr",
            OneOrMore("an authentication context class in quotes"),
            Optional,
            r#""urn:example:mfa""#,
            "The user was authenticated in this way, or one of these. A refusal asks for it (RFC 9470).",
        ),
        Key::new(
            "max_age",
            Duration(1, YEAR),
            Optional,
            r#""10m""#,
            "The user authenticated at most so long ago (`auth_time`). A refusal asks for a new authentication (RFC 9470).",
        ),
        Key::new(
            "email_domain",
            OneOrMore("a domain in quotes"),
            Optional,
            r#""example.com""#,
            "The user's address is in this domain, or one of these, and `email_verified` is `true`.",
        )
        .also(&["email_domains", "email"]),
        Key::new("authenticated", True, Optional, "true", "Every valid token passes."),
    ],
};

pub(crate) const MEMBER: Table = Table {
    name: "role or group of a policy",
    about: "Both keys. A claim's name may lead into objects: `\"realm_access.roles\"`; where names have dots, as a list of names: `[\"resource_access\", \"orders.web\", \"roles\"]`.",
    keys: &[
        Key::new(
            "name",
            Text,
            Required,
            r#""admin""#,
            "The role or group, compared whole.",
        )
        .also(&["value", "is"]),
        Key::new(
            "in",
            Other("a claim, or a list of claims; each a name in quotes or a list of names"),
            Required,
            r#"["roles", ["resource_access", "orders.web", "roles"]]"#,
            "The claims, one of which has it: a text, or a list of texts.",
        )
        .also(&["claim", "path", "from"]),
    ],
};

pub(crate) const CLAIM: Table = Table {
    name: "claim of a policy",
    about: "`path` and exactly one of the others. Values are texts, whole numbers, `true` or `false`, and are compared whole.",
    keys: &[
        Key::new(
            "path",
            Other("the name of a claim in quotes, or a list of names, one inside the other"),
            Required,
            r#""realm_access.tenant""#,
            "The claim. A text is first the claim of this name; where there is none, a dot leads into an object.",
        )
        .also(&["name", "claim"]),
        Key::new(
            "present",
            Kind::True,
            Optional,
            "true",
            "It is there, and is not `null`, an empty text, list or table.",
        )
        .also(&["exists"]),
        Key::new(
            "equals",
            Other("a text, a whole number, true or false"),
            Optional,
            r#""acme""#,
            "It is this value.",
        )
        .also(&["value", "is"]),
        Key::new(
            "one_of",
            List("texts, whole numbers, true or false"),
            Optional,
            r#"["acme", "globex"]"#,
            "It is one of these.",
        )
        .also(&["in", "any_of"]),
        Key::new(
            "contains",
            Other("a text, a whole number, true or false"),
            Optional,
            r#""beta""#,
            "It is a list that has this value.",
        ),
        Key::new(
            "matches",
            Text,
            Optional,
            r#""acme-[a-z]+""#,
            "It is a text that this regular expression matches from end to end.",
        )
        .also(&["regex", "pattern", "like"]),
    ],
};
