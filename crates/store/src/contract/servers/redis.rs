//! Redis.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use super::{Certificates, Directory, Process, accepts, free_port, run, wait};
use crate::contract::Ages;

/// One Redis server. What was answered is on its disk.
#[derive(Debug)]
pub struct Redis {
    process: Option<Process>,
    directory: Directory,
    port: u16,
    arguments: Vec<String>,
}

/// A master, a replica of it, and the Sentinel that watches both.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<Redis>,
    sentinel: Redis,
}

/// A cluster of three masters.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl Redis {
    /// A server with these arguments beside the usual ones.
    ///
    /// # Panics
    /// Without the program `redis-server`.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let mut redis = Self {
            process: None,
            directory: Directory::new("redis"),
            port: free_port(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        };
        redis.resume();
        redis
    }

    /// One that speaks TLS alone.
    ///
    /// # Panics
    /// Without the program `redis-server`.
    #[must_use]
    pub fn start_tls(certificates: &Certificates) -> Self {
        let path = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        let (certificate, key, ca) = (
            path(certificates.certificate()),
            path(certificates.key()),
            path(certificates.ca()),
        );
        Self::start(&[
            "--tls",
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            "no",
        ])
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a power cut would; its data stay.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it once more, at the same port, with the data that it had.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        // Another program may take the port between our look and Redis' own; then it is another one.
        for _ in 0..5 {
            let mut process = Process::start(&mut self.command());
            let port = self.port;
            wait("redis", || accepts(port) || process.is_over());
            let answers = |answer: String| answer.contains("PONG") || answer.contains("NOAUTH");
            wait("redis", || process.is_over() || answers(self.cli(&["PING"])));
            if !process.is_over() {
                self.process = Some(process);
                return;
            }
            self.port = free_port();
        }
        panic!("redis-server does not start: {}", self.log());
    }

    /// What `redis-cli` prints for a command.
    #[must_use]
    pub fn cli(&self, command: &[&str]) -> String {
        let mut options = vec![];
        if self.arguments.iter().any(|argument| argument == "--tls") {
            options = vec!["--tls", "--insecure"];
        }
        options.extend(command);
        cli(self.port, &options)
    }

    /// Makes the leases here older.
    #[must_use]
    pub fn ages(&self) -> Ages {
        ages(vec![self.port])
    }

    fn command(&self) -> Command {
        let mut command = Command::new("redis-server");
        let tls = self.arguments.iter().any(|argument| argument == "--tls");
        let port = self.port.to_string();
        if self.arguments.iter().any(|argument| argument == "--sentinel") {
            return {
                command
                    .arg(self.directory.path().join("sentinel.conf"))
                    .arg("--sentinel");
                command
            };
        }
        command.args(if tls {
            ["--port", "0", "--tls-port", &port]
        } else {
            ["--port", &port, "--tls-port", "0"]
        });
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]);
        command
            .arg("--dir")
            .arg(self.directory.path())
            .args(["--logfile", "log"]);
        command.args(self.arguments.iter().filter(|argument| *argument != "--tls"));
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl RedisSentinel {
    /// The name that the Sentinel knows the master by.
    pub const MASTER: &'static str = "main";

    /// A master, its replica and a Sentinel.
    ///
    /// # Panics
    /// Without the program `redis-server`.
    #[must_use]
    pub fn start() -> Self {
        let master = Redis::start(&[]);
        let of = format!("127.0.0.1 {}", master.port);
        let replica = Redis::start(&["--replicaof", &of, "--repl-diskless-sync-delay", "0"]);
        wait("the replica", || {
            replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
        });
        let mut sentinel = Redis {
            process: None,
            directory: Directory::new("sentinel"),
            port: free_port(),
            arguments: vec!["--sentinel".into()],
        };
        let file = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nlogfile log\nsentinel monitor {} {of} 1\n\
             sentinel down-after-milliseconds {} 300\nsentinel failover-timeout {} 2000\n",
            sentinel.port,
            sentinel.directory.path().display(),
            Self::MASTER,
            Self::MASTER,
            Self::MASTER,
        );
        fs::write(sentinel.directory.path().join("sentinel.conf"), file).unwrap();
        sentinel.resume();
        let know_both = || {
            sentinel
                .cli(&["SENTINEL", "replicas", Self::MASTER])
                .contains(&replica.port.to_string())
        };
        wait("the Sentinel", know_both);
        Self {
            servers: vec![master, replica],
            sentinel,
        }
    }

    /// Where the Sentinel listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.sentinel.port
    }

    /// Makes the leases of the master older.
    #[must_use]
    pub fn ages(&self) -> Ages {
        ages(self.servers.first().map(Redis::port).into_iter().collect())
    }

    /// Kills the master and waits until another one was chosen.
    ///
    /// # Panics
    /// When none is.
    pub fn fail_over(&mut self) {
        let old = self.servers.remove(0);
        let port = old.port.to_string();
        drop(old);
        let address = ["SENTINEL", "get-master-addr-by-name", Self::MASTER];
        wait("the fail-over", || !self.sentinel.cli(&address).contains(&port));
        let next = self.servers.first().unwrap();
        wait("the new master", || next.cli(&["ROLE"]).contains("master"));
    }
}

impl RedisCluster {
    /// Three masters that share the slots.
    ///
    /// # Panics
    /// Without the programs `redis-server` and `redis-cli`.
    #[must_use]
    pub fn start() -> Self {
        let nodes: Vec<Redis> = (0..3)
            .map(|_| Redis::start(&["--cluster-enabled", "yes", "--cluster-port", &free_port().to_string()]))
            .collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        run(create.arg("--cluster-yes"));
        for node in &nodes {
            wait("the cluster", || {
                node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            });
        }
        Self { nodes }
    }

    /// Where the nodes listen.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(Redis::port).collect()
    }

    /// Makes the leases of all nodes older.
    #[must_use]
    pub fn ages(&self) -> Ages {
        ages(self.ports())
    }

    /// How many keys each node has.
    #[must_use]
    pub fn sizes(&self) -> Vec<u64> {
        let size = |node: &Redis| node.cli(&["DBSIZE"]).trim().parse().unwrap();
        self.nodes.iter().map(size).collect()
    }
}

fn cli(port: u16, command: &[&str]) -> String {
    let mut cli = Command::new("redis-cli");
    cli.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    let output = cli.args(command).output().unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn ages(ports: Vec<u16>) -> Ages {
    let script = "for _, key in ipairs(redis.call('KEYS', '*:lease')) do
        redis.call('HINCRBY', key, 'expires', -tonumber(ARGV[1])) end return 'aged'";
    Arc::new(move |seconds| {
        for port in &ports {
            let answer = cli(*port, &["EVAL", script, "0", &seconds.to_string()]);
            assert_eq!(answer.trim(), "aged");
        }
    })
}
