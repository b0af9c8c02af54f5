//! `portcullis serve` and `portcullis idp`, from the files that `demo --write` makes.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use serde_json::Value;

use crate::process::{free_ports, get, portcullis, start, try_get};
use crate::world::request;

/// What the demo's files say, and the free port that stands there afterwards.
fn with_free_ports(dir: &Path) -> [String; 4] {
    assert_eq!(portcullis(dir, &["demo", "--write", "."]).status, 0);
    let addresses = free_ports::<4>().map(|port| format!("127.0.0.1:{port}"));
    for name in ["portcullis.toml", "idp.toml"] {
        let mut text = fs::read_to_string(dir.join(name)).unwrap();
        for (written, free) in ["127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"]
            .iter()
            .zip(&addresses)
        {
            text = text.replace(written, free);
        }
        fs::write(dir.join(name), text).unwrap();
    }
    addresses
}

#[test]
fn what_the_demo_writes_really_runs() {
    let dir = tempfile::tempdir().unwrap();
    let [app, provider, api, admin] = with_free_ports(dir.path());

    // From another directory: paths in the file start at the file.
    let elsewhere = tempfile::tempdir().unwrap();
    let config = dir.path().join("portcullis.toml");
    let serve = start(elsewhere.path(), &["serve", "--config", config.to_str().unwrap()]);
    serve.wait_until("alive", || {
        try_get(&format!("http://{admin}/livez")).is_some_and(|answer| answer.status == 200)
    });
    let readyz = format!("http://{admin}/readyz");
    assert_eq!(get(&readyz).status, 503, "there is no provider yet");
    assert_eq!(
        get(&format!("http://{app}/")).status,
        200,
        "and the page is served all the same"
    );

    let idp = start(dir.path(), &["idp", "--config", "idp.toml", "--json"]);
    let ready: Value = serde_json::from_str(&idp.line()).unwrap();
    assert_eq!(ready["issuer"], format!("http://{provider}"));
    serve.wait_until("ready", || get(&readyz).status == 200);

    let page = get(&format!("http://{app}/"));
    assert_eq!(page.status, 200);
    assert_eq!(
        page.body,
        fs::read_to_string(dir.path().join("web/index.html")).unwrap()
    );
    let refused = get(&format!("http://{app}/api/orders"));
    assert_eq!(refused.status, 401);
    assert!(
        refused.head.contains("content-type: application/problem+json"),
        "{}",
        refused.head
    );
    let problem: Value = serde_json::from_str(&refused.body).unwrap();
    assert_eq!(problem["login_url"], "/bff/login");
    let login = get(&format!("http://{app}/bff/login"));
    assert_eq!(login.status, 303);
    assert!(
        login.head.contains(&format!("\r\nlocation: http://{provider}/")),
        "{}",
        login.head
    );
    assert!(
        dir.path().join("portcullis.db").is_file(),
        "the store stands beside the file"
    );
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);

    let (status, stdout, stderr) = serve.end_by("-TERM");
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        stderr,
        [format!("serving http://{app}/ on {app}; console http://{admin}")]
    );
    let last: Value = serde_json::from_str(stdout.last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["component"]),
        (&"stopping".into(), &"gateway".into())
    );
    assert_eq!(idp.end_by("-INT").0.code(), Some(0));
    for address in [app, provider, api, admin] {
        assert!(TcpStream::connect(&address).is_err(), "{address} is open still");
    }
}

