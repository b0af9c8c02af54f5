//! `portcullis login --device`, at the development provider's pages.

use super::browser::Browser;
use super::{KEPT, World, assert_fails};
use crate::process::Running;

/// Where to go, and the code.
fn told(login: &Running) -> (String, String) {
    let line = login.error_line();
    let place = line
        .strip_prefix("Go to ")
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_else(|| panic!("{line}"));
    assert_eq!(login.error_line(), "");
    let code = login.error_line().trim().to_owned();
    assert_eq!(code.len(), 9, "{code}");
    (place.to_owned(), code)
}

#[test]
fn a_person_signs_in_on_another_device() {
    let world = World::new();
    let login = world.begin(&[&KEPT[..], &["--device", "--scope", "orders.read"]].concat());
    let (place, code) = told(&login);
    let mut browser = Browser::new(&world);
    let page = browser.open(&place);
    let sent = browser.submit(&page, &[("user_code", &code.to_lowercase().replace('-', " "))]);
    let page = browser.follow(&sent.location.unwrap());
    let sent = browser.submit(&page, &[("username", "alice"), ("password", "alice-demo")]);
    let page = browser.follow(&sent.location.unwrap());
    assert!(page.body.contains(&code), "the person compares it: {}", page.body);
    let page = browser.submit(&page, &[("answer", "allow")]);
    assert_eq!(
        (page.status, page.body.contains("can close this window")),
        (200, true),
        "{}",
        page.body
    );
    let ended = login.ended();
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.stdout.starts_with("signed in as Alice Adams"), "{ended:?}");
    world.assert_no_secret(&format!("{}{}", ended.stdout, ended.stderr));
    let token = world.run("token", &["--refresh"]);
    assert_eq!(world.userinfo(token.stdout.trim_end()).1["sub"], "alice-1");
}

#[test]
fn a_person_says_no() {
    let world = World::new();
    let login = world.begin(&[&KEPT[..], &["--device"]].concat());
    let (place, code) = told(&login);
    let mut browser = Browser::new(&world);
    let page = browser.follow(&format!("{place}?user_code={code}"));
    assert!(page.body.contains(&code), "the code is filled in: {}", page.body);
    let sent = browser.submit(&page, &[("user_code", &code)]);
    let page = browser.follow(&sent.location.unwrap());
    let sent = browser.submit(&page, &[("username", "alice"), ("password", "alice-demo")]);
    let page = browser.follow(&sent.location.unwrap());
    assert_eq!(browser.submit(&page, &[("answer", "deny")]).status, 200);
    assert_fails(
        &login.ended(),
        1,
        "refused on the other device\nhint: portcullis explain login.access_denied",
    );
    assert!(world.kept().is_empty());
    // Nobody answers.
    let ended = world.begin(&[&KEPT[..], &["--device", "--wait", "1"]].concat()).ended();
    assert_eq!(
        (ended.status, ended.stderr.contains("login.attempt_expired")),
        (1, true),
        "{ended:?}"
    );
}
