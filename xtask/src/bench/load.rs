//! wrk, and one plain HTTP request.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::sh::{self, Failure, Outcome};

/// What one run of wrk counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// Answers that are not 2xx or 3xx, and errors of sockets.
    pub(super) errors: u64,
}

/// What requests bring.
#[derive(Clone, Debug)]
pub(super) enum Bring {
    /// The same headers each time.
    Headers(Vec<String>),
    /// Each the next value of a file with one a line, beginning behind the first `skip`, in this header; and `X-CSRF: 1`,
    /// which calls with a session need and others ignore.
    Each {
        header: &'static str,
        before: &'static str,
        file: PathBuf,
        skip: usize,
    },
}

/// wrk's own language: the requests are made before the load begins.
const NEXT_VALUE: &str = r#"
local requests, at = {}, 0
function init(args)
  local skip = tonumber(args[2])
  local all = {}
  for line in io.lines(args[1]) do
    all[#all + 1] = wrk.format("GET", nil, { [args[3]] = args[4] .. line, ["X-CSRF"] = "1" })
  end
  for i = 1, #all do requests[i] = all[(i - 1 + skip) % #all + 1] end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"#;

/// Loads one address from one thread, pinned to a core, over 32 connections.
pub(super) fn wrk(core: usize, seconds: u64, url: &str, bring: &Bring) -> Outcome<Load> {
    let mut command = sh::here("taskset");
    command.args([
        "-c",
        &core.to_string(),
        "wrk",
        "-t1",
        "-c32",
        "-d",
        &format!("{seconds}s"),
    ]);
    match bring {
        Bring::Headers(headers) => {
            for header in headers {
                command.args(["-H", header]);
            }
            command.arg(url);
        }
        Bring::Each {
            header,
            before,
            file,
            skip,
        } => {
            let script = file.with_extension("lua");
            sh::write(&script, NEXT_VALUE)?;
            command.arg("-s").arg(script).args([url, "--"]).arg(file);
            command.args([&skip.to_string(), *header, *before]);
        }
    }
    let text = sh::capture(&mut command)?;
    read(&text).ok_or_else(|| Failure(format!("wrk said what cannot be read:\n{text}")))
}

/// Status and body of a GET, over a connection of its own.
pub(super) fn get(port: u16, path: &str, headers: &[String]) -> Outcome<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((
        status.ok_or_else(|| Failure::new("an answer without a status"))?,
        body.to_owned(),
    ))
}

fn read(text: &str) -> Option<Load> {
    let mut load = Load {
        requests: 0,
        per_second: 0.0,
        errors: 0,
    };
    let mut seen = (false, false);
    for line in text.lines().map(str::trim) {
        if let Some((number, _)) = line.split_once(" requests in ") {
            load.requests = number.parse().ok()?;
            seen.0 = true;
        } else if let Some(number) = line.strip_prefix("Requests/sec:") {
            load.per_second = number.trim().parse().ok()?;
            seen.1 = true;
        } else if let Some(number) = line.strip_prefix("Non-2xx or 3xx responses:") {
            load.errors += number.trim().parse::<u64>().ok()?;
        } else if let Some(counts) = line.strip_prefix("Socket errors:") {
            load.errors += counts
                .split(',')
                .filter_map(|count| count.split_whitespace().last()?.parse::<u64>().ok())
                .sum::<u64>();
        }
    }
    (seen == (true, true)).then_some(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Running 2s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  Thread Stats   Avg\n  \
                        41234 requests in 2.00s, 6.1MB read\nRequests/sec:  20617.00\nTransfer/sec:      3.05MB\n";

    #[test]
    fn wrk_is_read() {
        assert_eq!(
            read(GOOD),
            Some(Load {
                requests: 41234,
                per_second: 20617.0,
                errors: 0
            })
        );
        assert_eq!(read("unable to connect"), None);
    }

    #[test]
    fn errors_of_both_kinds_count() {
        let text =
            format!("{GOOD}  Socket errors: connect 0, read 3, write 0, timeout 2\n  Non-2xx or 3xx responses: 7\n");
        assert_eq!(read(&text).unwrap().errors, 12);
    }
}
