//! A certificate for loopback, and the authority that issued it.

use std::path::PathBuf;
use std::process::Command;

use super::{Directory, run};

/// PEM files.
#[derive(Debug)]
pub struct Certificates {
    directory: Directory,
}

impl Certificates {
    /// A new authority, and a certificate of it for `localhost` and 127.0.0.1.
    ///
    /// # Panics
    /// Without the program `openssl`.
    #[must_use]
    pub fn new() -> Self {
        let made = Self {
            directory: Directory::new("certificates"),
        };
        let request = |name: &str, key: &str, extra: &[&str]| {
            let mut command = Command::new("openssl");
            command.args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ]);
            command
                .args(["-days", "30", "-subj", "/CN=portcullis test"])
                .args(extra);
            run(command
                .arg("-keyout")
                .arg(made.file(key))
                .arg("-out")
                .arg(made.file(name)));
        };
        request("ca.pem", "ca.key", &[]);
        let (ca, key) = (made.ca(), made.file("ca.key"));
        let issued_by = [
            "-CA",
            ca.to_str().unwrap(),
            "-CAkey",
            key.to_str().unwrap(),
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ];
        request("server.pem", "server.key", &issued_by);
        made
    }

    /// The authority.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.file("server.pem")
    }

    /// Its private key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.file("server.key")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
