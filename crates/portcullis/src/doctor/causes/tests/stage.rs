//! A provider, a configuration that trusts it, and the guard of one of its APIs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use portcullis_audit::{Audit, AuditSettings};
use portcullis_guard::Revocations;
use portcullis_idp::{Api, Behaviour, Client, Defect, Idp, IdpConfig, Mint, RotateHow, User};
use portcullis_jose::{Algorithm, Clock, ManualClock, Secret, SigningKey, SystemClock, UnixTime};
use portcullis_store::{Revocation, RevocationTarget};
use serde_json::{Value, json};

use crate::config::parse;
use crate::doctor::causes::Answer;
use crate::doctor::examine::{Call, Examined};
use crate::doctor::token::Written;
use crate::gateway::guard_alone;

pub(super) struct Stage {
    pub(super) idp: Idp,
    /// Another provider, which is configured and not trusted by the API.
    pub(super) other: Idp,
    /// A key whose public half is in the configuration's file.
    pub(super) key: SigningKey,
    dir: tempfile::TempDir,
}

/// A token that is sent, and under which circumstances.
#[derive(Clone)]
pub(super) struct Try {
    pub(super) sent: String,
    config: String,
    /// By how many seconds this machine's clock is ahead.
    ahead: i64,
    behaviour: Behaviour,
    revoked: bool,
    answer: Option<Answer>,
    twin: Twin,
}

/// What passes where this does not.
#[derive(Clone)]
enum Twin {
    /// A token of the provider's first user, under the same configuration.
    Plain,
    /// The same claims but for these; the same signature's key.
    Sent(String),
    /// The same token under the usual configuration.
    Usual,
    None,
}

// === impl Stage ===

impl Stage {
    pub(super) async fn new() -> Stage {
        let idp = Idp::start(provider(), Arc::new(SystemClock)).await.unwrap();
        let other = Idp::start(provider(), Arc::new(SystemClock)).await.unwrap();
        // With a second key, a token without a `kid` is ambiguous.
        idp.control().rotate_keys(RotateHow::Overlap).unwrap();
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let weak = json!({"kty": "RSA", "kid": "weak", "alg": "RS256", "n": "_".repeat(171), "e": "AQAB"});
        let second = SigningKey::generate(Algorithm::ES256).unwrap();
        let keys = json!({"keys": [key.public_jwk(), weak, second.public_jwk()]});
        std::fs::write(dir.path().join("keys.json"), keys.to_string()).unwrap();
        Stage { idp, other, key, dir }
    }

    pub(super) fn now(&self) -> i64 {
        SystemClock.now().as_secs()
    }

    /// Claims of an access token that is good.
    pub(super) fn claims(&self) -> Value {
        json!({
            "iss": self.idp.issuer(), "sub": "alice", "aud": "api://orders", "client_id": "shop", "jti": "1",
            "scope": "orders.read orders.write", "iat": self.now(), "exp": self.now() + 300, "auth_time": self.now(),
            "acr": "silver", "roles": ["Orders.Admin"], "tenant": "acme",
        })
    }

    /// The good claims with these changes; `null` takes a claim out.
    pub(super) fn changed(&self, changes: &Value) -> Value {
        let mut claims = self.claims();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    /// Signed by the provider.
    pub(super) fn signed(&self, typ: &str, changes: &Value) -> String {
        self.idp.control().sign(typ, &self.changed(changes)).unwrap()
    }

    pub(super) fn minted(&self, defect: Option<Defect>) -> String {
        let order = Mint {
            user: Some("alice".into()),
            client: Some("shop".into()),
            defect,
            ..Mint::default()
        };
        self.idp.control().mint(&order).unwrap()
    }

    /// A token with any header, signed by the key of the file. The signature is right for ES256.
    pub(super) fn with_header(&self, header: &Value, changes: &Value) -> String {
        let claims = self.changed(changes).to_string();
        self.key.sign_with_header(header, claims.as_bytes()).unwrap()
    }

    /// The usual configuration.
    pub(super) fn config(&self) -> String {
        let (issuer, other) = (self.idp.issuer(), self.other.issuer());
        format!(
            r#"[server]
public_url = "http://127.0.0.1:8080"
[provider.dev]
issuer = "{issuer}"
algorithms = ["ES256"]
[provider.other]
issuer = "{other}"
[client.web]
provider = "dev"
client_id = "shop"
secret = {{ env = "WEB_SECRET" }}
[frontend.shop]
client = "web"
scopes = ["openid", "orders.read", "orders.export"]
[api.orders]
path = "/api/orders"
upstream = "http://127.0.0.1:5000"
provider = "dev"
audience = "api://orders"
policy = "Read"
[api.billing]
path = "/api/billing"
upstream = "http://127.0.0.1:5000"
provider = "dev"
audience = "api://billing"
policy = "authenticated"
[policy.Read]
scope = "orders.read"
"#
        )
    }

    /// With the keys of the file in the place of those that the provider publishes.
    pub(super) fn config_of_file(&self) -> String {
        self.config()
            .replacen("algorithms", "jwks_file = \"keys.json\"\nalgorithms", 1)
    }

    pub(super) fn send(&self, sent: impl Into<String>) -> Try {
        Try {
            sent: sent.into(),
            config: self.config(),
            ahead: 0,
            behaviour: Behaviour::default(),
            revoked: false,
            answer: None,
            twin: Twin::Plain,
        }
    }

    /// The token of another issuer than this that is configured.
    pub(super) fn issued(&self, token: &str, configured: &str) -> Try {
        let config = self.config().replacen(self.idp.issuer(), configured, 1);
        self.send(self.signed("at+jwt", &json!({"iss": token})))
            .under(config)
            .without_twin()
    }

    /// A token under a policy with this rule, and the twin that has the changes of the second.
    pub(super) fn policed(&self, rule: &str, changes: &Value, twin: &Value) -> Try {
        let config = self.config().replacen("scope = \"orders.read\"", rule, 1);
        self.send(self.signed("at+jwt", changes))
            .under(config)
            .twin(self.signed("at+jwt", twin))
    }
}

// === impl Try ===

impl Try {
    pub(super) fn under(self, config: impl Into<String>) -> Try {
        let config = config.into();
        Try { config, ..self }
    }

