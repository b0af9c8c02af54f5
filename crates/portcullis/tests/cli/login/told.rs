//! What the commands of a login print, to the letter.

use super::{Browser, KEPT, World, url_of};
use crate::fixed::{fixed, fixed_json};
use crate::process::Ended;

fn told(world: &World, ended: &Ended) -> String {
    let secrets = world.idp.control().issued_secrets();
    let dir = world.dir().display().to_string();
    let mut known = vec![(world.idp.issuer(), "ISSUER"), (dir.as_str(), "DIR")];
    known.extend(secrets.iter().map(|secret| (secret.as_str(), "SECRET")));
    let stream = |name: &str, text: &str| match text {
        "" => String::new(),
        text => format!("--- {name}\n{}\n", at_once(&fixed(text, &known)).trim_end()),
    };
    let status = ended.status;
    format!(
        "{}{}--- status {status}",
        stream("stdout", &ended.stdout),
        stream("stderr", &ended.stderr)
    )
}

/// Some seconds of the token's five minutes may be over.
fn at_once(text: &str) -> String {
    (270..300).fold(text.to_owned(), |text, left| {
        text.replace(&format!("\"expires_in\":{left},"), "\"expires_in\":300,")
    })
}

#[test]
fn from_the_login_to_the_logout() {
    let world = World::new();
    let options = [&KEPT[..], &["--scope", "openid", "--scope", "orders.read"]].concat();
    let login = world.begin(&options);
    let url = url_of(&login);
    let mut browser = Browser::new(&world);
    let back = browser.sign_in(&url);
    assert_eq!(browser.open(&back).status, 200);
    insta::assert_snapshot!("login", told(&world, &login.ended()));
    let again = world.sign_in(&[&KEPT[..], &["--json", "--scope", "openid", "--scope", "orders.read"]].concat());
    insta::assert_snapshot!(
        "login_json",
        fixed_json(&again.stdout, &[(world.idp.issuer(), "ISSUER")])
    );

    insta::assert_snapshot!("token", told(&world, &world.run("token", &[])));
    let credential = world.run("token", &["--exec-credential"]);
    insta::assert_snapshot!("token_exec_credential", told(&world, &credential));
    insta::assert_snapshot!("whoami", told(&world, &world.run("whoami", &[])));
    let json = world.run("whoami", &["--json"]);
    assert_eq!(json.status, 0, "{json:?}");
    insta::assert_snapshot!(
        "whoami_json",
        fixed_json(&json.stdout, &[(world.idp.issuer(), "ISSUER")])
    );
    for (name, option) in [("token_json", "--json"), ("token_header", "--header")] {
        insta::assert_snapshot!(name, told(&world, &world.run("token", &[option])));
    }
    insta::assert_snapshot!("logout", told(&world, &world.run("logout", &[])));
    insta::assert_snapshot!("token_without_login", told(&world, &world.run("token", &[])));
    insta::assert_snapshot!("whoami_without_login", told(&world, &world.run("whoami", &[])));
}

#[test]
fn on_another_device() {
    let world = World::new();
    let login = world.begin(&[&KEPT[..], &["--device"]].concat());
    let place = login.error_line();
    let (_, code) = (login.error_line(), login.error_line().trim().to_owned());
    let mut browser = Browser::new(&world);
    let url = place.split(' ').find(|word| word.starts_with("http")).unwrap();
    let page = browser.follow(&format!("{url}?user_code={code}"));
    let sent = browser.submit(&page, &[("user_code", &code)]);
    let page = browser.follow(&sent.location.unwrap());
    let sent = browser.submit(&page, &[("username", "alice"), ("password", "alice-demo")]);
    let page = browser.follow(&sent.location.unwrap());
    assert_eq!(browser.submit(&page, &[("answer", "allow")]).status, 200);
    let known = [(world.idp.issuer(), "ISSUER"), (code.as_str(), "CODE")];
    insta::assert_snapshot!("login_device_begins", fixed(&place, &known));
    let ended = login.ended();
    // The QR code has the address in it, and with it the port.
    let words: Vec<&str> = ended.stderr.lines().filter(|line| line.is_ascii()).collect();
    let ended = Ended {
        stderr: words.join("\n").replace(&code, "CODE"),
        ..ended
    };
    insta::assert_snapshot!("login_device", told(&world, &ended));
}
