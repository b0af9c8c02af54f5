//! The servers that are compared, and the one behind them. Each does the same work with one thread, and each
//! writes its usual line for every request (to `/dev/null`).

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::provider::{AUDIENCE, Provider, SCOPE};
use super::{free_port, load};
use crate::sh::{self, Failure, Outcome, Server};

/// The core of the server that is measured.
pub(super) const MEASURED: usize = 0;
/// The core of the load and of the server behind.
pub(super) const OTHERS: usize = 1;

/// The API behind all of them: nginx with one small JSON body.
pub(super) fn upstream(directory: &Path) -> Outcome<(Server, u16)> {
    let port = free_port()?;
    let text = nginx_config(
        directory,
        "upstream",
        "off",
        &format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; \
         return 200 '{{\"orders\":[{{\"id\":1,\"item\":\"chain\",\"quantity\":2}},{{\"id\":2,\"item\":\"gate\",\"quantity\":1}}]}}'; }} }}"
        ),
    );
    Ok((nginx(directory, "upstream", &text, OTHERS, port)?, port))
}

/// nginx as a plain proxy.
pub(super) fn nginx_proxy(directory: &Path, upstream: u16) -> Outcome<(Server, u16)> {
    let port = free_port()?;
    let text = nginx_config(
        directory,
        "nginx",
        "/dev/null",
        &format!(
            "upstream api {{ server 127.0.0.1:{upstream}; keepalive 64; }}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://api; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; proxy_set_header Host $host; \
         proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; \
         proxy_set_header X-Request-Id $request_id; }} }}"
        ),
    );
    Ok((nginx(directory, "nginx", &text, MEASURED, port)?, port))
}

/// HAProxy, which checks signature, issuer, audience, lifetime and scope on every request.
pub(super) fn haproxy(directory: &Path, upstream: u16, provider: &Provider) -> Outcome<(Server, u16)> {
    let port = free_port()?;
    let (issuer, pem) = (&provider.issuer, provider.key.public_pem.display());
    let text = format!(
        "global\n  nbthread 1\n  maxconn 256\n  log stdout format raw local0 info\n\
         defaults\n  mode http\n  log global\n  option httplog\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n  http-reuse always\n\
         frontend gate\n  bind 127.0.0.1:{port}\n\
         \x20 http-request set-var(txn.token) http_auth_bearer\n\
         \x20 http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')\n\
         \x20 http-request set-var(txn.iss) var(txn.token),jwt_payload_query('$.iss')\n\
         \x20 http-request set-var(txn.aud) var(txn.token),jwt_payload_query('$.aud')\n\
         \x20 http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')\n\
         \x20 http-request set-var(txn.scope) var(txn.token),jwt_payload_query('$.scope')\n\
         \x20 http-request set-var(txn.now) date()\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.alg) -m str RS256 }}\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.aud) -m str {AUDIENCE} }}\n\
         \x20 http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}\n\
         \x20 http-request deny deny_status 401 unless {{ var(txn.token),jwt_verify(txn.alg,\"{pem}\") -m int 1 }}\n\
         \x20 http-request deny deny_status 403 unless {{ var(txn.scope) -m reg (^|\\ ){scope}(\\ |$) }}\n\
         \x20 http-request set-header X-Forwarded-For %[src]\n\
         \x20 default_backend api\n\
         backend api\n  server one 127.0.0.1:{upstream}\n",
        scope = SCOPE.replace('.', "\\."),
    );
    let file = directory.join("haproxy.cfg");
    sh::write(&file, &text)?;
    let mut command = pinned(MEASURED, "haproxy");
    command.arg("-db").arg("-f").arg(&file);
    let mut server = Server::start("haproxy", &mut command, &directory.join("haproxy.log"))?;
    until_answers(&mut server, port, "/")?;
    Ok((server, port))
}

/// Portcullis with one worker: `/plain` lets everybody pass, `/guarded` checks what HAProxy checks.
pub(super) fn portcullis(directory: &Path, binary: &Path, upstream: u16, issuer: &str) -> Outcome<(Server, u16)> {
    let (port, admin) = (free_port()?, free_port()?);
    let file = directory.join("portcullis.toml");
    sh::write(&file, &portcullis_config(port, admin, upstream, issuer))?;
    let mut command = pinned(MEASURED, binary);
    command.args(["serve", "--config"]).arg(&file);
    let mut server = Server::start("portcullis", &mut command, &directory.join("portcullis.log"))?;
    until_answers(&mut server, admin, "/readyz")?;
    Ok((server, port))
}

/// The configuration of the gateway under load.
pub(super) fn portcullis_config(port: u16, admin: u16, upstream: u16, issuer: &str) -> String {
    format!(
        r#"[server]
public_url = "http://127.0.0.1:{port}"
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
workers = 1
token_cache = 16

[store]
url = "sqlite:portcullis.db"

[provider.bench]
issuer = "{issuer}"

[api.plain]
path = "/plain"
upstream = "http://127.0.0.1:{upstream}"
accept = ["anyone"]

[api.guarded]
path = "/guarded"
upstream = "http://127.0.0.1:{upstream}"
accept = ["bearer"]
provider = "bench"
audience = "{AUDIENCE}"
policy = "Read"

[policy.Read]
scope = "{SCOPE}"
"#
    )
}

/// Waits until a path answers 200, 401 or 403: the server is there.
pub(super) fn until_answers(server: &mut Server, port: u16, path: &str) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        server.still_runs()?;
        if let Ok((200 | 401 | 403, _)) = load::get(port, path, &[]) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure(format!(
                "no answer from port {port} {path} in 20 s; its log is in target/bench"
            )));
        }
        sh::pause(Duration::from_millis(20));
    }
}

/// A program on one core.
pub(super) fn pinned(core: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = sh::here("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

fn nginx(directory: &Path, name: &'static str, text: &str, core: usize, port: u16) -> Outcome<Server> {
    let temporary = directory.join(format!("{name}.tmp"));
    std::fs::create_dir_all(&temporary).map_err(|error| sh::at(&temporary, &error))?;
    let file = directory.join(format!("{name}.conf"));
    sh::write(&file, text)?;
    let mut command = pinned(core, "nginx");
    command.args(["-e", "stderr", "-p"]).arg(directory).arg("-c").arg(&file);
    let mut server = Server::start(name, &mut command, &directory.join(format!("{name}.log")))?;
    until_answers(&mut server, port, "/")?;
    Ok(server)
}

fn nginx_config(directory: &Path, name: &str, log: &str, http: &str) -> String {
    let at = directory.display();
    // The directories are named because the packaged defaults belong to root.
    format!(
        "daemon off;\nworker_processes 1;\npid {at}/{name}.pid;\nerror_log {at}/{name}.error.log warn;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log {log}; keepalive_requests 1000000000; keepalive_timeout 3600s;\n\
         client_body_temp_path {at}/{name}.tmp/body; proxy_temp_path {at}/{name}.tmp/proxy;\n\
         fastcgi_temp_path {at}/{name}.tmp/fastcgi; uwsgi_temp_path {at}/{name}.tmp/uwsgi; scgi_temp_path {at}/{name}.tmp/scgi;\n\
         {http} }}\n"
    )
}
