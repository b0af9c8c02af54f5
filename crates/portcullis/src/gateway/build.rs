//! From a configuration to a running gateway.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Audit, Event, Refused};
use portcullis_bff::Bff;
use portcullis_console::{Check, Readiness};
use portcullis_guard::{Audiences, Authorities, Dpop, DpopNonces, Guard, GuardBuilder, Revocations};
use portcullis_jose::Clock;
use portcullis_oidc::{Provider, RefreshTask};
use portcullis_policy::NamedPolicy;
use portcullis_proxy::{Forwarder, HeadLimits, Settings as ProxySettings, Timeouts, Upstream, UpstreamError};
use portcullis_store::{KeyRing, LeaseName, PostgresStore, RedisStore, SqliteStore, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use super::attach::Attach;
use super::certificate::Certificates;
use super::expiry::{self, Expiring};
use super::frontends::{Around, Frontends, authority};
use super::own;
use super::providers::{Providers, Trusted, providers, trusted};
use super::revocations;
use super::routes::{Api, GuardedApi, Routes};
use super::sealing::{self, Sealed};
use super::{Gateway, Inner};
use crate::admin::Admin;
use crate::config::{Access, ApiSettings, Guarded, Settings, StorePlace};

/// Sessions and marks that are over are removed so often.
const PURGE_EVERY: Duration = Duration::from_secs(600);
/// Longer than a WebSocket's goodbye takes.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the demo adds to a gateway.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Extras {
    /// Routes of this program's own, below a prefix. They need the header `X-CSRF: 1`.
    pub routes: Option<(String, axum::Router)>,
    /// Origins that the frontend's pages may show in a frame.
    pub frames: Vec<String>,
}

/// A gateway with what it needs in the background. Dropping it ends that.
#[derive(Debug)]
pub struct Running {
    gateway: Gateway,
    providers: Vec<Provider>,
    store: Arc<dyn Store>,
    revocations: Revocations,
    admin: Admin,
    expiring: Vec<Expiring>,
    clock: Arc<dyn Clock>,
    _refresh: Vec<RefreshTask>,
    tasks: Vec<JoinHandle<()>>,
}

/// A configuration that is valid, and cannot be run here.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
#[non_exhaustive]
pub struct BuildError {
    /// What could not be made.
    pub what: String,
    /// Why, and what to do.
    pub why: String,
}

pub(super) fn failed<E: std::fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> BuildError {
    let what = what.into();
    move |why| BuildError {
        what,
        why: why.to_string(),
    }
}