    pub(super) fn ahead(self, ahead: i64) -> Try {
        Try { ahead, ..self }
    }

    pub(super) fn while_provider(self, behaviour: Behaviour) -> Try {
        Try { behaviour, ..self }
    }

    pub(super) fn revoked(self) -> Try {
        Try { revoked: true, ..self }
    }

    pub(super) fn answered(self, answer: Answer) -> Try {
        let answer = Some(answer);
        Try { answer, ..self }
    }

    pub(super) fn twin(self, sent: impl Into<String>) -> Try {
        let twin = Twin::Sent(sent.into());
        Try { twin, ..self }
    }

    /// The same token passes under the usual configuration.
    pub(super) fn usually_good(self) -> Try {
        let twin = Twin::Usual;
        Try { twin, ..self }
    }

    pub(super) fn without_twin(self) -> Try {
        let twin = Twin::None;
        Try { twin, ..self }
    }

    pub(super) fn into_twin(self, stage: &Stage) -> Option<Try> {
        let twin = stage.send("");
        match self.twin {
            Twin::None => None,
            Twin::Usual => Some(Try {
                sent: self.sent,
                ..twin
            }),
            Twin::Sent(sent) => Some(Try {
                sent,
                config: self.config,
                ..twin
            }),
            Twin::Plain => Some(Try {
                sent: stage.minted(None),
                config: self.config,
                ..twin
            }),
        }
    }

    pub(super) async fn examine(self, stage: &Stage) -> Examined {
        let env = BTreeMap::from([("WEB_SECRET".to_owned(), "shop-demo".to_owned())]);
        let settings = parse(&self.config, "portcullis.toml", Path::new(stage.dir.path()), &env)
            .unwrap_or_else(|faults| panic!("{faults}"));
        let now = SystemClock.now().plus(self.ahead);
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now));
        let audit = Audit::new(AuditSettings::in_memory(), clock.clone());
        let revocations = Revocations::in_memory();
        if self.revoked {
            let target = RevocationTarget::Subject {
                iss: stage.idp.issuer().into(),
                sub: "alice".into(),
            };
            let revocation = Revocation {
                target,
                issued_before: None,
                expires: now.plus(3600),
                reason: "left".into(),
            };
            revocations.revoke(revocation, now).await.unwrap();
        }
        stage.idp.control().set_behaviour(self.behaviour);
        let guarded = guard_alone(&settings, "orders", &revocations, &audit, &clock)
            .unwrap()
            .unwrap();
        let policy = guarded.policy("GET", "/api/orders/7").unwrap().clone();
        let call = Call {
            settings: &settings,
            api: "orders",
            guarded: &guarded,
            method: "GET",
            path: "/api/orders/7",
            policy: Some(&policy),
            token_in_query: false,
            clock: &clock,
            asks_clock: true,
        };
        let examined = call.examine(&Written::read(&self.sent), self.answer.as_ref()).await;
        stage.idp.control().set_behaviour(Behaviour::default());
        examined
    }
}

/// The instant as claims have it, seen from now.
pub(super) fn at(stage: &Stage, seconds: i64) -> Value {
    json!(UnixTime::from_secs(stage.now()).plus(seconds).as_secs())
}

fn provider() -> IdpConfig {
    let scopes = vec!["orders.read".to_owned(), "orders.write".to_owned()];
    IdpConfig {
        signing_algorithm: Algorithm::ES256,
        users: vec![User {
            username: "alice".into(),
            sub: Some("alice".into()),
            scopes: scopes.clone(),
            ..User::default()
        }],
        clients: vec![Client {
            client_id: "shop".into(),
            secret: Some(Secret::new("shop-demo")),
            redirect_uris: vec!["http://127.0.0.1:8080/bff/callback".into()],
            scopes: scopes.clone(),
            ..Client::default()
        }],
        apis: vec![Api {
            audience: "api://orders".into(),
            scopes,
        }],
        ..IdpConfig::default()
    }
}
