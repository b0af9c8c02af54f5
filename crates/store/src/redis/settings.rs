//! Where Redis is and how to get in.

use portcullis_jose::Secret;

use crate::location::{Address, Location, LocationError};

/// What is configured of Redis.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RedisSettings {
    /// What stands at the addresses.
    pub layout: RedisLayout,
    /// The server; or Sentinels, or nodes of a cluster, of which one that answers is enough.
    pub addresses: Vec<Address>,
    /// Whether connections are TLS.
    pub tls: bool,
    /// PEM of the authority to trust instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// The ACL user.
    pub user: Option<String>,
    /// The user's password, or that of `requirepass`.
    pub password: Option<Secret>,
    /// The password of the Sentinels themselves, where they have one.
    pub sentinel_password: Option<Secret>,
    /// The number of the database; a cluster has number 0 alone.
    pub database: i64,
    /// What every key begins with.
    pub prefix: String,
}

/// How Redis is run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisLayout {
    /// One server.
    Single,
    /// Sentinels that know which server is the master of this name.
    Sentinel(String),
    /// A cluster.
    Cluster,
}

impl RedisSettings {
    /// Reads `redis://[USER@]HOST[:PORT][/DATABASE][?prefix=NAME]`, also `rediss://` (TLS),
    /// `redis+sentinel://HOST,HOST/MASTER[/DATABASE]`, `rediss+sentinel://`, `redis+cluster://HOST,HOST` and
    /// `rediss+cluster://`.
    ///
    /// # Errors
    /// What is wrong with the address, and what to write instead. A password in it is refused.
    pub fn parse(url: &str) -> Result<Self, LocationError> {
        let location = Location::parse(url)?;
        let (tls, kind) = match location.scheme.as_str() {
            "redis" => (false, "single"),
            "rediss" => (true, "single"),
            "redis+sentinel" => (false, "sentinel"),
            "rediss+sentinel" => (true, "sentinel"),
            "redis+cluster" => (false, "cluster"),
            "rediss+cluster" => (true, "cluster"),
            _ => {
                return Err(LocationError::new(
                    "this is no address of Redis",
                    "write redis://HOST:6379",
                ));
            }
        };
        let mut path = location.path.split('/').filter(|part| !part.is_empty());
        let layout = match kind {
            "sentinel" => RedisLayout::Sentinel(path.next().map(str::to_owned).ok_or_else(|| {
                LocationError::new(
                    "the name of the master is missing",
                    "write it after the addresses: redis+sentinel://HOST:26379,HOST:26379/mymaster",
                )
            })?),
            "cluster" => RedisLayout::Cluster,
            _ => RedisLayout::Single,
        };
        let database = match path.next() {
            None => 0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|number| (0..=1_000_000).contains(number) && (layout != RedisLayout::Cluster || *number == 0))
                .ok_or_else(|| {
                    LocationError::new(
                        "the database is no number that can be there",
                        "write 0, or leave it out",
                    )
                })?,
        };
        if path.next().is_some() {
            return Err(LocationError::new(
                "the path is too long",
                "end the address after the database's number",
            ));
        }
        if layout == RedisLayout::Single && location.hosts.len() != 1 {
            return Err(LocationError::new(
                "one server has one address",
                "write redis+cluster:// or redis+sentinel:// for several",
            ));
        }
        let mut prefix = "portcullis".to_owned();
        for (name, value) in location.query {
            match name.as_str() {
                "prefix" if is_prefix(&value) => prefix = value,
                "prefix" => {
                    return Err(LocationError::new(
                        "`prefix` is 1 to 64 letters, digits, `-`, `_`, `.` or `:`",
                        "write another one",
                    ));
                }
                _ => {
                    return Err(LocationError::new(
                        "the address has an unknown parameter",
                        "`prefix` is the only one",
                    ));
                }
            }
        }
        let port = if kind == "sentinel" { 26379 } else { 6379 };
        Ok(Self {
            layout,
            addresses: location.hosts.into_iter().map(|host| host.or_port(port)).collect(),
            tls,
            ca: None,
            user: location.user,
            password: None,
            sentinel_password: None,
            database,
            prefix,
        })
    }
}

fn is_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let single = RedisSettings::parse("rediss://gate@cache.internal/3?prefix=shop").unwrap();
        assert_eq!(single.layout, RedisLayout::Single);
        assert_eq!(single.addresses, [Address::new("cache.internal", 6379)]);
        assert!(single.tls);
        assert_eq!(single.user.as_deref(), Some("gate"));
        assert_eq!((single.database, single.prefix.as_str()), (3, "shop"));

        let sentinel = RedisSettings::parse("redis+sentinel://a,b:7000,[::1]:7001/main").unwrap();
        assert_eq!(sentinel.layout, RedisLayout::Sentinel("main".into()));
        let expected = [
            Address::new("a", 26379),
            Address::new("b", 7000),
            Address::new("::1", 7001),
        ];
        assert_eq!(sentinel.addresses, expected);
        assert!(!sentinel.tls);

        let cluster = RedisSettings::parse("rediss+cluster://a:1,b:2").unwrap();
        assert_eq!((cluster.layout, cluster.addresses.len()), (RedisLayout::Cluster, 2));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (url, part) in [
            ("redis://", "host"),
            ("redis://a,b", "one address"),
            ("redis://a/x", "database"),
            ("redis://a/1/2", "too long"),
            ("redis+cluster://a/1", "database"),
            ("redis+sentinel://a", "master"),
            ("redis://a?prefix=", "prefix"),
            ("redis://a?ssl=1", "unknown"),
            ("redis://a:99999", "port"),
            ("http://a", "no address"),
        ] {
            let error = RedisSettings::parse(url).unwrap_err();
            assert!(error.problem.contains(part), "{url}: {}", error.problem);
        }
        let error = RedisSettings::parse("redis://:hunter2@a").unwrap_err();
        assert!(error.problem.contains("password"));
        assert!(!format!("{error:?}{error}").contains("hunter2"));
    }
}
