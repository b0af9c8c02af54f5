//! Where PostgreSQL is and how to get in.

use portcullis_jose::Secret;

use crate::location::{Address, Location, LocationError};

/// What is configured of PostgreSQL.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresSettings {
    /// The servers; the first that takes writes is used.
    pub addresses: Vec<Address>,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// Whether connections are TLS, with the certificate and the name checked.
    pub tls: bool,
    /// PEM of the authority to trust instead of the system's.
    pub ca: Option<Vec<u8>>,
}

impl PostgresSettings {
    /// Reads `postgres://[USER@]HOST[:PORT][,HOST...][/DATABASE][?sslmode=disable]`.
    ///
    /// Connections are TLS with certificate and name checked (what libpq calls `verify-full`), but not to loopback
    /// addresses, and not with `sslmode=disable`.
    ///
    /// # Errors
    /// What is wrong with the address, and what to write instead. A password in it is refused.
    pub fn parse(url: &str) -> Result<Self, LocationError> {
        let location = Location::parse(url)?;
        if !matches!(location.scheme.as_str(), "postgres" | "postgresql") {
            return Err(LocationError::new(
                "this is no address of PostgreSQL",
                "write postgres://HOST:5432/DATABASE",
            ));
        }
        let addresses: Vec<Address> = location.hosts.into_iter().map(|host| host.or_port(5432)).collect();
        let database = match location.path.as_str() {
            "" => "portcullis".to_owned(),
            name if !name.contains('/') => name.to_owned(),
            _ => {
                return Err(LocationError::new(
                    "the path is too long",
                    "end the address after the database's name",
                ));
            }
        };
        let mut tls = !addresses.iter().all(is_loopback);
        for (name, value) in location.query {
            tls = match (name.as_str(), value.as_str()) {
                ("sslmode", "disable") => false,
                ("sslmode", "verify-full") => true,
                ("sslmode", _) => {
                    let fix = "write `disable` or `verify-full`: nothing in between protects";
                    return Err(LocationError::new("`sslmode` has an unknown value", fix));
                }
                _ => {
                    return Err(LocationError::new(
                        "the address has an unknown parameter",
                        "`sslmode` is the only one",
                    ));
                }
            };
        }
        Ok(Self {
            addresses,
            user: location.user.unwrap_or_else(|| "portcullis".to_owned()),
            password: None,
            database,
            tls,
            ca: None,
        })
    }
}

fn is_loopback(address: &Address) -> bool {
    let host = address.host.as_str();
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let remote = PostgresSettings::parse("postgres://gate@a,b:5433/state").unwrap();
        assert_eq!(remote.addresses, [Address::new("a", 5432), Address::new("b", 5433)]);
        assert_eq!(
            (remote.user.as_str(), remote.database.as_str(), remote.tls),
            ("gate", "state", true)
        );
        let local = PostgresSettings::parse("postgresql://127.0.0.1").unwrap();
        assert_eq!(
            (local.user.as_str(), local.database.as_str(), local.tls),
            ("portcullis", "portcullis", false)
        );
        assert!(
            PostgresSettings::parse("postgres://localhost?sslmode=verify-full")
                .unwrap()
                .tls
        );
        assert!(!PostgresSettings::parse("postgres://db?sslmode=disable").unwrap().tls);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("postgres://", "host"),
            ("postgres://u:hunter2@a", "password"),
            ("postgres://a/b/c", "too long"),
            ("postgres://a?sslmode=prefer", "sslmode"),
            ("postgres://a?user=x", "unknown"),
        ] {
            let error = PostgresSettings::parse(url).unwrap_err();
            assert!(error.problem.contains(part), "{url}: {}", error.problem);
            assert!(!format!("{error:?}{error}").contains("hunter2"));
        }
    }
}
