use std::collections::HashMap;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use portcullis_jose::{Secret, random_token};
use tokio::sync::Semaphore;

use crate::IdpError;
use crate::config::User;

/// Memory of one hash in KiB. Modest on purpose: these are passwords of demonstrations.
const MEMORY_KIB: u32 = 8 * 1024;
/// How many passwords are checked at once; more wait, so that a flood of logins does not take the machine's memory.
const AT_ONCE: usize = 4;

/// The users' password hashes.
#[derive(Debug)]
pub(crate) struct Passwords {
    hashes: Arc<HashMap<String, String>>,
    /// Checked when there is no such user, so that both answers cost the same.
    nobody: String,
    slots: Semaphore,
}

impl Passwords {
    /// Hashes what is in the clear. Slow: call it where blocking is allowed.
    pub(crate) fn new(users: &[User]) -> Result<Passwords, IdpError> {
        let mut hashes = HashMap::new();
        for user in users {
            let hash = match (&user.password_hash, &user.password) {
                (Some(hash), _) => hash.clone(),
                (None, Some(password)) => hash(password, &user.username)?,
                (None, None) => continue,
            };
            hashes.insert(user.username.clone(), hash);
        }
        let nobody = hash(&Secret::new(random_token(16)), "")?;
        Ok(Passwords {
            hashes: Arc::new(hashes),
            nobody,
            slots: Semaphore::new(AT_ONCE),
        })
    }

    /// Whether this is the user's password.
    pub(crate) async fn verify(&self, username: &str, password: Secret) -> bool {
        let known = self.hashes.get(username);
        let is_known = known.is_some();
        let hash = known.unwrap_or(&self.nobody).clone();
        let Ok(_slot) = self.slots.acquire().await else {
            return false;
        };
        let matches = tokio::task::spawn_blocking(move || matches(&password, &hash)).await;
        matches.unwrap_or(false) && is_known
    }
}

/// Whether a text is an Argon2 hash in PHC form that asks for no more than 1 GiB.
pub(crate) fn is_argon2(hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|parsed| {
        parsed.algorithm.as_str().starts_with("argon2")
            && parsed.hash.is_some()
            && Params::try_from(&parsed).is_ok_and(|params| params.m_cost() <= 1024 * 1024)
    })
}

fn argon2id() -> Argon2<'static> {
    Argon2::from(Params::new(MEMORY_KIB, 1, 1, None).unwrap_or_default())
}

fn hash(password: &Secret, username: &str) -> Result<String, IdpError> {
    argon2id()
        .hash_password(password.expose().as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| IdpError::Password {
            username: username.to_owned(),
        })
}

fn matches(password: &Secret, hash: &str) -> bool {
    argon2id().verify_password(password.expose().as_bytes(), hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_argon2id_with_the_chosen_cost() {
        let hash = hash(&Secret::new("alice-demo"), "alice").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"), "{hash}");
        assert!(is_argon2(&hash));
        assert!(matches(&Secret::new("alice-demo"), &hash));
        assert!(!matches(&Secret::new("alice-demO"), &hash));
        for wrong in [
            "",
            "alice-demo",
            "$2b$12$abcdefghijklmnopqrstuv",
            "$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHQ",
        ] {
            assert!(!is_argon2(wrong), "{wrong}");
        }
    }

    #[tokio::test]
    async fn only_the_users_own_password_is_accepted() {
        let alice = User {
            username: "alice".into(),
            password: Some(Secret::new("a")),
            ..User::default()
        };
        let bob = User {
            username: "bob".into(),
            password: Some(Secret::new("b")),
            ..User::default()
        };
        let carol = User {
            username: "carol".into(),
            ..User::default()
        };
        let passwords = Passwords::new(&[alice, bob, carol]).unwrap();
        assert!(passwords.verify("alice", Secret::new("a")).await);
        assert!(!passwords.verify("alice", Secret::new("b")).await);
        assert!(!passwords.verify("carol", Secret::new("")).await);
        assert!(!passwords.verify("nobody", Secret::new("a")).await);
    }
}
