use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_jose::{ManualClock, UnixTime};

use crate::{Audit, AuditSettings, Credential, Event, Lines, Refused, RequestId};

const SOON: Duration = Duration::from_secs(20);

/// A writer whose text a test can read.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn lines(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:?}")))
            .collect()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe whose reader is stuck until the test lets go.
struct Pipe {
    entered: Sender<()>,
    open: Receiver<()>,
    page: Page,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        // An error says that the test has let go for good.
        let _ = self.open.recv();
        self.page.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn audit(settings: AuditSettings) -> Audit {
    Audit::new(settings, Arc::new(ManualClock::at(UnixTime::from_secs(1_767_225_600))))
}

fn call(path: &str) -> Event {
    Event::CallForwarded {
        route: "orders".into(),
        method: "GET".into(),
        path: path.into(),
        credential: Credential::Session,
        subject: Some("alice".into()),
        client: None,
        policy: Some("ReadOrders".into()),
        status: 200,
        duration_ms: 3,
    }
}

fn refusal(refused: Refused) -> Event {
    Event::CallRefused {
        route: Some("orders".into()),
        method: "GET".into(),
        path: "/api/orders".into(),
        credential: Credential::Bearer,
        subject: None,
        client: None,
        checks: Vec::new(),
        status: refused.status(),
        refused,
    }
}

#[test]
fn events_become_lines_in_order() {
    let page = Page::default();
    let audit = audit(AuditSettings::to_writer(page.clone()));
    let id = RequestId::new();
    audit.emit(Some(&id), call("/api/orders"));
    audit.emit(None, refusal(Refused::new("token.expired")));
    assert!(audit.flush(SOON));
    let lines = page.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["seq"], 1);
    assert_eq!(lines[0]["time"], "2026-01-01T00:00:00.000Z");
    assert_eq!(lines[0]["request_id"], id.as_str());
    assert_eq!(lines[0]["event"], "call_forwarded");
    assert_eq!(lines[0]["duration_ms"], 3);
    assert_eq!(lines[1]["seq"], 2);
    assert_eq!(lines[1]["code"], "token.expired");
    assert_eq!(lines[1]["status"], 401);
    assert!(lines[1].get("request_id").is_none());
}

#[test]
fn hostile_text_stays_in_one_line_and_is_capped() {
    let page = Page::default();
    let audit = audit(AuditSettings::to_writer(page.clone()));
    let forged = "x\r\n{\"seq\":1,\"event\":\"login_succeeded\"}\u{1b}[2J\u{2028}\u{9b}31m";
    let mut refused = Refused::new("token.kid_invalid")
        .expected(forged)
        .found("k".repeat(5_000));
    refused.cause = forged.to_owned();
    audit.emit(None, refusal(refused));
    audit.emit(None, call(&format!("/api/{forged}/{}", "\u{1f512}".repeat(300))));
    audit.emit(
        None,
        Event::LoginSucceeded {
            frontend: "shop".into(),
            subject: forged.into(),
            client_id: Some(forged.into()),
        },
    );
    assert!(audit.flush(SOON));

    let raw = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert_eq!(raw.matches('\n').count(), 3, "{raw}");
    assert!(
        !raw.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{2028}')),
        "{raw:?}"
    );
    let lines = page.lines();
    assert_eq!(lines[0]["found"].as_str().unwrap().len(), 256);
    assert!(lines[1]["path"].as_str().unwrap().len() <= 256);
    assert!(
        lines[2]["subject"].as_str().unwrap().starts_with("x\\r\\n{"),
        "{}",
        lines[2]
    );
    // What the console reads is as safe as the line.
    let record = &audit.recent(2)[0];
    assert!(matches!(&record.event, Event::LoginSucceeded { subject, .. } if !subject.chars().any(char::is_control)));
}

#[test]
fn memory_keeps_the_newest_and_a_reader_can_go_on() {
    let audit = audit(AuditSettings {
        ring: 3,
        ..AuditSettings::in_memory()
    });
    assert!(audit.recent(0).is_empty());
    for i in 1..=5 {
        audit.emit(None, call(&format!("/{i}")));
    }
    let seqs = |after| audit.recent(after).iter().map(|record| record.seq).collect::<Vec<_>>();
    assert_eq!(seqs(0), [3, 4, 5]);
    assert_eq!(seqs(2), [3, 4, 5]);
    assert_eq!(seqs(4), [5]);
    assert_eq!(seqs(5), [0; 0]);
    assert_eq!(seqs(99), [0; 0]);
    assert_eq!(audit.last_seq(), 5);
}

#[test]
fn no_memory_is_a_choice() {
    let audit = audit(AuditSettings {
        ring: 0,
        ..AuditSettings::in_memory()
    });
    audit.emit(None, call("/"));
    assert!(audit.recent(0).is_empty());
    assert_eq!(audit.last_seq(), 1);
}

