//! A gateway is killed while it renews a token, at each point of the way. Nobody else's session suffers, and the person
//! goes on or signs in once more: never an error that does not end.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use portcullis_idp::Behaviour;
use portcullis_store::contract::servers::until;

use super::provider::Hold;
use super::{Fleet, START, WEB_SECRET};

const CONFIG: &str = "PORTCULLIS_TEST_CONFIG";
const LIFETIME: i64 = 8;
const MARGIN: i64 = 4;

/// Not a test: what the other tests start as a process of its own.
#[test]
fn gateway_process() {
    let Some(file) = std::env::var_os(CONFIG) else { return };
    let settings = portcullis::config::load(std::path::Path::new(&file)).unwrap_or_else(|faults| panic!("{faults}"));
    portcullis::serve::run(&settings).unwrap();
}

/// A gateway that can be killed.
pub(super) struct Victim {
    process: Child,
    pub(super) address: SocketAddr,
}

impl Victim {
    pub(super) async fn start(fleet: &Fleet) -> Victim {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let listen = format!("listen = \"{}\"", fleet.replicas[0].address);
        let text = fleet.text.replace(&listen, &format!("listen = \"{address}\""));
        assert_ne!(text, fleet.text);
        let file = fleet.dir.path().join("victim.toml");
        std::fs::write(&file, text).unwrap();
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["gateway::fleet::killed::gateway_process", "--exact", "--nocapture"])
            .env(CONFIG, &file)
            .env("WEB_SECRET", WEB_SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let listens = async || tokio::net::TcpStream::connect(address).await.is_ok();
        until(listens).await;
        Victim { process, address }
    }

    pub(super) fn tell_to_stop(&self) {
        let told = Command::new("kill")
            .args(["-TERM", &self.process.id().to_string()])
            .status();
        assert!(told.unwrap().success());
    }

    /// Waits until it has ended; whether it says that all went well.
    pub(super) fn ends_well(&mut self) -> bool {
        self.process.wait().unwrap().success()
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What stops the victim.
enum At {
    /// The provider has not seen the refresh.
    Sent,
    /// The provider has answered.
    Answered,
    /// The gateway has the answer, and could not store it.
    Received,
    /// It is stored, and nobody has been told.
    Stored,
}

/// How it ended for the person.
#[derive(Debug, PartialEq, Eq)]
enum End {
    GoesOn,
    SignsInAgain,
}

async fn killed(at: At, behaviour: Behaviour) -> (End, u64) {
    let fleet = Fleet::start(1, LIFETIME, MARGIN).await;
    fleet.idp.control().set_behaviour(behaviour);
    let mut victim = Victim::start(&fleet).await;
    let here = fleet.replicas[0].address;
    let (person, somebody_else) = (fleet.sign_in().await, fleet.sign_in().await);
    let get = async |cookie: &str| fleet.at(here, "GET", "/api/page", cookie).await;
    until(async || fleet.at(victim.address, "GET", "/api/page", &person).await.status == 200).await;
    let left = async || {
        let reply = fleet.at(here, "GET", "/bff/session", &person).await;
        reply.json()["token_seconds_left"].as_i64().unwrap()
    };
    until(async || left().await < MARGIN).await;

    let path = match at {
        At::Stored => "/api/page/never",
        _ => "/api/page",
    };
    fleet.relay.hold(match at {
        At::Sent => Hold::Request,
        At::Answered | At::Received => Hold::Answer,
        At::Stored => Hold::Nothing,
    });
    let hits = fleet.upstream.hits();
    {
        let asked = fleet.at(victim.address, "GET", path, &person);
        let reached = async {
            match at {
                At::Stored => until(async || fleet.upstream.hits() > hits).await,
                At::Sent | At::Answered => fleet.relay.until_held().await,
                At::Received => {
                    fleet.relay.until_held().await;
                    assert!(fleet.redis.cli(&["CLIENT", "PAUSE", "60000", "WRITE"]).contains("OK"));
                    fleet.relay.hold(Hold::Nothing);
                    let blocked = || fleet.redis.cli(&["INFO", "clients"]).contains("blocked_clients:1");
                    until(async || blocked()).await;
                }
            }
        };
        tokio::select! {
            reply = asked => panic!("nothing held it: {reply:?}"),
            () = reached => {}
        }
    }
    victim.kill();
    fleet.relay.lose();
    fleet.relay.hold(Hold::Nothing);
    assert!(fleet.redis.cli(&["CLIENT", "UNPAUSE"]).contains("OK"));

    // Whoever comes meanwhile is asked to come again, and that has an end.
    let begun = std::time::Instant::now();
    let end = loop {
        let reply = get(&person).await;
        assert_eq!(get(&somebody_else).await.status, 200, "nobody else suffers");
        match reply.status {
            503 => {
                assert_eq!(reply.header("retry-after"), "5");
                assert_eq!(reply.header("set-cookie"), "", "the cookie is kept");
                assert!(begun.elapsed() < START, "it does not end");
            }
            // The old token lives on for a while; it is over when another one is there.
            200 if left().await < MARGIN => {}
            200 => break End::GoesOn,
            401 => {
                assert_eq!(reply.problem(), (401, "refresh.rejected".into()));
                assert_eq!(reply.header("set-cookie"), "");
                assert_eq!(reply.json()["login_url"], "/bff/login");
                break End::SignsInAgain;
            }
            other => panic!("{other}: {reply:?}"),
        }
        tokio::time::sleep(super::STEP).await;
    };
    if end == End::SignsInAgain {
        assert_eq!(get(&person).await.status, 401, "it stays over");
        let again = fleet.sign_in().await;
        assert_eq!(get(&again).await.status, 200);
    }
    (end, fleet.idp.control().token_counts().reuses)
}

/// All at once, since each of them waits for a lease to run out.
#[tokio::test(flavor = "multi_thread")]
async fn on_redis_at_each_point_of_the_way() {
    let with_grace = Behaviour {
        reuse_grace: 60,
        ..Behaviour::default()
    };
    let cases = [
        (
            "before the provider saw it",
            At::Sent,
            Behaviour::default(),
            (End::GoesOn, 0),
        ),
        (
            "after it answered",
            At::Answered,
            Behaviour::default(),
            (End::SignsInAgain, 1),
        ),
        (
            "after one with a grace period answered",
            At::Answered,
            with_grace,
            (End::GoesOn, 0),
        ),
        (
            "before it was stored",
            At::Received,
            Behaviour::default(),
            (End::SignsInAgain, 1),
        ),
        (
            "after it was stored",
            At::Stored,
            Behaviour::default(),
            (End::GoesOn, 0),
        ),
    ];
    let ends = cases.map(async |(name, at, behaviour, expected)| (name, killed(at, behaviour).await, expected));
    for (name, end, expected) in futures_util::future::join_all(ends).await {
        assert_eq!(end, expected, "{name}");
    }
}
