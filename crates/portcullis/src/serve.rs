//! `portcullis serve`: the gateway of one configuration, until it is told to stop.
#![expect(clippy::print_stderr, reason = "it is the command's output")]

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Audit, AuditSettings, Event};
use portcullis_console::{Check, ConsoleInfo, ConsoleState, Readiness, probes, router_with};
use portcullis_jose::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::gateway::{Extras, Running};
use crate::server::{self, Tls};

/// What is under way when the process is told to stop may go on for so long; what outlives its calls, for so long again.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the gateway.
///
/// # Errors
/// What could not be started.
pub fn run(settings: &Settings) -> Result<(), String> {
    runtime(settings.server.workers)?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let audit = Audit::new(AuditSettings::default(), clock.clone());
        let listener = server::bind(settings.server.listen).await?;
        let admin = match settings.server.admin {
            Some(address) => Some(server::bind(address).await?),
            None => None,
        };
        let probes = match settings.server.probes {
            Some(address) => Some(server::bind(address).await?),
            None => None,
        };
        let running = Running::start(settings, &audit, &clock, Extras::default()).map_err(|error| error.to_string())?;
        let (stop, stopping) = watch::channel(false);
        let (tls, hangups) = (settings.server.tls.as_ref().map(Tls::read).transpose()?, hangups());
        if let (Some(settings), Some(tls)) = (settings.server.tls.clone(), tls.clone()) {
            // It ends with the runtime.
            tokio::spawn(tls.keep_up(settings, hangups, audit.clone()));
        }
        let servers = listen(settings, &running, &audit, (listener, tls), admin, &stopping, DRAIN);
        // Asked until the very end: alive, and no longer ready.
        let (end, ending) = watch::channel(false);
        if let Some(probes) = probes {
            let router = router_for_probes(&running, &audit, stopping);
            tokio::spawn(serve_router(probes, router, ending, Duration::ZERO));
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        audit.emit(
            None,
            Event::Started {
                component: "gateway".into(),
                version,
                dangers: settings.dangers(),
            },
        );
        eprintln!("{}", serving(settings));
        let why = told_to_stop().await.to_owned();
        audit.emit(
            None,
            Event::Stopping {
                component: "gateway".into(),
                why,
            },
        );
        let _ = stop.send(true);
        for server in servers {
            let _ = server.await;
        }
        // What outlives its calls, such as a token that is being renewed.
        let _ = tokio::time::timeout(DRAIN, running.finish()).await;
        let _ = end.send(true);
        drop(running);
        let _ = audit.flush(Duration::from_secs(1));
        Ok(())
    })
}

fn serving(settings: &Settings) -> String {
    let admin = settings
        .server
        .admin
        .map_or_else(String::new, |admin| format!("; console http://{admin}"));
    format!(
        "serving {} on {}{admin}",
        settings.server.public_url, settings.server.listen
    )
}

/// Starts the listeners of a gateway; they end when `stopping` turns true.
pub(crate) fn listen(
    settings: &Settings,
    running: &Running,
    audit: &Audit,
    (listener, tls): (TcpListener, Option<Tls>),
    admin: Option<TcpListener>,
    stopping: &watch::Receiver<bool>,
    drain: Duration,
) -> Vec<JoinHandle<()>> {
    let gateway = running.gateway().clone();
    let handler = move |request, peer| {
        let gateway = gateway.clone();
        async move { Ok(gateway.handle(request, peer).await) }
    };
    let mut servers = vec![tokio::spawn(server::serve(
        listener,
        tls,
        stopping.clone(),
        drain,
        handler,
    ))];
    if let Some(admin) = admin {
        let info =
            ConsoleInfo::new("gateway", env!("CARGO_PKG_VERSION"), running.readiness()).dangers(settings.dangers());
        let state = ConsoleState {
            audit: audit.clone(),
            info,
        };
        let console = router_with(state, running.admin().router());
        servers.push(tokio::spawn(serve_router(admin, console, stopping.clone(), drain)));
    }
    servers
}

async fn serve_router(listener: TcpListener, router: axum::Router, stop: watch::Receiver<bool>, drain: Duration) {
    let handler = move |request: http::Request<hyper::body::Incoming>, _| {
        let router = router.clone();
        async move { tower::ServiceExt::oneshot(router, request.map(axum::body::Body::new)).await }
    };
    server::serve(listener, None, stop, drain, handler).await;
}

fn router_for_probes(running: &Running, audit: &Audit, stopping: watch::Receiver<bool>) -> axum::Router {
    let ready = running.readiness();
    let readiness = move || match *stopping.borrow() {
        false => ready(),
        true => Readiness::of(vec![Check::failed("the gateway", "it is ending")]),
    };
    let info = ConsoleInfo::new("gateway", env!("CARGO_PKG_VERSION"), Arc::new(readiness));
    probes(ConsoleState {
        audit: audit.clone(),
        info,
    })
}

/// One thread alone needs no hand-over between threads.
pub(crate) fn runtime(workers: Option<usize>) -> Result<Runtime, String> {
    let mut builder = match workers {
        Some(1) => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if let Some(workers) = workers.filter(|workers| *workers > 1) {
        builder.worker_threads(workers);
    }
    builder
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))
}

/// Waits for Ctrl-C, SIGTERM, or the end of the terminal; says which.
pub(crate) async fn signalled() -> &'static str {
    tokio::select! {
        why = told_to_stop() => why,
        () = signal(SignalKind::hangup()) => "signal",
    }
}

/// The same for a service, which no terminal's end concerns: SIGHUP has it look at its files.
async fn told_to_stop() -> &'static str {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "ctrl_c",
        () = signal(SignalKind::terminate()) => "signal",
    }
}

async fn signal(kind: SignalKind) {
    match unix::signal(kind) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Tells of each SIGHUP, which then ends nothing.
fn hangups() -> Arc<Notify> {
    let told = Arc::new(Notify::new());
    if let Ok(mut signal) = unix::signal(SignalKind::hangup()) {
        let told = told.clone();
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                told.notify_one();
            }
        });
    }
    told
}
