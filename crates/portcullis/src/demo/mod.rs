//! `portcullis demo`: the whole way on one machine. The development provider, an API, and the gateway with the BFF and
//! its pages, each on a loopback port of its own; no account, no container, no root.

mod files;
mod orders;
mod tries;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use portcullis_audit::{Audit, AuditSettings, Event, Lines};
use portcullis_idp::{Idp, IdpConfig};
use portcullis_jose::{Clock, SystemClock};
use portcullis_oidc::{HyperClient, Provider, ProviderSettings};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{self, ProcessEnv};
use crate::gateway::{Extras, Running};
use crate::serve::{listen, runtime, signalled};
use crate::server;

/// Ctrl-C ends all of it within two seconds; what is under way gets a part of that.
const DRAIN: Duration = Duration::from_millis(500);
const READY_WITHIN: Duration = Duration::from_secs(10);

const APP: u16 = 8080;
const PROVIDER: u16 = 8081;
const API: u16 = 8082;
const ADMIN: u16 = 8083;

/// Arguments of `portcullis demo`.
#[derive(Args, Debug, Default)]
#[non_exhaustive]
pub struct DemoArgs {
    /// Port of the app; 0 takes free ports for everything. Without it: 8080, or a free one
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Open the app in a browser
    #[arg(long)]
    pub open: bool,
    /// Keep state in this directory instead of a temporary one; the provider starts anew each time
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print one line of JSON when all is ready, instead of the text
    #[arg(long)]
    pub json: bool,
    /// Write the audit events to stderr, as JSON lines
    #[arg(long)]
    pub events: bool,
    /// Print the gateway's configuration, with the default ports, and end
    #[arg(long, conflicts_with_all = ["write", "port", "open", "data", "json", "events"])]
    pub print_config: bool,
    /// Write configuration and pages to a directory, as a start for your own, and end
    #[arg(long, value_name = "DIR", conflicts_with_all = ["port", "open", "data", "json", "events"])]
    pub write: Option<PathBuf>,
}

/// Runs the demo until Ctrl-C.
///
/// # Errors
/// What could not be started.
pub fn run(args: &DemoArgs) -> Result<(), String> {
    if args.print_config {
        print!("{}", files::GATEWAY);
        return Ok(());
    }
    if let Some(dir) = &args.write {
        files::write_all(dir)?;
        println!("{}", written(dir));
        return Ok(());
    }
    runtime(None)?.block_on(async {
        let demo = Demo::start(args).await?;
        println!(
            "{}",
            if args.json {
                demo.json().to_string()
            } else {
                demo.text()
            }
        );
        if args.open && webbrowser::open(&demo.app).is_err() {
            println!("No browser could be opened; go to {}", demo.app);
        }
        signalled().await;
        demo.stop().await;
        Ok(())
    })
}

/// A demo that runs.
#[derive(Debug)]
pub struct Demo {
    app: String,
    api: String,
    admin: String,
    users: Value,
    idp: Idp,
    audit: Audit,
    running: Running,
    stop: watch::Sender<bool>,
    servers: Vec<tokio::task::JoinHandle<()>>,
    _temporary: tempfile::TempDir,
}

