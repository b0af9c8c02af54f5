use http::uri::Authority;
use http::{HeaderMap, Uri, header};

/// Whether a host name, with or without IPv6 brackets, can only mean this machine.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let host = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return address.is_loopback();
    }
    let host = host.to_ascii_lowercase();
    // RFC 6761 s6.3
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether the request is addressed to a loopback name. A page that rebinds its own name to 127.0.0.1 is not.
pub(crate) fn is_for_us(uri: &Uri, headers: &HeaderMap) -> bool {
    // HTTP/2 puts the authority into the URI; HTTP/1.1 into exactly one Host (RFC 9112 s3.2).
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), None, None) => authority.clone(),
        (authority, Some(host), None) => {
            let Some(host) = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok()) else {
                return false;
            };
            if authority.is_some_and(|authority| *authority != host) {
                return false;
            }
            host
        }
        _ => return false,
    };
    !host.as_str().contains('@') && is_loopback_host(host.host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        is_for_us(&Uri::from_static("/authorize"), &headers)
    }

    #[test]
    fn loopback_names_are_ours() {
        for host in [
            "127.0.0.1:8080",
            "127.0.0.1",
            "localhost:1",
            "[::1]:8080",
            "idp.localhost",
            "LOCALHOST",
            "127.9.9.9",
        ] {
            assert!(allowed(&[host]), "{host}");
        }
    }

    #[test]
    fn other_names_are_not() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "10.0.0.1",
            "0.0.0.0",
            "127.0.0.1@evil",
            "",
        ] {
            assert!(!allowed(&[host]), "{host:?}");
        }
        assert!(!allowed(&[]));
        assert!(!allowed(&["localhost", "localhost"]));
    }

    #[test]
    fn authority_and_host_must_agree() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "evil.example".parse().unwrap());
        assert!(!is_for_us(&Uri::from_static("http://localhost/x"), &headers));
        assert!(is_for_us(&Uri::from_static("http://localhost/x"), &HeaderMap::new()));
    }
}
