//! `[server]`, `[admin]` and `[danger]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, HOST};
use url::{Host, Url};

use super::secret::{DevOnly, is_private, secret};
use crate::config::faults::FaultKind;
use crate::config::kinds::{address, count, duration, list, only_true, path, switch, text, texts};
use crate::config::network::Network;
use crate::config::reader::{Context, Item, Reader};
use crate::config::schema::{CERTIFICATE_HEADER, Kind, TLS};
use crate::config::settings::{
    AdminSettings, CertificateHeader, ClientCertificates, DangerSettings, ServerSettings, TlsSettings,
};
use crate::config::urls::{is_loopback, origin};

const NETWORK: Kind = Kind::Other("an IP address, or a network such as \"10.0.0.0/8\"");

pub(super) fn server(reader: &Reader<'_>) -> Option<ServerSettings> {
    let public_url = reader.get("public_url", origin);
    let listen = reader.get("listen", address);
    let tls = reader.table("tls", &TLS).map(|tls| read_tls(&tls));
    let admin = reader.get("admin", loopback_address);
    let probes = reader.get("probes", address);
    let (stop_delay, drain) = (reader.get("stop_delay", duration), reader.get("drain", duration));
    let development = reader.get("development", switch);
    let workers = reader.get("workers", count);
    let token_cache = reader.get("token_cache", count);
    let trusted_proxies = reader.get("trusted_proxies", |cx, item| {
        list(cx, item, &NETWORK, |cx, item| {
            network(cx, item, "who could then say to be anywhere")
        })
    });
    let certificate_header = reader
        .table("client_certificate_header", &CERTIFICATE_HEADER)
        .map(|header| read_certificate_header(&header));
    let dpop_nonce = reader.get("dpop_nonce", only_true).is_some();
    if let Some(url) = public_url
        .as_ref()
        .filter(|url| url.value.scheme() == "http" && reader.has("tls"))
    {
        let fault = FaultKind::Contradiction
            .says(format!("{} has `tls`, but `public_url` is http", reader.title()))
            .at(url.span.clone(), "browsers would be sent to http://")
            .related(reader.key_span("tls"), "and https is served");
        reader
            .cx
            .push(fault.help("write https:// in `public_url`, or leave `tls` out"));
    }
    if let (Some(listen), Some(admin)) = (&listen, &admin)
        && listen.value == admin.value
        && admin.value.port() != 0
    {
        let fault = FaultKind::Contradiction
            .says(format!("`admin` in {} is the address of `listen`", reader.title()))
            .at(admin.span.clone(), "the console must not be on the public listener")
            .related(listen.span.clone(), "the same");
        reader.cx.push(fault.expected("another port"));
    }
    if let Some(probes) = &probes
        && let Some(other) = [&listen, &admin]
            .into_iter()
            .flatten()
            .find(|other| other.value == probes.value)
        && probes.value.port() != 0
    {
        let fault = FaultKind::Contradiction
            .says(format!("`probes` in {} is an address that is taken", reader.title()))
            .at(probes.span.clone(), "one address has one listener")
            .related(other.span.clone(), "the same");
        reader.cx.push(fault.expected("another port"));
    }
    let public_url = public_url?.value;
    let listen = match listen {
        Some(listen) => listen.value,
        None if reader.has("listen") => return None,
        None => match own_address(&public_url) {
            Some(address) => address,
            None => {
                reader.missing("listen");
                return None;
            }
        },
    };
    let development = development.filter(|development| development.value);
    if let Some(development) = &development
        && !(is_loopback(&public_url) && listen.ip().is_loopback())
    {
        let fault = FaultKind::Contradiction
            .says(format!("`development` in {} is for loopback only", reader.title()))
            .at(
                development.span.clone(),
                "strangers would learn what is wrong with their forgeries",
            )
            .expected("`public_url` and `listen` on localhost, 127.0.0.1 or [::1]");
        reader
            .cx
            .push(fault.help("leave `development` out: the audit events have the codes too"));
    }
    Some(ServerSettings {
        public_url,
        listen,
        development: development.is_some(),
        tls: match tls {
            Some(tls) => Some(tls?),
            None => None,
        },
        admin: admin.map(|admin| admin.value),
        probes: probes.map(|probes| probes.value),
        stop_delay: stop_delay?.value,
        drain: drain?.value,
        trusted_proxies: trusted_proxies
            .map(|proxies| proxies.value.into_iter().map(|network| network.value).collect())
            .unwrap_or_default(),
        workers: workers.map(|workers| workers.value),
        token_cache: token_cache?.value.saturating_mul(1024 * 1024),
        client_certificate_header: match certificate_header {
            Some(header) => Some(header?),
            None => None,
        },
        dpop_nonce,
    })
}

