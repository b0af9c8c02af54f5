//! PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Certificates, Directory, Process, accepts, free_port, run, wait};

/// A PostgreSQL server with the role `portcullis`, who may do all and needs a password.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    directory: Directory,
    port: u16,
    tls: bool,
}

impl Postgres {
    /// The role's password.
    pub const PASSWORD: &'static str = "password-of-the-test";

    /// A server on loopback, in the clear.
    ///
    /// # Panics
    /// Without the programs of the package `postgresql`.
    #[must_use]
    pub fn start() -> Self {
        Self::begin(None)
    }

    /// One that speaks TLS alone.
    ///
    /// # Panics
    /// Without the programs of the package `postgresql`.
    #[must_use]
    pub fn start_tls(certificates: &Certificates) -> Self {
        Self::begin(Some(certificates))
    }

    fn begin(certificates: Option<&Certificates>) -> Self {
        let directory = Directory::new("postgres");
        let data = directory.path().join("data");
        let password = directory.path().join("password");
        fs::write(&password, Self::PASSWORD).unwrap();
        give_away(directory.path());
        give_away(&password);
        let mut initdb = as_owner("initdb");
        initdb
            .arg("-D")
            .arg(&data)
            .args(["-U", "portcullis", "-A", "scram-sha-256", "-N"]);
        run(initdb.arg("--pwfile").arg(&password));
        if let Some(certificates) = certificates {
            for (from, to) in [
                (certificates.certificate(), "server.crt"),
                (certificates.key(), "server.key"),
            ] {
                let to = data.join(to);
                fs::copy(from, &to).unwrap();
                give_away(&to);
                private(&to);
            }
            let rules = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
            fs::write(data.join("pg_hba.conf"), rules).unwrap();
        }
        let mut server = Self {
            process: None,
            directory,
            port: free_port(),
            tls: certificates.is_some(),
        };
        server.resume();
        server
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a power cut would; its data stay.
    pub fn kill(&mut self) {
        self.process = None;
        // Its children hold the shared memory until they notice.
        let port = self.port;
        wait("the end of postgres", || !accepts(port));
        let _ = fs::remove_file(self.directory.path().join("data/postmaster.pid"));
    }

    /// Starts it once more, at the same port, with the data that it had.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&mut self) {
        for _ in 0..5 {
            let mut process = Process::start(&mut self.command());
            let port = self.port;
            wait("postgres", || accepts(port) || process.is_over());
            wait("postgres", || {
                process.is_over() || self.sql("postgres", "SELECT 1").is_ok()
            });
            if !process.is_over() {
                self.process = Some(process);
                return;
            }
            self.port = free_port();
        }
        panic!("postgres does not start");
    }

    /// Makes an empty database.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn create_database(&self, name: &str) {
        self.sql("postgres", &format!("CREATE DATABASE {name}")).unwrap();
    }

    /// Makes the leases in a database older.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn age_leases(&self, database: &str, seconds: u32) {
        let statement = format!("UPDATE portcullis_leases SET expires = expires - {seconds}");
        self.sql(database, &statement).unwrap();
    }

    /// What `psql` prints for a statement.
    ///
    /// # Errors
    /// What it says instead.
    pub fn sql(&self, database: &str, statement: &str) -> Result<String, String> {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-U", "portcullis"]);
        psql.args(["-p", &self.port.to_string(), "-d", database, "-c", statement]);
        let output = psql.env("PGPASSWORD", Self::PASSWORD).output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn command(&self) -> Command {
        let mut command = as_owner("postgres");
        command
            .arg("-D")
            .arg(self.directory.path().join("data"))
            .args(["-p", &self.port.to_string()]);
        command.args([
            "-k",
            "",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "max_connections=100",
        ]);
        if self.tls {
            command.args(["-c", "ssl=on"]);
        }
        command
    }
}

/// The programs are not on the path where Debian puts them, beside those of other versions.
fn program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|found| {
            found
                .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
                .collect()
        })
        .unwrap_or_default();
    versions.retain(|path| path.exists());
    versions.sort();
    versions.pop().unwrap_or_else(|| name.into())
}

#[cfg(unix)]
fn as_owner(name: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program(name));
    if let Some((user, group)) = owner() {
        command.uid(user).gid(group);
    }
    // It looks where it is, and may not be able to see the directory of the test.
    command.current_dir("/");
    command
}

#[cfg(not(unix))]
fn as_owner(name: &str) -> Command {
    Command::new(program(name))
}

/// PostgreSQL does not run as root: then it is the user of its package.
fn owner() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| run(Command::new("id").args(arguments)).trim().parse().unwrap();
    (id(&["-u"]) == 0_u32).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

fn give_away(path: &Path) {
    #[cfg(unix)]
    if let Some((user, group)) = owner() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = path;
}

fn private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = path;
}