#[test]
fn development_tells_the_code_of_a_refusal_and_nothing_else_does() {
    let dir = tempfile::tempdir().unwrap();
    let [app, _, _, admin] = with_free_ports(dir.path());
    let written = fs::read_to_string(dir.path().join("portcullis.toml")).unwrap();
    let line = written
        .lines()
        .find(|line| line.starts_with("development = true"))
        .unwrap();
    let mut told = Vec::new();
    for (text, development) in [(written.clone(), true), (written.replace(line, ""), false)] {
        fs::write(dir.path().join("portcullis.toml"), text).unwrap();
        let serve = start(dir.path(), &["serve", "--config", "portcullis.toml"]);
        let started = loop {
            let event: Value = serde_json::from_str(&serve.line()).unwrap();
            // That there is no provider may be said before.
            if event["event"] == "started" {
                break event;
            }
        };
        let dangers = if development {
            vec!["development = true"]
        } else {
            vec![]
        };
        assert_eq!(started["dangers"], Value::from(dangers));
        serve.wait_until("alive", || try_get(&format!("http://{admin}/livez")).is_some());
        // By the guard, by the gateway, and before it matters who asks for what.
        for (path, code) in [
            ("/api/orders?access_token=x", "token.in_query"),
            ("/api/orders", "session.missing"),
            ("/%2e%2e/", "path.not_canonical"),
        ] {
            let refused = get(&format!("http://{app}{path}"));
            let header = format!("portcullis-reason: {code}\r\n");
            assert_eq!(
                refused.head.contains("portcullis-reason"),
                development,
                "{path}: {}",
                refused.head
            );
            assert_eq!(refused.head.contains(&header), development, "{path}: {}", refused.head);
            let id = refused
                .head
                .lines()
                .find_map(|line| line.strip_prefix("x-request-id: "));
            told.push((
                path,
                refused.status,
                refused.body.to_ascii_lowercase().replace(id.unwrap(), "ID"),
            ));
        }
        let page = get(&format!("http://{app}/"));
        assert!(
            page.status == 200 && !page.head.contains("portcullis-reason"),
            "{}",
            page.head
        );
        serve.end_by("-TERM");
    }
    let (with, without) = told.split_at(3);
    assert_eq!(with, without, "but for the header the answers are the same");
}

#[test]
fn serve_says_which_address_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let [app, ..] = with_free_ports(dir.path());
    let _taken = TcpListener::bind(&app).unwrap();
    let ended = portcullis(dir.path(), &["serve", "--config", "portcullis.toml"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    assert!(ended.stderr.contains(&format!("{app} is in use")), "{}", ended.stderr);
}

#[test]
fn the_provider_listens_on_loopback_alone() {
    let dir = tempfile::tempdir().unwrap();
    let idp = |listen: &str| {
        fs::write(dir.path().join("idp.toml"), format!("listen = \"{listen}\"\n")).unwrap();
        ["idp", "--config", "idp.toml", "--json"]
    };
    // An address that is taken would be another error: this one comes before anything is bound.
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let open = format!("0.0.0.0:{}", taken.local_addr().unwrap().port());
    for listen in ["0.0.0.0:0", "[::]:0", &open] {
        let ended = portcullis(dir.path(), &idp(listen));
        assert_eq!(ended.status, 1, "{listen}");
        assert!(
            ended.stdout.starts_with("{\"error\":{\"code\":\"command.failed\""),
            "{}",
            ended.stdout
        );
        assert!(
            ended.stderr.contains("loopback") && ended.stderr.contains(listen),
            "{}",
            ended.stderr
        );
    }

    let good = start(dir.path(), &idp("127.0.0.1:0"));
    let ready: Value = serde_json::from_str(&good.line()).unwrap();
    let issuer = ready["issuer"].as_str().unwrap();
    assert_eq!(get(&format!("{issuer}/.well-known/openid-configuration")).status, 200);
    assert_eq!(good.end_by("-INT").0.code(), Some(0));
}

#[test]
fn a_faulty_provider_file_is_status_2_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("idp.toml"),
        "[[user]]\nusername = \"alice\"\npasword = \"x\"\n",
    )
    .unwrap();
    let ended = portcullis(dir.path(), &["idp", "--config", "idp.toml"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""));
    assert!(
        ended.stderr.contains("idp.toml") && ended.stderr.contains("pasword"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("line 3"), "{}", ended.stderr);
}

#[test]
fn a_hangup_ends_no_service() {
    let dir = tempfile::tempdir().unwrap();
    let [app, _, _, console] = with_free_ports(dir.path());
    let serve = start(dir.path(), &["serve", "--config", "portcullis.toml"]);
    serve.wait_until("serving", || try_get(&format!("http://{app}/")).is_some());
    let pid = serve.id().to_string();
    for _ in 0..2 {
        assert!(
            std::process::Command::new("kill")
                .args(["-HUP", &pid])
                .status()
                .unwrap()
                .success()
        );
        assert!(get(&format!("http://{console}/livez")).status == 200 && get(&format!("http://{app}/")).status < 500);
    }
    let (status, lines, _) = serve.end_by("-TERM");
    assert_eq!(status.code(), Some(0));
    assert!(lines.last().unwrap().contains("\"event\":\"stopping\""), "{lines:?}");
}

