use portcullis_oidc::Client;
use url::Url;

/// `SameSite` of the session cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SameSite {
    /// Sent with a top-level navigation from another site: links into the app keep working.
    #[default]
    Lax,
    /// Never sent with a request that another site began.
    Strict,
    /// Sent with everything; for what protects itself in another way, and on https alone.
    None,
}

/// What every login asks for, where it is not asked for something else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginDefaults {
    /// How the person is to be authenticated, the best first, with spaces in between.
    pub acr_values: Option<String>,
    /// The person must have authenticated within so many seconds; a login can ask for less, not for more.
    pub max_age: Option<u64>,
    /// How the provider asks. A login that is to ask nobody goes without it.
    pub prompt: Option<String>,
    /// The languages of the provider's pages, the best first, with spaces in between.
    pub ui_locales: Option<String>,
}

/// What is configured of a frontend.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FrontendSettings {
    /// The name in configuration, cookies and events.
    pub name: String,
    /// The origin that the browser sees.
    pub public_url: Url,
    /// The path that the frontend lives below, without a slash at its end; empty for a whole origin.
    pub path: String,
    /// The client that people sign in through.
    pub client: Client,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// RFC 8707: the API that access tokens are for.
    pub resource: Option<String>,
    /// What every login asks for.
    pub login: LoginDefaults,
    /// A session ends after so many seconds without a request.
    pub idle: i64,
    /// A session ends so many seconds after the login, whatever happens.
    pub lifetime: i64,
    /// The access token is renewed so many seconds before it expires.
    pub refresh_before: i64,
    /// While the store does not answer, a session that was read at most so many seconds ago still counts for reading.
    pub grace: i64,
    /// Whether the browser carries its session, sealed, and the store keeps none: that is of this process then.
    pub in_cookies: bool,
    /// `SameSite` of the session cookie.
    pub same_site: SameSite,
    /// Other origins whose pages may use the session.
    pub cors: Vec<String>,
    /// Absolute URLs that a login may return to, besides local paths; compared exactly.
    pub return_to: Vec<String>,
    /// Whether a logout sends `id_token_hint` (RP-Initiated Logout 1.0 s2), which puts the ID token into a URL. Without it
    /// `client_id` and `logout_hint` are sent, and some providers ask the person to confirm.
    pub id_token_hint: bool,
    /// Whether a frame of the provider's may end a session (OpenID Connect Front-Channel Logout 1.0).
    pub frontchannel_logout: bool,
    /// When the provider says that a session is over, its tokens are refused for so many seconds: longer than any of
    /// them lives.
    pub revoke_for: i64,
}

impl FrontendSettings {
    /// A frontend with the defaults: 30 minutes idle, 12 hours in all, tokens renewed a minute ahead.
    #[must_use]
    pub fn new(name: impl Into<String>, public_url: Url, client: Client) -> FrontendSettings {
        FrontendSettings {
            name: name.into(),
            public_url,
            path: String::new(),
            client,
            scopes: Vec::new(),
            resource: None,
            login: LoginDefaults::default(),
            idle: 30 * 60,
            lifetime: 12 * 60 * 60,
            refresh_before: 60,
            grace: 30,
            in_cookies: false,
            same_site: SameSite::Lax,
            cors: Vec::new(),
            return_to: Vec::new(),
            id_token_hint: true,
            frontchannel_logout: true,
            revoke_for: 24 * 60 * 60 + 10 * 60,
        }
    }

    pub(crate) fn origin(&self) -> String {
        self.public_url.origin().ascii_serialization()
    }

    /// The path of the frontend's first page.
    #[must_use]
    pub fn home(&self) -> String {
        format!("{}/", self.path)
    }

    /// The path of an endpoint.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/bff/{name}", self.path)
    }

    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}{}", self.origin(), self.endpoint("callback"))
    }

    pub(crate) fn secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// RFC 6265bis s4.1.3.2: with `__Host-` no subdomain and no plain-http page can plant the cookie. Browsers
    /// refuse the prefix without Secure, so it falls away on http, which is loopback alone.
    pub(crate) fn session_cookie(&self) -> String {
        format!("{}portcullis-{}", if self.secure() { "__Host-" } else { "" }, self.name)
    }
}
