//! `portcullis serve`: the gateway of one configuration, until it is told to stop.
#![expect(clippy::print_stderr, reason = "it is the command's output")]

use std::sync::Arc;
use std::time::Duration;

use portcullis_audit::{Audit, AuditSettings, Event};
use portcullis_console::{ConsoleInfo, ConsoleState, router_with};
use portcullis_jose::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::gateway::{Extras, Running};
use crate::server;

/// What is under way when the process is told to stop may go on for so long.
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
        let running = Running::start(settings, &audit, &clock, Extras::default()).map_err(|error| error.to_string())?;
        let (stop, stopping) = watch::channel(false);
        let servers = listen(settings, &running, &audit, listener, admin, &stopping, DRAIN)?;
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
        let why = signalled().await.to_owned();
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
    listener: TcpListener,
    admin: Option<TcpListener>,
    stopping: &watch::Receiver<bool>,
    drain: Duration,
) -> Result<Vec<JoinHandle<()>>, String> {
    let tls = settings.server.tls.as_ref().map(server::tls_acceptor).transpose()?;
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
        let handler = move |request: http::Request<hyper::body::Incoming>, _| {
            let console = console.clone();
            async move {
                let request = request.map(axum::body::Body::new);
                tower::ServiceExt::oneshot(console, request).await
            }
        };
        servers.push(tokio::spawn(server::serve(
            admin,
            None,
            stopping.clone(),
            drain,
            handler,
        )));
    }
    Ok(servers)
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

/// Waits for Ctrl-C or SIGTERM; says which.
pub(crate) async fn signalled() -> &'static str {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => "ctrl_c",
        () = terminate => "signal",
    }
}