#[test]
fn probes_are_answered_under_any_name_and_tell_when_the_gateway_ends() {
    let dir = tempfile::tempdir().unwrap();
    let [app, ..] = with_free_ports(dir.path());
    let [probes] = free_ports::<1>().map(|port| format!("127.0.0.1:{port}"));
    let config = dir.path().join("portcullis.toml");
    let text = fs::read_to_string(&config).unwrap();
    let taken = text.replacen("[server]\n", &format!("[server]\nprobes = \"{app}\"\n"), 1);
    fs::write(&config, &taken).unwrap();
    let ended = portcullis(dir.path(), &["check", "--config", "portcullis.toml"]);
    assert_eq!(ended.status, 2, "{}", ended.stdout);
    assert!(
        ended.stderr.contains("one address has one listener"),
        "{}",
        ended.stderr
    );
    fs::write(
        &config,
        taken.replacen(&format!("probes = \"{app}\""), &format!("probes = \"{probes}\""), 1),
    )
    .unwrap();

    let serve = start(dir.path(), &["serve", "--config", "portcullis.toml"]);
    serve.wait_until("alive", || {
        try_get(&format!("http://{probes}/livez")).is_some_and(|answer| answer.status == 200)
    });
    let ask = |path: &str| request(&probes, "GET", path, "gateway.internal.example", &[], "");
    assert_eq!(
        (ask("/livez").status, ask("/readyz").status),
        (200, 503),
        "there is no provider"
    );
    assert!(ask("/metrics").body.contains("portcullis_start_time_seconds"));
    for path in ["/", "/events.json", "/admin/v1/revocations", "/bff/user"] {
        assert_eq!(ask(path).status, 404, "{path}");
    }
    assert_eq!(request(&probes, "POST", "/readyz", "x.example", &[], "").status, 405);
    assert_eq!(request(&app, "GET", "/livez", &app, &[], "").status, 404);

    // A call that takes its time keeps it alive: its body is waited for.
    let mut slow = TcpStream::connect(&app).unwrap();
    let head = format!(
        "POST /bff/backchannel-logout HTTP/1.1\r\nHost: {app}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Expect: 100-continue\r\nContent-Length: 50\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).unwrap();
    let mut goes_on = [0; 12];
    slow.read_exact(&mut goes_on).unwrap();
    assert_eq!(&goes_on, b"HTTP/1.1 100");
    let told = std::process::Command::new("kill")
        .args(["-TERM", &serve.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    serve.wait_until("ending", || {
        try_get(&format!("http://{probes}/readyz")).is_some_and(|answer| answer.body.contains("it is ending"))
    });
    assert_eq!(ask("/livez").status, 200);
    drop(slow);
    assert_eq!(serve.ended().status, 0);
}

#[test]
fn a_gateway_that_is_told_to_stop_takes_calls_while_load_balancers_notice() {
    let dir = tempfile::tempdir().unwrap();
    let [app, ..] = with_free_ports(dir.path());
    let [probes] = free_ports::<1>().map(|port| format!("127.0.0.1:{port}"));
    let config = dir.path().join("portcullis.toml");
    let text = fs::read_to_string(&config).unwrap();
    let server = format!("[server]\nprobes = \"{probes}\"\nstop_delay = \"5m\"\n");
    fs::write(&config, text.replacen("[server]\n", &server, 1)).unwrap();

    let serve = start(dir.path(), &["serve", "--config", "portcullis.toml"]);
    serve.wait_until("alive", || {
        try_get(&format!("http://{probes}/livez")).is_some_and(|answer| answer.status == 200)
    });
    let terminate = || {
        let pid = serve.id().to_string();
        let told = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        assert!(told.unwrap().success());
    };
    terminate();
    serve.wait_until("not ready", || {
        try_get(&format!("http://{probes}/readyz")).is_some_and(|answer| answer.body.contains("it is ending"))
    });
    // A call over a new connection.
    assert_eq!(
        request(&app, "GET", "/bff/user", &app, &[("X-CSRF", "1".to_owned())], "").status,
        401
    );

    // Who does not want to wait says so.
    terminate();
    assert_eq!(serve.ended().status, 0);
}
