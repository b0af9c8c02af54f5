//! `[frontend.NAME]` as types.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

/// `[frontend.NAME]`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FrontendSettings {
    /// The origin that browsers see; that of `[server]` unless it has its own.
    pub public_url: Url,
    /// The path that it lives below, without a slash at its end; empty for a whole origin.
    pub path: String,
    /// Name of the client.
    pub client: String,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Where the pages come from; none: only `/bff/` and the APIs are served.
    pub assets: Option<Assets>,
    /// Lifetimes of a session.
    pub session: SessionSettings,
    /// The resource to ask a token for (RFC 8707).
    pub resource: Option<String>,
    /// What every login asks for.
    pub login: LoginSettings,
    /// How long before its end an access token is renewed.
    pub refresh_before: Duration,
    /// Absolute URLs that a login may return to, besides local paths.
    pub return_to: Vec<String>,
    /// SameSite of the session's cookie.
    pub same_site: SameSite,
    /// What a logout tells the provider.
    pub logout_hint: LogoutHint,
    /// Whether the provider may sign people out by a frame (OpenID Connect Front-Channel Logout 1.0).
    pub frontchannel_logout: bool,
    /// Other origins whose pages may use the session and the APIs.
    pub cors: Vec<String>,
    /// Headers of the pages.
    pub headers: HeaderSettings,
}

/// `login` of a frontend: what every login asks for, where it is not asked for something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginSettings {
    /// How people are to be authenticated, the best first.
    pub acr_values: Vec<String>,
    /// How long before it they may have authenticated.
    pub max_age: Option<Duration>,
    /// How the provider asks; never `none`.
    pub prompt: Option<&'static str>,
    /// The languages of the provider's pages, the best first.
    pub ui_locales: Vec<String>,
}

/// `headers` of a frontend; what is `None` is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderSettings {
    /// The whole Content-Security-Policy, where it is not the default.
    pub content_security_policy: ContentSecurityPolicy,
    /// Origins that may show the pages in a frame.
    pub frame_ancestors: Vec<String>,
    /// Strict-Transport-Security, on https.
    pub strict_transport_security: Option<HeaderValue>,
    /// Referrer-Policy.
    pub referrer_policy: Option<HeaderValue>,
    /// Permissions-Policy.
    pub permissions_policy: Option<HeaderValue>,
    /// Cross-Origin-Opener-Policy.
    pub cross_origin_opener_policy: Option<HeaderValue>,
}

/// `content_security_policy` of a frontend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentSecurityPolicy {
    /// What comes from the page's own origin.
    #[default]
    Own,
    /// None.
    Off,
    /// This one.
    Text(HeaderValue),
}

/// Where a frontend's pages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Assets {
    /// A directory of files.
    Dir {
        /// The directory.
        dir: PathBuf,
        /// Paths below which a file's name changes with its content.
        immutable: Vec<String>,
    },
    /// A server, for example the development server of a bundler.
    Upstream(Url),
}

/// `session` of a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionSettings {
    /// A session ends when it was not used for so long.
    pub idle: Duration,
    /// A session ends after so long in any case.
    pub lifetime: Duration,
}

/// SameSite of the session's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameSite {
    /// Sent when a link from another site is followed.
    Lax,
    /// Not sent then either.
    Strict,
}

/// What a logout tells the provider (RP-Initiated Logout 1.0 s2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogoutHint {
    /// `logout_hint` with the session's `sid`, which is no token.
    Session,
    /// `id_token_hint`: the ID token, in a URL.
    IdToken,
}
