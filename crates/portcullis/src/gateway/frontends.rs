//! The frontends: whose pages, endpoints and sessions a request is about.

use std::fs::read_to_string;
use std::path::Path;
use std::sync::Arc;

use portcullis_audit::Audit;
use portcullis_bff::{Bff, FrontendSettings, LoginDefaults, Revoke, SameSite};
use portcullis_guard::Revocations;
use portcullis_jose::{Claims, Clock, Verified};
use portcullis_proxy::{CookieMatch, Upstream};
use portcullis_store::{BoxFuture, KeyRing, Store};
use url::Url;

use super::assets::{Assets, Files};
use super::build::{BuildError, Extras, failed, seconds};
use super::headers::PageHeaders;
use super::providers::{Providers, client};
use super::routes::Api;
use crate::config::{self, Settings, StorePlace, is_within};

/// One frontend.
#[derive(Debug)]
pub(crate) struct Frontend {
    pub(super) bff: Bff,
    pub(super) assets: Option<Assets>,
    pub(super) headers: PageHeaders,
    host: String,
    path: String,
}

/// All of them, the longest path first.
#[derive(Debug, Default)]
pub(crate) struct Frontends {
    all: Vec<Frontend>,
    /// What the names of their cookies begin with.
    cookies: Vec<String>,
}

/// What every frontend is made with.
pub(super) struct Around<'a> {
    pub(super) providers: &'a Providers,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) audit: &'a Audit,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) revocations: &'a Revocations,
    /// How long any token lives, in seconds.
    pub(super) longest_life: i64,
    pub(super) ring: Option<&'a KeyRing>,
}

// === impl Frontend ===

impl Frontend {
    /// What stands in an address after the frontend's own path.
    pub(super) fn inside<'p>(&self, path: &'p str) -> &'p str {
        path.get(self.path.len()..).unwrap_or(path)
    }

    /// The path that the frontend lives below; empty for a whole origin.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

// === impl Frontends ===

impl Frontends {
    pub(super) fn build(settings: &Settings, around: &Around<'_>, extras: &Extras) -> Result<Frontends, BuildError> {
        let mut all = Vec::new();
        for (name, configured) in &settings.frontends {
            let Some(ring) = around.ring else { break };
            all.push(Frontend {
                bff: bff(settings, name, configured, around, ring)?,
                assets: assets(settings, name, configured)?,
                headers: PageHeaders::new(settings, configured, &extras.frames).map_err(failed(name))?,
                host: authority(&configured.public_url),
                path: configured.path.clone(),
            });
        }
        all.sort_by_key(|frontend| std::cmp::Reverse(frontend.path.len()));
        let cookies = all.iter().map(|frontend| frontend.bff.cookie_prefix()).collect();
        Ok(Frontends { all, cookies })
    }

    /// The frontend that a path lies below.
    pub(super) fn at(&self, host: &str, path: &str) -> Option<&Frontend> {
        self.all
            .iter()
            .find(|frontend| frontend.host == host && is_within(path, &frontend.path))
    }

