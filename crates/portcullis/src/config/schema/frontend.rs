//! The tables of a frontend: its place, its pages, its sessions and its headers.

use super::Kind::{Duration, List, OneOf, OneOrMore, Path, Reference, Text, Url};
use super::Presence::{Default, Depends, Optional, Required};
use super::{Key, Kind, Table};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

pub(crate) const FRONTEND: Table = Table {
    name: "frontend.NAME",
    about: "A single-page app: Portcullis logs its users in, keeps their tokens and serves its pages. Several have an origin or a path of their own each.",
    keys: &[
        Key::new(
            "public_url",
            Url,
            Depends("that of `[server]`"),
            r#""https://shop.example.com""#,
            "The origin that browsers see, where it is not the server's. Its scheme is that of the server's.",
        )
        .also(&["url", "origin", "host"]),
        Key::new(
            "path",
            Text,
            Default(r#""/""#),
            r#""/shop""#,
            "The path that it lives below: its pages, and its endpoints at `/shop/bff/`.",
        )
        .also(&["prefix", "base", "base_path"]),
        Key::new("client", Reference("client"), Required, r#""web""#, "NAME of the client that users log in with."),
        Key::new(
            "scopes",
            List("scopes"),
            Required,
            r#"["openid", "profile", "offline_access"]"#,
            "Scopes to ask for. `openid` must be one; `offline_access` is what most providers want for a refresh token.",
        )
        .also(&["scope"]),
        Key::new(
            "assets",
            Kind::Table("a table { dir = \"PATH\" } or { upstream = \"URL\" }"),
            Optional,
            r#"{ dir = "dist" }"#,
            "Where the pages come from. Absent: none are served.",
        )
        .also(&["static", "root", "files"]),
        Key::new(
            "session",
            Kind::Table("a table { idle = \"30m\", lifetime = \"12h\" }"),
            Depends("those of its keys"),
            r#"{ idle = "30m", lifetime = "12h" }"#,
            "How long a session lives.",
        ),
        Key::new(
            "resource",
            Url,
            Optional,
            r#""https://api.example.com""#,
            "The resource to ask an access token for (RFC 8707), where the provider wants one.",
        )
        .also(&["audience"]),
        Key::new(
            "login",
            Kind::Table("a table { max_age = \"8h\" }"),
            Optional,
            r#"{ acr_values = "urn:example:mfa", ui_locales = ["de", "en"] }"#,
            "What every login asks the provider for.",
        ),
        Key::new(
            "refresh_before",
            Duration(0, HOUR),
            Default(r#""60s""#),
            r#""2m""#,
            "How long before its end an access token is renewed.",
        ),
        Key::new(
            "return_to",
            List("URLs"),
            Optional,
            r#"["https://www.example.com/welcome"]"#,
            "Absolute URLs, compared exactly, that a login may return to. Local paths are always allowed.",
        ),
        Key::new(
            "same_site",
            OneOf(&["lax", "strict"]),
            Default(r#""lax""#),
            r#""strict""#,
            "SameSite of the session's cookie. With `strict`, who follows a link from another site arrives signed out.",
        )
        .also(&["samesite"]),
        Key::new(
            "logout_hint",
            OneOf(&["session", "id_token"]),
            Default(r#""id_token""#),
            r#""session""#,
            "What a logout tells the provider. `id_token` sends `id_token_hint`, the ID token, in the URL, unless it is longer than 4,096 characters. `session` sends the session's `sid` as `logout_hint`, which keeps the token out of the provider's and the browser's logs; some providers then ask the person to confirm.",
        )
        .also(&["id_token_hint"]),
        Key::new(
            "frontchannel_logout",
            OneOf(&["on", "off"]),
            Default(r#""on""#),
            r#""off""#,
            "Whether `/bff/frontchannel-logout` is there, the page that a provider puts into a frame to sign people out. Whoever learns a session's `sid` can open it too; where the provider knows Back-Channel Logout, use that and switch this off.",
        )
        .also(&["frontchannel", "front_channel_logout"]),
        Key::new(
            "cors",
            List("origins in quotes"),
            Optional,
            r#"["https://portal.example.com"]"#,
            "Other origins whose pages may call the APIs and the endpoints with the session (CORS). They have all that the person may do. Browsers send the session's cookie along from the same site alone, such as another subdomain.",
        )
        .also(&["allowed_origins", "cors_origins"]),
        Key::new(
            "headers",
            Kind::Table("a table { content_security_policy = \"POLICY\" }"),
            Depends("those of its keys"),
            r#"{ frame_ancestors = ["https://portal.example.com"] }"#,
            "Headers of its pages.",
        )
        .also(&["security_headers"]),
    ],
};

pub(crate) const ASSETS: Table = Table {
    name: "assets of [frontend.NAME]",
    about: "Exactly one of `dir` and `upstream`.",
    keys: &[
        Key::new(
            "dir",
            Path,
            Optional,
            r#""dist""#,
            "A directory of files, relative to the configuration's directory. A file with `.br` or `.gz` beside it is sent compressed; a path that is no file is the app's own, and gets its `index.html`.",
        )
        .also(&["path", "root", "directory"]),
        Key::new(
            "upstream",
            Url,
            Optional,
            r#""http://127.0.0.1:5173""#,
            "A server, while developing that of the bundler.",
        )
        .also(&["url", "proxy"]),
        Key::new(
            "immutable",
            List("paths in quotes"),
            Optional,
            r#"["/assets"]"#,
            "Paths below which the name of a file changes with its content, as bundlers make them: browsers keep those for a year. All others are asked for again each time, by their `ETag`.",
        )
        .also(&["cache", "hashed"]),
    ],
};

pub(crate) const SESSION: Table = Table {
    name: "session of [frontend.NAME]",
    about: "Both hold; `idle` is not longer than `lifetime`.",
    keys: &[
        Key::new(
            "idle",
            Duration(MINUTE, 90 * DAY),
            Default(r#""30m""#),
            r#""1h""#,
            "A session ends when it was not used for so long.",
        )
        .also(&["idle_timeout", "timeout"]),
        Key::new(
            "lifetime",
            Duration(MINUTE, 90 * DAY),
            Default(r#""12h""#),
            r#""8h""#,
            "A session ends after so long in any case.",
        )
        .also(&["max_age", "absolute"]),
    ],
};

pub(crate) const LOGIN: Table = Table {
    name: "login of [frontend.NAME]",
    about: "What `/bff/login?...` is asked for goes before it; only `max_age` counts by the smaller of both. A login that asks nobody (`prompt=none`) has the others too, and no other `prompt`. This is what is asked for, at a login and once; what a call must have, a policy says (`acr`, `max_age`).",
    keys: &[
        Key::new(
            "acr_values",
            OneOrMore("an authentication context class in quotes"),
            Optional,
            r#"["urn:example:key", "urn:example:mfa"]"#,
            "How people are to be authenticated, the best first. The provider may do something else.",
        )
        .also(&["acr"]),
        Key::new(
            "max_age",
            Duration(0, 365 * DAY),
            Optional,
            r#""8h""#,
            "People authenticated at most so long before a login, or do it now. The ID token must prove it with `auth_time`.",
        ),
        Key::new(
            "prompt",
            OneOf(&["login", "consent", "select_account", "create"]),
            Optional,
            r#""select_account""#,
            "How the provider asks, whoever is signed in there.",
        ),
        Key::new(
            "ui_locales",
            OneOrMore("a language tag in quotes"),
            Optional,
            r#"["de-CH", "de", "en"]"#,
            "The languages of the provider's pages, the best first.",
        )
        .also(&["locale", "locales", "language"]),
    ],
};

pub(crate) const HEADERS: Table = Table {
    name: "headers of [frontend.NAME]",
    about: "`\"off\"` leaves a header out. What an `upstream` of `assets` sets itself stays as it is.",
    keys: &[
        Key::new(
            "content_security_policy",
            Text,
            Depends("what the page's own origin has, and the provider in a frame; for an `upstream` none"),
            r#""default-src 'self'; img-src 'self' https://images.example.com; object-src 'none'""#,
            "The whole policy. The default is `default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; frame-src 'self' PROVIDER`.",
        )
        .also(&["csp"]),
        Key::new(
            "frame_ancestors",
            List("origins in quotes"),
            Optional,
            r#"["https://portal.example.com"]"#,
            "Origins whose pages may show this frontend's in a frame. Absent: none. Not beside a `content_security_policy`, which says it itself.",
        ),
        Key::new(
            "strict_transport_security",
            Text,
            Default(r#""max-age=31536000""#),
            r#""max-age=63072000; includeSubDomains""#,
            "On every answer, where `public_url` is https.",
        )
        .also(&["hsts"]),
        Key::new(
            "referrer_policy",
            Text,
            Default(r#""same-origin""#),
            r#""strict-origin""#,
            "With `no-referrer` browsers hide the origin of forms, which are then refused.",
        ),
        Key::new(
            "permissions_policy",
            Text,
            Default(r#""camera=(), geolocation=(), microphone=(), payment=(), usb=()""#),
            r#""camera=(self)""#,
            "What pages may ask the person for.",
        ),
        Key::new(
            "cross_origin_opener_policy",
            Text,
            Default(r#""same-origin""#),
            r#""same-origin-allow-popups""#,
            "Who shares a group of windows with the pages.",
        ),
    ],
};