impl Running {
    /// Opens the store, and gets everything ready but the providers, which are asked in the background. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`BuildError`]: what is missing on this machine.
    pub fn start(
        settings: &Settings,
        audit: &Audit,
        clock: &Arc<dyn Clock>,
        extras: Extras,
    ) -> Result<Running, BuildError> {
        let store = open_store(settings, clock)?;
        let providers = providers(settings, audit, clock)?;
        let refresh = providers
            .values()
            .map(|trusted| trusted.provider.spawn_refresh())
            .collect();
        // What is revoked is revoked for every API.
        let revocations = Revocations::stored(store.clone());
        // Whoever seals nothing gets no key.
        let own = own::all(settings, clock)?;
        let seals = !settings.frontends.is_empty() || settings.server.dpop_nonce || !own.is_empty();
        let ring = match seals {
            true => Some(sealing::key_ring(settings).map_err(failed("the sealing keys of [store]"))?),
            false => None,
        };
        let nonces = nonces(settings, ring.as_ref())?;
        let apis = apis(
            settings,
            &providers,
            &store,
            &revocations,
            nonces.as_ref(),
            audit,
            clock,
        )?;
        let guards = || apis.iter().filter_map(|api| Some(&api.guarded.as_ref()?.guard));
        // Without an API no token is judged.
        let longest_life = guards().map(Guard::longest_life).max().unwrap_or(0);
        let around = Around {
            providers: &providers,
            store: &store,
            audit,
            clock,
            revocations: &revocations,
            longest_life,
            ring: ring.as_ref(),
        };
        let frontends = Frontends::build(settings, &around, &extras)?;
        let bffs: Vec<Bff> = frontends.iter().map(|frontend| frontend.bff.clone()).collect();
        Bff::introduce(&bffs);
        let admin = Admin::new(
            settings.admin.as_ref().map(|admin| admin.token.clone()),
            revocations.clone(),
            bffs.clone(),
            providers
                .values()
                .flat_map(|trusted| trusted.provider.issuer_rule().issuers())
                .collect(),
            guards().cloned().collect(),
            audit.clone(),
            clock.clone(),
        );
        let public = &settings.server.public_url;
        let mut hosts = vec![authority(public)];
        for host in frontends.hosts() {
            if !hosts.iter().any(|known| known == host) {
                hosts.push(host.to_owned());
            }
        }
        let gateway = Gateway(Arc::new(Inner {
            hosts,
            scheme: if public.scheme() == "https" { "https" } else { "http" },
            routes: Routes::new(apis),
            frontends,
            extra: extras.routes,
            forwarder: Forwarder::new(ProxySettings::default()),
            limits: HeadLimits::default(),
            own: own.clone(),
            clock: clock.clone(),
            trusted_proxies: settings.server.trusted_proxies.clone(),
            certificates: Certificates::new(settings.server.client_certificate_header.clone()),
            discloses_reason: settings.server.development,
            audit: audit.clone(),
            leaving: watch::Sender::new(false),
        }));
        let expiring = expiry::expiring(settings);
        let mut tasks = vec![
            tokio::spawn(own::keep_rotating(own.clone(), audit.clone(), clock.clone())),
            tokio::spawn(expiry::keep_telling(expiring.clone(), audit.clone(), clock.clone())),
            tokio::spawn(purge(store.clone(), settings.store.kind(), audit.clone())),
            tokio::spawn(revocations::keep_up(
                revocations.clone(),
                settings.store.kind(),
                audit.clone(),
                clock.clone(),
            )),
        ];
        if let Some(ring) = &ring {
            let sealed = Sealed { bffs, nonces, own };
            let known = ring.key_ids().collect();
            tasks.push(tokio::spawn(sealing::keep_up(
                settings.clone(),
                known,
                sealed,
                audit.clone(),
                clock.clone(),
            )));
        }
        Ok(Running {
            gateway,
            providers: providers.into_values().map(|trusted| trusted.provider).collect(),
            store,
            revocations,
            admin,
            expiring,
            clock: clock.clone(),
            _refresh: refresh,
            tasks,
        })
    }

    /// The gateway.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Ends WebSockets and event streams, which have no end of their own, so that their clients go to another gateway.
    pub fn leave(&self) {
        self.gateway.leave();
    }

    /// Waits for what outlives the calls that asked for it: tokens that are renewed, logins that are finished.
    pub async fn finish(&self) {
        let _ = tokio::time::timeout(GOODBYE, self.gateway.left()).await;
        for frontend in self.gateway.0.frontends.iter() {
            frontend.bff.finish().await;
        }
    }