impl Demo {
    /// Starts all of it, and waits until it is ready.
    ///
    /// # Errors
    /// What could not be started.
    pub async fn start(args: &DemoArgs) -> Result<Demo, String> {
        let lines = if args.events {
            Lines::Writer(Box::new(std::io::stderr()))
        } else {
            Lines::Off
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let audit = Audit::new(
            AuditSettings {
                lines,
                ..AuditSettings::default()
            },
            clock.clone(),
        );
        Demo::start_with(args, audit, clock).await
    }

    /// The same with an audit and a clock of the caller's.
    ///
    /// # Errors
    /// What could not be started.
    pub async fn start_with(args: &DemoArgs, audit: Audit, clock: Arc<dyn Clock>) -> Result<Demo, String> {
        // The pages are this program's own: they never go to a directory of the user's.
        let temporary = tempfile::tempdir().map_err(|error| format!("cannot make a temporary directory: {error}"))?;
        let pages = temporary.path().join("web");
        let data = args.data.clone().unwrap_or_else(|| temporary.path().join("data"));
        let failed = |dir: &Path, error| format!("cannot write to {}: {error}", dir.display());
        files::write_pages(&pages).map_err(|error| failed(&pages, error))?;
        std::fs::create_dir_all(&data).map_err(|error| failed(&data, error))?;

        let any = args.port == Some(0);
        let app_listener = match args.port {
            Some(port) => server::bind(local(port)).await?,
            None => free(APP, any).await?,
        };
        let (api_listener, admin_listener) = (free(API, any).await?, free(ADMIN, any).await?);
        let app = format!("http://{}", address(&app_listener)?);
        let api = format!("http://{}", address(&api_listener)?);
        let admin = address(&admin_listener)?;

        let (idp, users) = start_provider(&app, any, clock.clone()).await?;
        let text = files::GATEWAY
            .replace("http://127.0.0.1:8080", &app)
            .replace("127.0.0.1:8080", &address(&app_listener)?)
            .replace("http://127.0.0.1:8081", idp.issuer())
            .replace("http://127.0.0.1:8082", &api)
            .replace("127.0.0.1:8083", &admin)
            .replace(r#"dir = "web""#, &format!("dir = {:?}", pages.display().to_string()));
        let settings = config::parse(&text, "the demo's configuration", &data, &ProcessEnv)
            .map_err(|faults| faults.to_string())?;

        let http = HyperClient::new().map_err(|error| error.to_string())?;
        let attacker = format!("http://localhost:{}", port(&api_listener)?);
        let info = json!({
            "app": app, "api": api, "provider": idp.issuer(), "admin": format!("http://{admin}"),
            "attacker": format!("{attacker}/attacker.html"), "users": users,
        });
        let tries = tries::Tries {
            app: app.clone(),
            info,
            audit: audit.clone(),
            control: idp.control().clone(),
            http: http.clone(),
        };
        let extras = Extras {
            routes: Some(("/demo/".into(), tries::router(tries))),
            frames: vec![attacker],
        };
        let running = Running::start(&settings, &audit, &clock, extras).map_err(|error| error.to_string())?;

        let provider = ProviderSettings::new("dev", idp.issuer());
        let provider = Provider::new(provider, Arc::new(http), clock.clone(), Arc::new(|_, _| {}));
        let orders = orders::router(provider, &clock)?;
        let (stop, stopping) = watch::channel(false);
        let mut servers = listen(
            &settings,
            &running,
            &audit,
            (app_listener, None),
            Some((admin_listener, running.readiness())),
            &stopping,
            DRAIN,
        );
        servers.push(tokio::spawn(serve_orders(api_listener, orders, stopping)));

        let version = env!("CARGO_PKG_VERSION").to_owned();
        audit.emit(
            None,
            Event::Started {
                component: "demo".into(),
                version,
                dangers: settings.dangers(),
            },
        );
        let admin = format!("http://{admin}");
        let demo = Demo {
            app,
            api,
            admin,
            users,
            idp,
            audit,
            running,
            stop,
            servers,
            _temporary: temporary,
        };
        demo.wait_until_ready().await?;
        Ok(demo)
    }

    async fn wait_until_ready(&self) -> Result<(), String> {
        let readiness = self.running.readiness();
        let ready = async {
            while !readiness().ready {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let late = |_| "the demo did not get ready: the development provider does not answer".to_owned();
        tokio::time::timeout(READY_WITHIN, ready).await.map_err(late)
    }

    /// What `--json` prints.
    #[must_use]
    pub fn json(&self) -> Value {
        let users: Vec<Value> = self
            .users
            .as_array()
            .into_iter()
            .flatten()
            .map(|user| json!({ "username": user["username"], "password": user["password"], "scopes": user["scopes"] }))
            .collect();
        json!({ "app": self.app, "api": self.api, "provider": self.idp.issuer(), "admin": self.admin, "users": users })
    }

    /// The development provider, to make it misbehave.
    #[must_use]
    pub fn idp(&self) -> &Idp {
        &self.idp
    }

    /// The gateway's events and metrics.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Ends all of it.
    pub async fn stop(self) {
        self.audit.emit(
            None,
            Event::Stopping {
                component: "demo".into(),
                why: "ctrl_c".into(),
            },
        );
        let _ = self.stop.send(true);
        for server in self.servers {
            let _ = server.await;
        }
        self.idp.shutdown().await;
        drop(self.running);
        let _ = self.audit.flush(Duration::from_millis(200));
    }

    fn text(&self) -> String {
        let mut text = format!(
            "Portcullis demo: everything runs on this machine, and ends with Ctrl-C.\n\n  app       {}\n  console   {}\n  provider  {}\n  API       {}\n\nPeople\n",
            self.app,
            self.admin,
            self.idp.issuer(),
            self.api
        );
        for user in self.users.as_array().into_iter().flatten() {
            let word = |name: &str| user[name].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!(
                "  {:<6} password {:<11} {}\n",
                word("username"),
                word("password"),
                word("about")
            ));
        }
        text.push_str(
            "\nThree things to try\n  1. Open the app, sign in as bob, and create an order: see what the refusal says.\n  2. In the app, break a token on purpose and read cause and fix beside the 401.\n  3. Keep the console open meanwhile, and watch every decision with its reason.\n",
        );
        text
    }
}

async fn start_provider(app: &str, any: bool, clock: Arc<dyn Clock>) -> Result<(Idp, Value), String> {
    let text = files::PROVIDER.replace("http://127.0.0.1:8080", app);
    let mut config: IdpConfig = toml::from_str(&text).map_err(|error| format!("the demo's provider: {error}"))?;
    // Taken and let go, so that the provider can take it; on loopback nobody is waiting for it.
    config.listen = match free(PROVIDER, any).await {
        Ok(listener) => listener.local_addr().unwrap_or(local(0)),
        Err(_) => local(0),
    };
    let users: Vec<Value> = config
        .users
        .iter()
        .map(|user| {
            json!({
                "username": user.username,
                "password": user.password.as_ref().map(|password| password.expose()),
                "scopes": user.scopes,
                "about": about(&user.scopes),
            })
        })
        .collect();
    let idp = Idp::start(config, clock).await.map_err(|error| error.to_string())?;
    Ok((idp, Value::Array(users)))
}

fn about(scopes: &[String]) -> &'static str {
    let has = |scope: &str| scopes.iter().any(|own| own == scope);
    match (has("orders.write"), has("orders.admin")) {
        (_, true) => "reads, creates, and sees the report",
        (true, false) => "reads and creates orders",
        (false, false) => "reads orders only",
    }
}

async fn serve_orders(listener: TcpListener, orders: axum::Router, stopping: watch::Receiver<bool>) {
    let handler = move |request: http::Request<hyper::body::Incoming>, _| {
        let orders = orders.clone();
        async move {
            let request = request.map(axum::body::Body::new);
            tower::ServiceExt::oneshot(orders, request).await
        }
    };
    server::serve(listener, None, stopping, DRAIN, handler).await;
}

/// The usual port, or a free one when it is taken.
async fn free(usual: u16, any: bool) -> Result<TcpListener, String> {
    if !any && let Ok(listener) = server::bind(local(usual)).await {
        return Ok(listener);
    }
    server::bind(local(0)).await
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn address(listener: &TcpListener) -> Result<String, String> {
    listener
        .local_addr()
        .map(|address| address.to_string())
        .map_err(|error| error.to_string())
}

fn port(listener: &TcpListener) -> Result<u16, String> {
    listener
        .local_addr()
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

fn written(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "Written to {dir}: portcullis.toml, idp.toml, web/\n\n  portcullis idp --config {dir}/idp.toml\n  portcullis serve --config {dir}/portcullis.toml\n\nThe API is yours: put it where `upstream` of [api.orders] says, or change that. Of the page, signing in and orders\nwork there; its panel of events and its ways to be refused need `portcullis demo`."
    )
}
