//! `portcullis serve`: the gateway of one configuration, until it is told to stop.
#![expect(clippy::print_stderr, reason = "it is the command's output")]

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Audit, AuditSettings, Event};
use portcullis_console::{Check, ConsoleInfo, ConsoleState, Readiness, ReadinessCheck, probes, router_with};
use portcullis_jose::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{self, Signal, SignalKind};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::gateway::{Extras, Running};
use crate::server::{self, Tls};

/// What outlives its calls may go on for so long.
const AFTERWARDS: Duration = Duration::from_secs(10);

/// Runs the gateway.
///
/// # Errors
/// What could not be started.
pub fn run(settings: &Settings) -> Result<(), String> {
    runtime(settings.server.workers)?.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let mut told = Told::listen()?;
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
        let (leave, leaving) = watch::channel(false);
        let ready = ready_until(&running, leaving);
        let drain = settings.server.drain;
        let console = admin.map(|admin| (admin, ready.clone()));
        let servers = listen(settings, &running, &audit, (listener, tls), console, &stopping, drain);
        // Asked until the very end: alive, and no longer ready.
        let (end, ending) = watch::channel(false);
        if let Some(probes) = probes {
            let router = router_for_probes(ready, &audit);
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
        let why = told.stop().await.to_owned();
        audit.emit(
            None,
            Event::Stopping {
                component: "gateway".into(),
                why,
            },
        );
        let _ = leave.send(true);
        tokio::select! {
            () = tokio::time::sleep(settings.server.stop_delay) => {}
            _ = told.stop() => {}
        }
        let _ = stop.send(true);
        running.leave();
        for server in servers {
            let _ = server.await;
        }
        // What outlives its calls, such as a token that is being renewed.
        let _ = tokio::time::timeout(AFTERWARDS, running.finish()).await;
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
    console: Option<(TcpListener, ReadinessCheck)>,
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
    if let Some((admin, ready)) = console {
        let info = ConsoleInfo::new("gateway", env!("CARGO_PKG_VERSION"), ready).dangers(settings.dangers());
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

/// Whether the gateway is ready; no longer as soon as `leaving` turns true.
fn ready_until(running: &Running, leaving: watch::Receiver<bool>) -> ReadinessCheck {
    let ready = running.readiness();
    Arc::new(move || match *leaving.borrow() {
        false => ready(),
        true => Readiness::of(vec![Check::failed("the gateway", "it is ending")]),
    })
}

fn router_for_probes(ready: ReadinessCheck, audit: &Audit) -> axum::Router {
    probes(ConsoleState {
        audit: audit.clone(),
        info: ConsoleInfo::new("gateway", env!("CARGO_PKG_VERSION"), ready),
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
    let hangup = async {
        match unix::signal(SignalKind::hangup()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    let told = async {
        match Told::listen() {
            Ok(mut told) => told.stop().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        why = told => why,
        _ = hangup => "signal",
    }
}

/// What ends a service: Ctrl-C and SIGTERM. No terminal's end concerns it: SIGHUP has it look at its files.
struct Told {
    interrupt: Signal,
    terminate: Signal,
}

impl Told {
    /// From now on the process is not just killed by them.
    fn listen() -> Result<Told, String> {
        let signal = |kind| unix::signal(kind).map_err(|error| format!("cannot listen to signals: {error}"));
        Ok(Told {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them; says which.
    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "ctrl_c",
            _ = self.terminate.recv() => "signal",
        }
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
