//! The servers that keep people's sessions, and what they need: the development provider and Redis.

use std::path::Path;
use std::process::Command;

use super::peers::{MEASURED, OTHERS, pinned, until_answers};
use super::{free_port, load};
use crate::packages;
use crate::sh::{self, Outcome, Server};

const MODULES: &str = "/usr/lib/apache2/modules";
/// The peer in Go is built from its source, where Go and its proxy are at hand.
const OAUTH2_PROXY: &str = "github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6";

/// A server under measurement.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) server: Server,
    pub(super) port: u16,
    /// Where a sign-in begins.
    pub(super) start: &'static str,
}

/// Where everybody listens, so that the provider knows its clients before they start.
pub(super) struct Ports {
    idp: u16,
    portcullis: Vec<(&'static str, u16)>,
    apache: u16,
    oauth2_proxy: u16,
}

/// The development provider.
pub(super) struct Idp {
    issuer: String,
    _server: Server,
}

// === impl Ports ===

impl Ports {
    pub(super) fn pick() -> Outcome<Self> {
        let mut portcullis = Vec::new();
        for store in ["sqlite", "redis", "postgres", "cookie"] {
            portcullis.push((store, free_port()?));
        }
        Ok(Self {
            idp: free_port()?,
            portcullis,
            apache: free_port()?,
            oauth2_proxy: free_port()?,
        })
    }

    fn of(&self, store: &str) -> Option<u16> {
        self.portcullis
            .iter()
            .find(|(name, _)| *name == store)
            .map(|(_, port)| *port)
    }
}

// === impl Idp ===

impl Idp {
    pub(super) fn start(directory: &Path, binary: &Path, ports: &Ports) -> Outcome<Self> {
        let port = ports.idp;
        let callbacks = ports
            .portcullis
            .iter()
            .map(|(_, port)| format!("\"http://127.0.0.1:{port}/bff/callback\""));
        let callbacks: Vec<String> = callbacks
            .chain([
                format!("\"http://127.0.0.1:{}/oidc/callback\"", ports.apache),
                format!("\"http://127.0.0.1:{}/oauth2/callback\"", ports.oauth2_proxy),
            ])
            .collect();
        let text = format!(
            r#"listen = "127.0.0.1:{port}"
access_token_lifetime = "12h"

[[api]]
audience = "api://orders"
scopes = ["orders.read"]

[[client]]
client_id = "bench"
secret = "bench-secret"
redirect_uris = [{}]
scopes = ["orders.read"]

[[user]]
username = "alice"
password = "alice-demo"
sub = "alice"
claims = {{ name = "Alice Liddell", email = "alice@example.test", email_verified = true }}
scopes = ["orders.read"]
"#,
            callbacks.join(", ")
        );
        let file = directory.join("idp.toml");
        sh::write(&file, &text)?;
        let mut command = pinned(OTHERS, binary);
        command.args(["idp", "--config"]).arg(&file);
        let mut server = Server::start("portcullis idp", &mut command, &directory.join("idp.log"))?;
        until_answers(&mut server, port, "/.well-known/openid-configuration")?;
        Ok(Self {
            issuer: format!("http://127.0.0.1:{port}"),
            _server: server,
        })
    }
}

/// Redis, which keeps nothing on disk.
pub(super) fn redis(directory: &Path) -> Outcome<(Server, u16)> {
    let port = free_port()?;
    let mut command = pinned(OTHERS, "redis-server");
    command.args([
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
        "--port",
        &port.to_string(),
    ]);
    let mut server = Server::start("redis", &mut command, &directory.join("redis.log"))?;
    until_listens(&mut server, port)?;
    Ok((server, port))
}

/// PostgreSQL with its usual settings, and no password on loopback.
pub(super) fn postgres(directory: &Path) -> Outcome<(Server, u16)> {
    let port = free_port()?;
    // It does not run as root, and its user may not look into the directory of the build.
    let home = std::env::temp_dir().join(format!("portcullis-bench-{}", std::process::id()));
    std::fs::create_dir_all(&home).map_err(|error| sh::at(&home, &error))?;
    let as_owner = |program: &str| {
        let mut command = pinned(OTHERS, "env");
        if packages::is_root() {
            command.args(["runuser", "-u", "postgres", "--"]);
        }
        command.arg(program).current_dir("/");
        command
    };
    if packages::is_root() {
        sh::run(Command::new("chown").arg("postgres").arg(&home))?;
    }
    let programs = postgres_programs()?;
    let program = |name: &str| programs.join(name).display().to_string();
    let data = home.join("data");
    let mut initdb = as_owner(&program("initdb"));
    sh::capture(initdb.arg("-D").arg(&data).args(["-U", "portcullis", "-A", "trust"]))?;
    let mut command = as_owner(&program("postgres"));
    command
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
    let mut server = Server::start("postgres", &mut command, &directory.join("postgres.log"))?;
    until_listens(&mut server, port)?;
    Ok((server, port))
}

/// Debian keeps the programs of the server off the path, by version.
fn postgres_programs() -> Outcome<std::path::PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")?;
    let newest = versions.flatten().map(|version| version.path().join("bin")).max();
    newest.ok_or_else(|| sh::Failure::new("there is no PostgreSQL in /usr/lib/postgresql"))
}