    /// The frontend whose sessions count at an API: the nearest that its path lies below, else the only one there.
    pub(super) fn of_api(&self, api: &Api, host: &str) -> Option<&Frontend> {
        let named = api
            .guarded
            .as_ref()
            .map(|guarded| guarded.frontends.as_slice())
            .unwrap_or_default();
        let counts = |frontend: &&Frontend| {
            frontend.host == host && (named.is_empty() || named.contains(&frontend.bff.settings().name))
        };
        let mut here = self.all.iter().filter(counts);
        let below = here.clone().find(|frontend| is_within(&api.path, &frontend.path));
        below.or_else(|| {
            let only = here.next()?;
            here.next().is_none().then_some(only)
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Frontend> {
        self.all.iter()
    }

    /// The hosts that they are seen at.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|frontend| frontend.host.as_str())
    }

    /// Our cookies: no upstream sees or sets them.
    pub(super) fn cookies(&self) -> Vec<CookieMatch<'_>> {
        self.cookies.iter().map(|prefix| CookieMatch::Prefix(prefix)).collect()
    }
}

fn bff(
    settings: &Settings,
    name: &str,
    configured: &config::FrontendSettings,
    around: &Around<'_>,
    ring: &KeyRing,
) -> Result<Bff, BuildError> {
    let client = client(settings, around.providers, &configured.client, around.audit)?;
    let mut frontend = FrontendSettings::new(name, configured.public_url.clone(), client);
    frontend.path.clone_from(&configured.path);
    frontend.cors.clone_from(&configured.cors);
    frontend.scopes.clone_from(&configured.scopes);
    frontend.resource.clone_from(&configured.resource);
    frontend.login = login(&configured.login);
    frontend.idle = seconds(configured.session.idle);
    frontend.lifetime = seconds(configured.session.lifetime);
    frontend.refresh_before = seconds(configured.refresh_before);
    frontend.grace = seconds(settings.store.grace);
    frontend.in_cookies = matches!(settings.store.place, StorePlace::Cookie);
    frontend.return_to.clone_from(&configured.return_to);
    frontend.id_token_hint = configured.logout_hint == config::LogoutHint::IdToken;
    frontend.frontchannel_logout = configured.frontchannel_logout;
    frontend.same_site = match configured.same_site {
        config::SameSite::Lax => SameSite::Lax,
        config::SameSite::Strict => SameSite::Strict,
    };
    frontend.revoke_for = around.longest_life;
    let (revocations, time) = (around.revocations.clone(), around.clock.clone());
    let enter = move |revocation| -> BoxFuture<'static, _> {
        let (revocations, now) = (revocations.clone(), time.now());
        Box::pin(async move { revocations.revoke(revocation, now).await })
    };
    let (revocations, time) = (around.revocations.clone(), around.clock.clone());
    let covers = move |claims: Verified<Claims>| -> BoxFuture<'static, _> {
        let (revocations, now) = (revocations.clone(), time.now());
        Box::pin(async move {
            revocations.sync(now).await?;
            Ok(revocations.covers(&claims, now))
        })
    };
    let revoke = Revoke::by(enter, covers);
    let (store, audit, clock) = (around.store.clone(), around.audit.clone(), around.clock.clone());
    Bff::new(frontend, store, ring, audit, clock, revoke).map_err(failed("the sealing keys"))
}

fn login(configured: &config::LoginSettings) -> LoginDefaults {
    let several = |names: &[String]| (!names.is_empty()).then(|| names.join(" "));
    let mut login = LoginDefaults::default();
    login.acr_values = several(&configured.acr_values);
    login.max_age = configured.max_age.map(|age| age.as_secs());
    login.prompt = configured.prompt.map(str::to_owned);
    login.ui_locales = several(&configured.ui_locales);
    login
}

fn assets(settings: &Settings, name: &str, frontend: &config::FrontendSettings) -> Result<Option<Assets>, BuildError> {
    let what = || format!("the assets of frontend {name}");
    match &frontend.assets {
        None => Ok(None),
        Some(config::Assets::Dir { dir, immutable }) => {
            check_dir(dir).map_err(failed(what()))?;
            if let Some(store) = settings.store.sqlite() {
                check_private(dir, store).map_err(failed(what()))?;
            }
            Ok(Some(Assets::Dir(Files::new(dir, &frontend.path, immutable))))
        }
        Some(config::Assets::Upstream(url)) => {
            let upstream = Upstream::parse(url.as_str()).map_err(failed(what()))?;
            Ok(Some(Assets::Upstream(upstream)))
        }
    }
}

fn check_dir(dir: &Path) -> Result<(), String> {
    let index = dir.join("index.html");
    match read_to_string(&index) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "{}: {error}; build the frontend first, or correct `assets`",
            index.display()
        )),
    }
}

/// Whoever asks for a page must not get the sessions, nor the key that opens them.
fn check_private(dir: &Path, store: &Path) -> Result<(), String> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if real(store).starts_with(real(dir)) {
        return Err(format!(
            "the store {} lies in the directory that is served; move the pages to a directory of their own",
            store.display()
        ));
    }
    Ok(())
}

/// `host:port` as a `Host` header has it: without the port that belongs to the scheme.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