/// Whether a client's certificate can be known: from its connection, or by a proxy's word.
pub(super) fn knows_certificates(server: &ServerSettings) -> bool {
    let asked = |tls: &TlsSettings| tls.client_certificates != ClientCertificates::NotAsked;
    server.client_certificate_header.is_some() || server.tls.as_ref().is_some_and(asked)
}

/// Reads `[admin]`. `admin` is whether there is an admin address.
pub(super) fn admin(
    reader: &Reader<'_>,
    has_address: Option<bool>,
    public_is_loopback: Option<bool>,
) -> Option<AdminSettings> {
    if has_address == Some(false) {
        let fault = FaultKind::Contradiction
            .says(format!(
                "{} has a token, but [server] has no `admin` address",
                reader.title()
            ))
            .at(reader.place(), "nobody could use it");
        reader
            .cx
            .push(fault.help("add to [server]:  admin = \"127.0.0.1:9090\""));
    }
    let token = reader.get("token", |cx, item| {
        let token = secret(cx, item, dev_only(public_is_loopback))?;
        // RFC 6750 s2.1: what can stand behind `Bearer`.
        let sendable = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if token.expose().len() >= 32 && token.expose().bytes().all(sendable) {
            return Some(token);
        }
        let message = format!("{} can be guessed, or not be sent", item.what);
        let fault = item.fault(
            FaultKind::InvalidValue,
            message,
            "fewer than 32 characters, or odd ones",
        );
        let fault = fault.expected("at least 32 letters, digits and `-._~+/=`");
        cx.push(fault.help("make one:  openssl rand -hex 32 > admin.token && chmod 600 admin.token"));
        None
    });
    Some(AdminSettings { token: token?.value })
}

pub(super) fn host_names(cx: &Context<'_>, item: &Item<'_>) -> Option<Vec<String>> {
    let hosts = texts(cx, item)?;
    let is_name =
        |host: &String| !host.contains('*') && Host::parse(host).is_ok_and(|parsed| parsed.to_string() == *host);
    if hosts.iter().all(is_name) {
        return Some(hosts);
    }
    let fault = item.fault(
        FaultKind::InvalidValue,
        format!("{} has an entry that is no host", item.what),
        "",
    );
    cx.push(fault.help("names as they stand in the URL: small letters, no scheme, no port, no `*`"));
    None
}

pub(super) fn danger(reader: &Reader<'_>) -> DangerSettings {
    let hosts = reader.get("dangerous_allow_plain_http_upstream_hosts", host_names);
    DangerSettings {
        plain_http_upstream_hosts: hosts.map(|hosts| hosts.value).unwrap_or_default(),
    }
}

pub(super) fn dev_only(public_is_loopback: Option<bool>) -> DevOnly {
    match public_is_loopback {
        Some(true) => DevOnly::Allowed,
        Some(false) => DevOnly::Refused("`public_url`"),
        None => DevOnly::Unknown,
    }
}

