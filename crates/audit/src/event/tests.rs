use super::*;

/// One of each. The names are checked against the list, so that a new event cannot be forgotten in it.
fn samples() -> Vec<Event> {
    let text = String::new;
    let refused = || Refused::new("token.expired");
    vec![
        Event::Started {
            component: text(),
            version: text(),
            dangers: vec![],
        },
        Event::Stopping {
            component: text(),
            why: text(),
        },
        Event::LoginStarted {
            frontend: text(),
            provider: text(),
        },
        Event::LoginSucceeded {
            frontend: text(),
            subject: text(),
            client_id: None,
        },
        Event::LoginFailed {
            frontend: text(),
            refused: refused(),
        },
        Event::TokenStored {
            frontend: text(),
            subject: text(),
            expires_in: 1,
            refreshable: true,
        },
        Event::TokenRefreshed {
            frontend: text(),
            subject: text(),
            expires_in: 1,
        },
        Event::RefreshFailed {
            frontend: text(),
            subject: text(),
            session_ended: true,
            refused: refused(),
        },
        Event::LoggedOut {
            frontend: text(),
            subject: text(),
            how: "local",
        },
        Event::ClientCredentialRefused {
            client: text(),
            credential: text(),
            next: None,
        },
        Event::ClientCredentialExpiring {
            client: text(),
            credential: text(),
            days: 1,
            expires: UnixTime::from_secs(1),
        },
        Event::ClientCredentialUnreadable {
            client: text(),
            credential: text(),
            reason: text(),
        },
        Event::LogoutRefused {
            frontend: text(),
            refused: refused(),
        },
        Event::SessionExpired {
            frontend: text(),
            subject: text(),
            how: "idle",
        },
        Event::CsrfBlocked {
            route: None,
            method: text(),
            path: text(),
            origin: None,
            status: 403,
            refused: refused(),
        },
        Event::CallForwarded {
            route: text(),
            method: text(),
            path: text(),
            credential: Credential::None,
            subject: None,
            client: None,
            policy: None,
            status: 200,
            duration_ms: 1,
        },
        Event::CallRefused {
            route: None,
            method: text(),
            path: text(),
            credential: Credential::Bearer,
            subject: None,
            client: None,
            status: 401,
            checks: Vec::new(),
            refused: refused(),
        },
        Event::UpstreamFailed {
            route: text(),
            refused: refused(),
        },
        Event::KeysRefreshed {
            provider: text(),
            keys: 1,
            ignored: vec![],
        },
        Event::KeysUnavailable {
            provider: text(),
            age_seconds: Some(1),
            reason: text(),
        },
        Event::ProviderUnavailable {
            provider: text(),
            operation: "token",
            refused: refused(),
        },
        Event::ProviderRecovered { provider: text() },
        Event::Revoked {
            kind: "token",
            id: 1,
            until: UnixTime::from_secs(0),
            reason: text(),
            how: "administrator",
        },
        Event::RevocationRemoved { kind: "token", id: 1 },
        Event::RevocationsStale {
            realm: text(),
            age_seconds: None,
            refusing: true,
        },
        Event::RevocationsLoaded { entries: 0 },
        Event::StoreUnavailable {
            store: "sqlite",
            operation: "session",
            refused: refused(),
        },
        Event::StoreRecovered { store: "sqlite" },
        Event::SealingKeysLoaded { keys: vec![text()] },
        Event::SealingKeysRefused { refused: refused() },
        Event::ServerCertificateLoaded { file: text() },
        Event::ServerCertificateRefused { refused: refused() },
        Event::EventsDropped {
            routine: 1,
            security: 0,
        },
    ]
}

#[test]
fn names_are_what_is_serialised_and_what_is_listed() {
    let mut names = Vec::new();
    for event in samples() {
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["event"], event.name());
        assert_eq!(
            json.get("code").is_some(),
            event.refused().is_some(),
            "{}",
            event.name()
        );
        assert!(
            json.as_object().unwrap().values().all(|member| !member.is_object()),
            "flat: {json}"
        );
        names.push(event.name());
    }
    names.sort_unstable();
    assert_eq!(names, Event::NAMES);
}

#[test]
fn only_good_news_is_routine() {
    for event in samples() {
        assert!(!event.is_routine() || event.refused().is_none(), "{}", event.name());
    }
    assert_eq!(samples().iter().filter(|event| event.is_routine()).count(), 4);
}

#[test]
fn a_revocations_end_is_readable() {
    let json = serde_json::to_value(Event::Revoked {
        kind: "subject",
        id: 7,
        until: UnixTime::from_secs(1_767_225_600),
        reason: "left the company".into(),
        how: "administrator",
    })
    .unwrap();
    assert_eq!(json["until"], "2026-01-01T00:00:00Z");
}