#[test]
fn a_requests_records_are_found_by_its_id() {
    let audit = Audit::for_tests();
    let (mine, other) = (RequestId::new(), RequestId::new());
    audit.emit(Some(&mine), refusal(Refused::new("token.expired")));
    audit.emit(Some(&other), call("/"));
    let found = audit.of_request(&mine);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].event.refused().map(|refused| refused.code),
        Some("token.expired")
    );
}

#[tokio::test]
async fn subscribers_see_every_record_from_then_on() {
    let audit = Audit::for_tests();
    audit.emit(None, call("/before"));
    let mut records = audit.subscribe();
    audit.emit(None, call("/after"));
    assert_eq!(records.recv().await.unwrap().seq, 2);
    drop(records);
    audit.emit(None, call("/nobody"));
    assert_eq!(audit.last_seq(), 3);
}

#[test]
fn calls_can_be_kept_out_of_the_lines() {
    let page = Page::default();
    let audit = audit(AuditSettings {
        log_calls: false,
        ..AuditSettings::to_writer(page.clone())
    });
    audit.emit(None, call("/"));
    audit.emit(None, refusal(Refused::new("token.expired")));
    assert!(audit.flush(SOON));
    let lines = page.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["event"], "call_refused");
    assert_eq!(audit.recent(0).len(), 2, "it is in memory all the same");
    assert_eq!(audit.metrics().events("call_forwarded"), 1);
}

#[test]
fn a_stuck_pipe_never_blocks_and_what_is_lost_is_reported() {
    let page = Page::default();
    let (entered, has_entered) = channel();
    let (let_go, open) = channel();
    let pipe = Pipe {
        entered,
        open,
        page: page.clone(),
    };
    let audit = audit(AuditSettings {
        queue: 4,
        ..AuditSettings::to_writer(pipe)
    });

    audit.emit(None, call("/first"));
    has_entered.recv_timeout(SOON).expect("the writer writes");
    // The writer is stuck now: 4 routine lines fit, then 4 more security events.
    for i in 0..10 {
        audit.emit(None, call(&format!("/{i}")));
    }
    for _ in 0..10 {
        audit.emit(None, refusal(Refused::new("token.expired")));
    }
    assert_eq!(audit.last_seq(), 21, "nobody waited");
    assert!(
        !audit.flush(Duration::from_millis(5)),
        "a flush waits no longer than it is told to"
    );
    let text = audit.metrics().render();
    assert!(
        text.contains(r#"portcullis_audit_lines_dropped_total{kind="routine"} 6"#),
        "{text}"
    );
    assert!(
        text.contains(r#"portcullis_audit_lines_dropped_total{kind="security"} 6"#),
        "{text}"
    );
    assert_eq!(audit.metrics().counts().lines_dropped, 12);

    drop(let_go);
    assert!(audit.flush(SOON));
    let lines = page.lines();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    let expected = [
        ["call_forwarded"; 5].as_slice(),
        &["call_refused"; 4],
        &["events_dropped"],
    ]
    .concat();
    assert_eq!(events, expected);
    assert_eq!((&lines[9]["routine"], &lines[9]["security"]), (&6.into(), &6.into()));
}

#[test]
fn a_closed_pipe_ends_nothing_and_is_counted() {
    let audit = audit(AuditSettings::to_writer(Broken));
    for _ in 0..3 {
        audit.emit(None, call("/"));
        assert!(audit.flush(SOON));
    }
    assert!(
        audit
            .metrics()
            .render()
            .contains(r#"portcullis_audit_lines_dropped_total{kind="write_failed"} 3"#)
    );
}

#[test]
fn the_last_handle_lets_the_writer_finish() {
    let (sender, written) = channel();
    struct Last(Sender<String>, Vec<u8>);
    impl Write for Last {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.0.send(String::from_utf8(std::mem::take(&mut self.1)).unwrap());
        }
    }
    let audit = audit(AuditSettings {
        lines: Lines::Writer(Box::new(Last(sender, Vec::new()))),
        ..AuditSettings::default()
    });
    let second = audit.clone();
    drop(audit);
    for _ in 0..100 {
        second.emit(None, call("/"));
    }
    drop(second);
    let text = written.recv_timeout(SOON).expect("the writer has ended");
    assert_eq!(text.lines().count(), 100);
}

#[test]
fn numbers_have_no_gaps_however_many_emit() {
    let page = Page::default();
    let audit = audit(AuditSettings {
        ring: 10_000,
        ..AuditSettings::to_writer(page.clone())
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| audit.emit(None, call("/"))));
        }
    });
    assert!(audit.flush(SOON));
    let seqs: Vec<_> = page.lines().iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=2_000).collect::<Vec<_>>());
}