fn read_tls(reader: &Reader<'_>) -> Option<TlsSettings> {
    let cert = reader.get("cert", existing_file);
    let key = reader.get("key", private_file);
    let any = reader.get("client_certificates", only_true);
    let authorities = reader.get("client_ca", existing_file);
    if reader.has("client_ca") && authorities.is_none() {
        return None;
    }
    Some(TlsSettings {
        cert: cert?.value,
        key: key?.value,
        client_certificates: match (authorities, any) {
            (Some(authorities), _) => ClientCertificates::IssuedBy(authorities.value),
            (None, Some(_)) => ClientCertificates::Any,
            (None, None) => ClientCertificates::NotAsked,
        },
    })
}

fn read_certificate_header(reader: &Reader<'_>) -> Option<CertificateHeader> {
    let name = reader.get("name", |cx, item| {
        let name = text(cx, item)?.parse::<HeaderName>().ok();
        // What every request has, or what would be taken from it, is not the proxy's word.
        let taken = |name: &HeaderName| [AUTHORIZATION, COOKIE, HOST].contains(name);
        // A name with `_` is not told from one with `-` by servers behind us, so no call keeps it.
        let free = name.filter(|name| !taken(name) && !name.as_str().contains('_'));
        if free.is_none() {
            let fault = item.fault(
                FaultKind::InvalidValue,
                format!("{} is no name of such a header", item.what),
                "",
            );
            cx.push(fault.expected("the name of the header that the proxy sets, such as \"Client-Cert\""));
        }
        free
    });
    let proxies = reader.get("trusted_proxies", |cx, item| {
        list(cx, item, &NETWORK, |cx, item| {
            network(cx, item, "who could then call with any certificate")
        })
    });
    Some(CertificateHeader {
        name: name?.value,
        trusted_proxies: proxies?.value.into_iter().map(|network| network.value).collect(),
    })
}

fn network(cx: &Context<'_>, item: &Item<'_>, why_not: &str) -> Option<Network> {
    let network = Network::parse(&text(cx, item)?);
    match network {
        None => cx.push(item.fault(FaultKind::InvalidValue, format!("{} is no network", item.what), "")),
        Some(network) if network.is_everybody() => {
            let says = format!("{} is everybody, {why_not}", item.what);
            let fault = item.fault(FaultKind::InvalidValue, says, "");
            cx.push(fault.expected("the networks of the proxies alone"));
        }
        Some(_) => {}
    }
    network
}

/// A file that others cannot read.
pub(super) fn private_file(cx: &Context<'_>, item: &Item<'_>) -> Option<PathBuf> {
    existing_file(cx, item).filter(|file| is_private(cx, item, file))
}

pub(super) fn existing_file(cx: &Context<'_>, item: &Item<'_>) -> Option<PathBuf> {
    let file = path(cx, item)?;
    let why = match std::fs::File::open(&file).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_file() => return Some(file),
        Ok(_) => "not a file".to_owned(),
        Err(error) => error.to_string(),
    };
    let fault = item.fault(FaultKind::MissingFile, format!("{} cannot be read", item.what), why);
    cx.push(fault.help(format!("the path is {}", file.display())));
    None
}

/// The console shows what happens inside, and has no login of its own.
fn loopback_address(cx: &Context<'_>, item: &Item<'_>) -> Option<SocketAddr> {
    let address = address(cx, item)?;
    if address.ip().is_loopback() {
        return Some(address);
    }
    let message = format!("{} is not a loopback address", item.what);
    let fault = FaultKind::InvalidValue
        .says(message)
        .at(item.span.clone(), "others could reach it");
    let fault = fault.expected("an address in 127.0.0.0/8, or [::1], and a port");
    cx.push(fault.help(format!(
        "write \"127.0.0.1:{}\", and reach it through ssh or a sidecar",
        address.port()
    )));
    None
}

/// Where a loopback `public_url` is listened on.
fn own_address(public_url: &Url) -> Option<SocketAddr> {
    if !is_loopback(public_url) {
        return None;
    }
    let ip = match public_url.host()? {
        Host::Domain(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Host::Ipv4(ip) => IpAddr::V4(ip),
        Host::Ipv6(ip) => IpAddr::V6(ip),
    };
    Some(SocketAddr::new(ip, public_url.port_or_known_default()?))
}