fn until_listens(server: &mut Server, port: u16) -> Outcome {
    let began = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        server.still_runs()?;
        if began.elapsed().as_secs() > 20 {
            return Err(sh::Failure::new("a store does not listen"));
        }
        sh::pause(std::time::Duration::from_millis(20));
    }
    Ok(())
}

/// Portcullis with one worker: `/plain` lets everybody pass, `/api/orders` needs a session whose token has the scope.
pub(super) fn portcullis(
    directory: &Path,
    binary: &Path,
    ports: &Ports,
    idp: &Idp,
    upstream: u16,
    store: &'static str,
    url: &str,
) -> Outcome<Peer> {
    let (port, admin) = (ports.of(store).unwrap_or_default(), free_port()?);
    let home = directory.join(format!("sessions-{store}"));
    let assets = home.join("web");
    // Yesterday's sessions are not today's.
    let _ = std::fs::remove_dir_all(&home);
    std::fs::create_dir_all(&assets).map_err(|error| sh::at(&assets, &error))?;
    sh::write(&assets.join("index.html"), "<!doctype html><title>bench</title>")?;
    let seal = home.join("seal.key");
    sh::write(
        &seal,
        &sh::capture(Command::new("openssl").args(["rand", "-hex", "32"]))?,
    )?;
    sh::run(Command::new("chmod").arg("600").arg(&seal))?;
    let issuer = &idp.issuer;
    // Whoever sends the load keeps the cookies that it has, and does not take newer ones.
    let session = match store {
        "cookie" => r#"session = { idle = "12h", lifetime = "12h" }"#,
        _ => "",
    };
    let text = format!(
        r#"[server]
public_url = "http://127.0.0.1:{port}"
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
workers = 1

[store]
url = "{url}"
keys = [{{ file = "seal.key" }}]

[provider.bench]
issuer = "{issuer}"

[client.web]
provider = "bench"
client_id = "bench"
secret = {{ dev_only = "bench-secret" }}

[frontend.shop]
client = "web"
scopes = ["openid", "profile", "email", "orders.read"]
assets = {{ dir = "web" }}
{session}

[api.plain]
path = "/plain"
upstream = "http://127.0.0.1:{upstream}"
accept = ["anyone"]

[api.orders]
path = "/api/orders"
upstream = "http://127.0.0.1:{upstream}"
accept = ["session"]
provider = "bench"
audience = "api://orders"
policy = "Read"

[policy.Read]
scope = "orders.read"
"#
    );
    let file = home.join("portcullis.toml");
    sh::write(&file, &text)?;
    let mut command = pinned(MEASURED, binary);
    command.args(["serve", "--config"]).arg(&file);
    let mut server = Server::start("portcullis", &mut command, &home.join("portcullis.log"))?;
    until_answers(&mut server, admin, "/readyz")?;
    Ok(Peer {
        name: match store {
            "redis" => "Portcullis, Redis",
            "postgres" => "Portcullis, PostgreSQL",
            "cookie" => "Portcullis, cookies",
            _ => "Portcullis, SQLite",
        },
        server,
        port,
        start: "/bff/login",
    })
}

