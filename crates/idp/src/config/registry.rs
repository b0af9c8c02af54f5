use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use portcullis_jose::{Secret, UnixTime, base64url_encode, sha256};
use serde_json::{Map, Value};

use super::{Api, Client, GrantType, IDENTITY_SCOPES, User};

/// A user as the running provider knows one: without the password.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) username: String,
    pub(crate) sub: String,
    pub(crate) claims: Map<String, Value>,
    scopes: Vec<String>,
}

/// Clients that are in use at once, at most.
const CLIENTS: usize = 1_000;
/// Former secrets of one client that still count, at most.
const FORMER: usize = 16;

/// Users and APIs, fixed at start, and clients, whose registrations change.
#[derive(Debug)]
pub(crate) struct Registry {
    people: HashMap<String, Person>,
    first_person: Option<String>,
    clients: RwLock<HashMap<String, Registered>>,
    first_client: Option<String>,
    apis: Vec<Api>,
}

/// A client, and the secrets that it had before and that still count.
#[derive(Debug, Clone)]
struct Registered {
    client: Arc<Client>,
    former: Vec<(Secret, UnixTime)>,
}

/// What became of a change of a registration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Yes,
    /// It was changed by somebody else meanwhile, or is gone.
    Conflict,
}

impl Registry {
    pub(crate) fn new(users: &[User], clients: &[Client], apis: Vec<Api>) -> Registry {
        Registry {
            people: users
                .iter()
                .map(|user| (user.username.clone(), Person::new(user)))
                .collect(),
            first_person: users.first().map(|user| user.username.clone()),
            clients: RwLock::new(
                clients
                    .iter()
                    .map(|client| (client.client_id.clone(), Registered::new(client.clone())))
                    .collect(),
            ),
            first_client: clients.first().map(|client| client.client_id.clone()),
            apis,
        }
    }

    pub(crate) fn person(&self, username: &str) -> Option<&Person> {
        self.people.get(username)
    }

    pub(crate) fn first_person(&self) -> Option<&Person> {
        self.people.get(self.first_person.as_ref()?)
    }

    pub(crate) fn client(&self, client_id: &str) -> Option<Arc<Client>> {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients.get(client_id).map(|registered| Arc::clone(&registered.client))
    }

    pub(crate) fn clients(&self) -> Vec<Arc<Client>> {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients
            .values()
            .map(|registered| Arc::clone(&registered.client))
            .collect()
    }

    pub(crate) fn first_client(&self) -> Option<Arc<Client>> {
        self.client(self.first_client.as_ref()?)
    }

    /// Puts a client in the place of the one of the same identifier, or adds it.
    pub(crate) fn put_client(&self, client: Client) {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        clients.insert(client.client_id.clone(), Registered::new(client));
    }

    /// Adds a client, unless there are too many. Says whether it did.
    pub(crate) fn add_client(&self, client: Client) -> bool {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS || clients.contains_key(&client.client_id) {
            return false;
        }
        clients.insert(client.client_id.clone(), Registered::new(client));
        true
    }

    /// Puts a client in the place of `known`. Secrets that it has no more count until `until`.
    pub(crate) fn change_client(&self, known: &Arc<Client>, client: Client, now: UnixTime, until: UnixTime) -> Changed {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        let Some(registered) = clients.get_mut(&known.client_id) else {
            return Changed::Conflict;
        };
        if !Arc::ptr_eq(&registered.client, known) {
            return Changed::Conflict;
        }
        let kept = |secret: &&Secret| client.all_secrets().any(|kept| kept.expose() == secret.expose());
        let gone = known.all_secrets().filter(|secret| !kept(secret));
        registered.former.extend(gone.map(|secret| (secret.clone(), until)));
        registered.former.retain(|(_, until)| now < *until);
        let excess = registered.former.len().saturating_sub(FORMER);
        registered.former.drain(..excess);
        registered.client = Arc::new(client);
        Changed::Yes
    }

    /// Removes a client.
    pub(crate) fn remove_client(&self, client_id: &str) {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        clients.remove(client_id);
    }