    /// What the admin address changes.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// What `/readyz` tells: each provider's keys, and each guard's revocations.
    #[must_use]
    pub fn readiness(&self) -> Arc<dyn Fn() -> Readiness + Send + Sync> {
        let (gateway, providers) = (self.gateway.clone(), self.providers.clone());
        let (revocations, clock) = (self.revocations.clone(), self.clock.clone());
        let expiring = self.expiring.clone();
        Arc::new(move || {
            let keys = providers.iter().map(|provider| {
                let name = format!("keys of provider {}", provider.name());
                match provider.is_ready() {
                    true => Check::ready(name),
                    false => Check::failed(name, "not fetched yet; the event keys_unavailable says why"),
                }
            });
            let guards = gateway.0.routes.iter().filter_map(|api| {
                let guarded = api.guarded.as_ref()?;
                let name = format!("api {}", api.name);
                let missing = guarded.guard.missing();
                Some(if missing.is_empty() {
                    Check::ready(name)
                } else {
                    Check::failed(name, format!("missing: {}", missing.join(", ")))
                })
            });
            let list = revocations::check(&revocations, clock.now());
            let expiring = expiry::checks(&expiring, clock.now());
            Readiness::of(keys.chain([list]).chain(guards).chain(expiring).collect())
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn open_store(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Store>, BuildError> {
    let clock = clock.clone();
    Ok(match &settings.store.place {
        StorePlace::Sqlite(path) => {
            let what = format!("the store {}", path.display());
            Arc::new(SqliteStore::open(path, clock).map_err(failed(what))?)
        }
        StorePlace::Redis(redis) => Arc::new(RedisStore::new(redis, clock).map_err(failed("the store"))?),
        StorePlace::Postgres(postgres) => Arc::new(PostgresStore::new(postgres, clock).map_err(failed("the store"))?),
        StorePlace::Cookie => Arc::new(SqliteStore::in_memory(clock).map_err(failed("the store in memory"))?),
    })
}

fn apis(
    settings: &Settings,
    providers: &Providers,
    store: &Arc<dyn Store>,
    revocations: &Revocations,
    nonces: Option<&DpopNonces>,
    audit: &Audit,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Api>, BuildError> {
    let guards = settings
        .apis
        .values()
        .filter(|api| matches!(api.access, Access::Guarded(_)))
        .count()
        .max(1);
    let mut dpop = dpop(settings).replay(store.clone());
    if let Some(nonces) = nonces {
        dpop = dpop.nonces(nonces.clone());
    }
    let mut apis = Vec::new();
    for (name, configured) in &settings.apis {
        let what = || format!("api {name}");
        let mut timeouts = Timeouts::default();
        timeouts.response_header = configured.timeout;
        let upstream = upstream(configured).map_err(failed(what()))?.with_timeouts(timeouts);
        let guarded = match &configured.access {
            Access::Anyone => None,
            Access::Guarded(guarded) => {
                let trusted = all_trusted(providers, guarded)?;
                let builder = guard(settings, name, configured, guarded, &trusted).map_err(failed(what()))?;
                let builder = builder
                    .dpop(dpop.clone())
                    .audit(audit.clone())
                    .clock(clock.clone())
                    .shared_revocations(revocations.clone())
                    .stale_revocations(revocations::when_stale(guarded.revocations))
                    .cache_bytes(settings.server.token_cache / guards);
                Some(guarded_api(settings, name, guarded, builder)?)
            }
        };
        let metrics = audit.metrics().route(name);
        apis.push(Api {
            name: name.clone(),
            path: configured.path.clone(),
            upstream,
            metrics,
            attach: Attach::of(&configured.token, settings, providers, audit)?,
            guarded,
        });
    }
    Ok(apis)
}

/// The guard of one API alone, which judges as the gateway does and forwards nothing. `None` for a public route.
pub(crate) fn guard_alone(
    settings: &Settings,
    name: &str,
    revocations: &Revocations,
    audit: &Audit,
    clock: &Arc<dyn Clock>,
) -> Result<Option<GuardedApi>, BuildError> {
    let what = || format!("api {name}");
    let configured = settings.apis.get(name).ok_or_else(|| failed(what())("there is none"))?;
    let Access::Guarded(guarded) = &configured.access else {
        return Ok(None);
    };
    let providers = providers(settings, audit, clock)?;
    let trusted = all_trusted(&providers, guarded)?;
    let builder = guard(settings, name, configured, guarded, &trusted).map_err(failed(what()))?;
    let builder = builder
        .audit(audit.clone())
        .clock(clock.clone())
        .shared_revocations(revocations.clone());
    guarded_api(settings, name, guarded, builder).map(Some)
}

/// The providers whose tokens an API takes.
fn all_trusted<'p>(providers: &'p Providers, guarded: &Guarded) -> Result<Vec<&'p Trusted>, BuildError> {
    let names = guarded.providers.iter();
    names.map(|name| trusted(providers, name)).collect()
}

/// What the configuration says about the tokens of an API. Algorithms, type and leeway are each provider's own.
fn guard(
    settings: &Settings,
    name: &str,
    configured: &ApiSettings,
    guarded: &Guarded,
    trusted: &[&Trusted],
) -> Result<GuardBuilder<Authorities, Audiences>, &'static str> {
    let (first, others) = trusted.split_first().ok_or("it has no provider")?;
    let mut audiences = guarded.audience.iter();
    let audience = audiences.next().ok_or("it has no audience")?;
    let mut builder = Guard::builder()
        .provider(first.provider.clone())
        .audience(audience)
        .realm(configured.realm.as_deref().unwrap_or(name))
        .dpop(dpop(settings));
    if let Some(constraint) = guarded.sender_constrained {
        builder = builder.sender_constrained(constraint);
    }
    if guarded.revocations.require_jti {
        builder = builder.require_jti();
    }
    if settings.server.development {
        builder = builder.dangerous_reason_header();
    }
    for other in others {
        builder = builder.also_provider(other.provider.clone());
    }
    for introspection in trusted.iter().filter_map(|trusted| trusted.introspection.clone()) {
        builder = builder.introspection(introspection);
    }
    Ok(audiences.fold(builder, GuardBuilder::also_audience))
}

/// Proofs are checked at every API: a token that is bound to a key needs one whether or not the API asks for it.
///
/// Where the calls of an API go.
pub(crate) fn upstream(api: &ApiSettings) -> Result<Upstream, UpstreamError> {
    let upstream = Upstream::parse(api.upstream.as_str())?;
    match &api.upstream_path {
        Some(path) => upstream.replacing(&api.path, path),
        None => Ok(upstream),
    }
}

/// The scheme is offered where the API asks for bound tokens. An API is reached at the address of every frontend too.
fn dpop(settings: &Settings) -> Dpop {
    let own = &settings.server.public_url;
    let others: BTreeSet<&str> = settings
        .frontends
        .values()
        .map(|frontend| &frontend.public_url)
        .filter(|url| *url != own)
        .map(Url::as_str)
        .collect();
    others
        .into_iter()
        .fold(Dpop::at(own.as_str()).not_offered(), Dpop::also_at)
}

/// Nonces that all replicas know, as they share the key that seals the sessions.
fn nonces(settings: &Settings, ring: Option<&KeyRing>) -> Result<Option<DpopNonces>, BuildError> {
    let Some(ring) = ring.filter(|_| settings.server.dpop_nonce) else {
        return Ok(None);
    };
    DpopNonces::of_keys(ring)
        .map(Some)
        .map_err(failed("the nonces of DPoP"))
}

fn guarded_api(
    settings: &Settings,
    name: &str,
    guarded: &Guarded,
    builder: GuardBuilder<Authorities, Audiences>,
) -> Result<GuardedApi, BuildError> {
    let what = || format!("api {name}");
    let routes = guarded.routes.try_map(|policy| match settings.policies.get(policy) {
        Some(policy) => Ok(Arc::new(policy.clone())),
        None => Err(failed(what())(format!("there is no policy {policy}"))),
    })?;
    // Where only sessions count there is nothing that a client of its own could find.
    let builder = match guarded.bearer {
        true => builder.resource(&guarded.resource).scopes_supported(
            routes
                .policies()
                .flat_map(|policy: &Arc<NamedPolicy>| policy.policy().scope_names()),
        ),
        false => builder,
    };
    Ok(GuardedApi {
        guard: builder.build().map_err(failed(what()))?,
        session: guarded.session,
        bearer: guarded.bearer,
        frontends: guarded.frontends.clone(),
        pages: guarded.pages,
        routes,
    })
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

async fn purge(store: Arc<dyn Store>, kind: &'static str, audit: Audit) {
    loop {
        tokio::time::sleep(PURGE_EVERY).await;
        let seconds = u32::try_from(PURGE_EVERY.as_secs()).unwrap_or(600) - 1;
        // One replica does it for all.
        let result = match store.acquire(LeaseName::job("purge"), "gateway", seconds).await {
            Ok(Some(_)) => store.purge_expired().await.map(|_| ()),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            let refused = Refused::new(error.code()).found(error.to_string());
            audit.emit(
                None,
                Event::StoreUnavailable {
                    store: kind,
                    operation: "purge",
                    refused,
                },
            );
        }
    }
}