/// Apache with one process, sessions in shared memory.
pub(super) fn apache(directory: &Path, ports: &Ports, idp: &Idp, upstream: u16) -> Outcome<Peer> {
    let (port, at, issuer) = (ports.apache, directory.display(), &idp.issuer);
    let modules = [
        ("mpm_event", "mod_mpm_event.so"),
        ("authn_core", "mod_authn_core.so"),
        ("authz_core", "mod_authz_core.so"),
        ("authz_user", "mod_authz_user.so"),
        ("proxy", "mod_proxy.so"),
        ("proxy_http", "mod_proxy_http.so"),
        ("auth_openidc", "mod_auth_openidc.so"),
    ];
    let modules: String = modules
        .iter()
        .map(|(name, file)| format!("LoadModule {name}_module {MODULES}/{file}\n"))
        .collect();
    let user = match packages::is_root() {
        true => "User www-data\nGroup www-data\n",
        false => "",
    };
    let text = format!(
        "{modules}{user}ServerRoot \"{at}\"\nServerName 127.0.0.1\nListen 127.0.0.1:{port}\nPidFile {at}/apache.pid\n\
         ErrorLog /dev/stderr\nLogLevel warn\nCustomLog /dev/null common\n\
         ServerLimit 1\nStartServers 1\nThreadsPerChild 64\nMaxRequestWorkers 64\nMinSpareThreads 1\nMaxSpareThreads 64\n\
         KeepAlive On\nMaxKeepAliveRequests 0\nKeepAliveTimeout 3600\n\
         OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration\nOIDCClientID bench\nOIDCClientSecret bench-secret\n\
         OIDCRedirectURI http://127.0.0.1:{port}/oidc/callback\nOIDCCryptoPassphrase bench-bench-bench-bench\n\
         OIDCScope \"openid profile email orders.read\"\nOIDCPKCEMethod S256\nOIDCProviderTokenEndpointAuth client_secret_basic\n\
         OIDCCacheType shm\nOIDCCacheShmMax 40000\nOIDCCacheShmEntrySizeMax 9216\nOIDCSessionType server-cache\n\
         OIDCSessionInactivityTimeout 3600\nOIDCPassIDTokenAs claims\nOIDCPassClaimsAs headers\n\
         <Location \"/api\">\n  AuthType openid-connect\n  Require claim iss:{issuer}\n\
         \x20 ProxyPass http://127.0.0.1:{upstream}/ keepalive=On\n</Location>\n\
         <Location \"/oidc\">\n  AuthType openid-connect\n  Require valid-user\n</Location>\n"
    );
    let file = directory.join("apache.conf");
    sh::write(&file, &text)?;
    let mut command = pinned(MEASURED, "apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(&file);
    let mut server = Server::start("apache", &mut command, &directory.join("apache.log"))?;
    until_redirects(&mut server, port)?;
    Ok(Peer {
        name: "Apache mod_auth_openidc, shm",
        server,
        port,
        start: "/api/orders",
    })
}

/// oauth2-proxy with sessions in Redis; `None` where it cannot be built.
pub(super) fn oauth2_proxy(
    directory: &Path,
    ports: &Ports,
    idp: &Idp,
    upstream: u16,
    redis: u16,
) -> Outcome<Option<Peer>> {
    let binary = directory.join("oauth2-proxy");
    if !binary.exists() {
        eprintln!("building oauth2-proxy ...");
        let built = sh::which("go").is_some()
            && sh::run(
                Command::new("go")
                    .env("GOBIN", directory)
                    .args(["install", OAUTH2_PROXY]),
            )
            .is_ok();
        if !built {
            eprintln!("left out: oauth2-proxy, which needs Go and its module proxy");
            return Ok(None);
        }
    }
    let (port, issuer) = (ports.oauth2_proxy, &idp.issuer);
    let mut command = pinned(MEASURED, &binary);
    command.env("GOMAXPROCS", "1").args([
        "--provider=oidc".to_owned(),
        format!("--oidc-issuer-url={issuer}"),
        "--client-id=bench".to_owned(),
        "--client-secret=bench-secret".to_owned(),
        format!("--redirect-url=http://127.0.0.1:{port}/oauth2/callback"),
        format!("--http-address=127.0.0.1:{port}"),
        format!("--upstream=http://127.0.0.1:{upstream}/"),
        "--email-domain=*".to_owned(),
        "--cookie-secret=0123456789abcdef0123456789abcdef".to_owned(),
        "--cookie-secure=false".to_owned(),
        "--session-store-type=redis".to_owned(),
        format!("--redis-connection-url=redis://127.0.0.1:{redis}/1"),
        "--pass-access-token=true".to_owned(),
        "--skip-provider-button=true".to_owned(),
        "--code-challenge-method=S256".to_owned(),
        "--scope=openid profile email orders.read".to_owned(),
    ]);
    let mut server = Server::start("oauth2-proxy", &mut command, &directory.join("oauth2-proxy.log"))?;
    until_redirects(&mut server, port)?;
    Ok(Some(Peer {
        name: "oauth2-proxy, Redis",
        server,
        port,
        start: "/api/orders",
    }))
}

/// The module of Apache has no program to look for.
pub(super) fn need_module() -> Outcome {
    match Path::new(MODULES).join("mod_auth_openidc.so").exists() {
        true => Ok(()),
        false => packages::install(&["libapache2-mod-auth-openidc"]),
    }
}

/// Waits until a call without a session is sent to the provider.
fn until_redirects(server: &mut Server, port: u16) -> Outcome {
    let began = std::time::Instant::now();
    loop {
        server.still_runs()?;
        if let Ok((302 | 303, _)) = load::get(port, "/api/orders", &["Accept: text/html".to_owned()]) {
            return Ok(());
        }
        if began.elapsed().as_secs() > 20 {
            return Err(sh::Failure(format!(
                "no redirect from port {port} in 20 s; its log is in target/bench"
            )));
        }
        sh::pause(std::time::Duration::from_millis(20));
    }
}