    /// The secrets that a client had before and that still count.
    pub(crate) fn former_secrets(&self, client_id: &str, now: UnixTime) -> Vec<Secret> {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        let former = clients.get(client_id).map(|registered| registered.former.as_slice());
        let alive = former.unwrap_or_default().iter().filter(|(_, until)| now < *until);
        alive.map(|(secret, _)| secret.clone()).collect()
    }

    /// From now on the client has these secrets and no other. Says whether there is such a client.
    pub(crate) fn set_secrets(&self, client_id: &str, secrets: Vec<Secret>) -> bool {
        let Some(client) = self.client(client_id) else {
            return false;
        };
        self.put_client(Client {
            secret: None,
            secrets,
            ..(*client).clone()
        });
        true
    }

    pub(crate) fn api(&self, audience: &str) -> Option<&Api> {
        self.apis.iter().find(|api| api.audience == audience)
    }

    pub(crate) fn first_api(&self) -> Option<&Api> {
        self.apis.first()
    }

    /// The API that a scope belongs to.
    pub(crate) fn owner(&self, scope: &str) -> Option<&Api> {
        self.apis
            .iter()
            .find(|api| api.scopes.iter().any(|owned| owned == scope))
    }

    /// Every scope there is, the protocol's own first.
    pub(crate) fn all_scopes(&self) -> impl Iterator<Item = &str> {
        IDENTITY_SCOPES
            .into_iter()
            .chain(self.apis.iter().flat_map(|api| api.scopes.iter().map(String::as_str)))
    }
}

impl Registered {
    fn new(client: Client) -> Registered {
        Registered {
            client: Arc::new(client),
            former: Vec::new(),
        }
    }
}

impl Person {
    fn new(user: &User) -> Person {
        Person {
            username: user.username.clone(),
            sub: user.sub.clone().unwrap_or_else(|| default_sub(&user.username)),
            claims: user.claims.clone(),
            scopes: user.scopes.clone(),
        }
    }

    /// The API scopes that this user may be granted.
    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }
}

/// What of `requested` is granted: what the client and, where there is one, the user may have.
pub(crate) fn grantable(requested: &BTreeSet<String>, client: &Client, person: Option<&Person>) -> BTreeSet<String> {
    let allowed = |scope: &str| match (IDENTITY_SCOPES.contains(&scope), person) {
        // OpenID Connect Core s11: offline_access asks for a refresh token, which this client may not use.
        (true, Some(_)) if scope == "offline_access" => client.may(GrantType::RefreshToken),
        (true, Some(_)) => true,
        // Nobody is signed in with client credentials.
        (true, None) => false,
        (false, Some(person)) => client.scopes.iter().any(|s| s == scope) && person.scopes.iter().any(|s| s == scope),
        (false, None) => client.scopes.iter().any(|s| s == scope),
    };
    requested.iter().filter(|scope| allowed(scope)).cloned().collect()
}

fn default_sub(username: &str) -> String {
    let digest = sha256(format!("portcullis-idp:sub:{username}").as_bytes());
    base64url_encode(&digest).chars().take(22).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(scopes: &[&str]) -> BTreeSet<String> {
        scopes.iter().map(|scope| (*scope).to_owned()).collect()
    }

    #[test]
    fn the_default_subject_is_stable_and_per_user() {
        assert_eq!(default_sub("alice"), default_sub("alice"));
        assert_ne!(default_sub("alice"), default_sub("bob"));
        assert_eq!(default_sub("alice").len(), 22);
    }

    #[test]
    fn a_scope_needs_the_client_and_the_user() {
        let client = Client {
            scopes: vec!["read".into(), "write".into()],
            ..Client::default()
        };
        let bob = Person::new(&User {
            username: "bob".into(),
            scopes: vec!["read".into(), "admin".into()],
            ..User::default()
        });
        let asked = set(&["openid", "offline_access", "read", "write", "admin"]);
        assert_eq!(
            grantable(&asked, &client, Some(&bob)),
            set(&["openid", "offline_access", "read"])
        );
        assert_eq!(grantable(&asked, &client, None), set(&["read", "write"]));
        let no_refresh = Client {
            grants: vec![GrantType::AuthorizationCode],
            ..client
        };
        assert_eq!(grantable(&asked, &no_refresh, Some(&bob)), set(&["openid", "read"]));
    }
}
