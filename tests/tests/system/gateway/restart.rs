//! What a restart keeps: sessions, and that some are over.

use super::Gate;

#[tokio::test]
async fn a_restart_signs_nobody_out_and_nobody_in() {
    let mut gate = Gate::start_on_https().await;
    let (stays, mut leaves) = (gate.sign_in().await, gate.sign_in().await);
    let (kept, dead) = (gate.cookie(&stays), gate.cookie(&leaves));
    let answer = gate.fetch(&mut leaves, "/bff/user").await;
    let logout = answer.json()["logout_url"].as_str().unwrap().to_owned();
    assert_eq!(
        gate.visit(&mut leaves, &format!("{}{logout}", gate.origin))
            .await
            .status,
        303
    );

    gate.restart().await;
    let user = |cookie: String| {
        let gate = &gate;
        async move {
            gate.call("GET", "/bff/user", &[("Cookie", &cookie), ("X-CSRF", "1")])
                .await
        }
    };
    assert_eq!(user(kept.clone()).await.status, 200);
    let reply = gate
        .call("GET", "/api/page", &[("Cookie", &kept), ("X-CSRF", "1")])
        .await;
    assert_eq!((reply.status, gate.upstream.hits()), (200, 1));
    assert_eq!(user(dead).await.problem(), (401, "session.expired".into()));

    // Without the key that sealed it, a session cannot be opened: a clean end, and a new login works.
    std::fs::remove_file(gate.dir.path().join("sessions.key")).unwrap();
    gate.restart().await;
    let reply = gate
        .call("GET", "/bff/user", &[("Cookie", &kept), ("X-CSRF", "1")])
        .await;
    assert_eq!(reply.problem(), (401, "session.invalid".into()));
    assert_eq!(reply.header("set-cookie"), "");
    gate.sign_in().await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_stored_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let gate = Gate::start().await;
    gate.sign_in().await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(gate.dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    assert!(
        names.contains(&"sessions.db".to_owned()) && names.contains(&"sessions.key".to_owned()),
        "{names:?}"
    );
}
