//! What is large passes through without being held: the process's own memory says so.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::process::{free_ports, start};

const GIB: u64 = 1024 * 1024 * 1024;
/// The program itself and its buffers; a body that is held would be thirty times as much.
const MAX_GROWTH_KIB: u64 = 32 * 1024;

/// The most that a process has ever had in memory, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Reads a request's or an answer's head.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn send(stream: &mut TcpStream) {
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..GIB / 65_536 {
        stream.write_all(&piece).unwrap();
    }
}

fn receive(stream: &mut TcpStream) -> u64 {
    let mut piece = vec![0; 64 * 1024];
    let mut left = GIB;
    while left > 0 {
        let count = stream.read(&mut piece).unwrap() as u64;
        assert!(count > 0, "{left} bytes are missing");
        left -= count;
    }
    GIB
}

/// Takes one gibibyte, or gives one, as it is asked.
fn upstream(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            let head = head(&mut stream);
            if head.starts_with("GET") {
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n").unwrap();
                send(&mut stream);
            } else {
                assert!(
                    head.to_ascii_lowercase().contains(&format!("content-length: {GIB}")),
                    "{head}"
                );
                let received = receive(&mut stream).to_string();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{received}",
                    received.len()
                )
                .unwrap();
            }
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_gibibyte_passes_both_ways_at_flat_memory() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let behind = listener.local_addr().unwrap();
    thread::spawn(move || upstream(&listener));
    let [port] = free_ports::<1>();
    let configuration = format!(
        "[server]\npublic_url = \"http://127.0.0.1:{port}\"\n[api.files]\npath = \"/files\"\nupstream = \"http://{behind}\"\n\
         accept = [\"anyone\"]\n"
    );
    std::fs::write(dir.path().join("portcullis.toml"), configuration).unwrap();
    let serve = start(dir.path(), &["serve", "--config", "portcullis.toml"]);
    let address = format!("127.0.0.1:{port}");
    serve.wait_until("listening", || TcpStream::connect(&address).is_ok());

    let ask = |method: &str, more: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "{method} /files/x HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n"
        )
        .unwrap();
        stream
    };
    let before = peak(serve.id());
    let mut download = ask("GET", "");
    assert!(head(&mut download).starts_with("HTTP/1.1 200"));
    assert_eq!(receive(&mut download), GIB);
    let mut upload = ask("POST", &format!("Content-Length: {GIB}\r\n"));
    send(&mut upload);
    let mut answer = String::new();
    upload.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with(&format!("\r\n\r\n{GIB}")), "{answer}");
    let after = peak(serve.id());
    assert!(
        after - before < MAX_GROWTH_KIB,
        "{before} KiB before, {after} KiB after"
    );
}
