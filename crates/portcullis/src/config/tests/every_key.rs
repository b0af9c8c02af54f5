//! The schema and the code that reads by it are the same: every key that is declared is read, and its example is right.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::schema::{Kind, TABLES, Table};
use super::super::{FaultKind, parse};

/// How a key of a table is written on one line.
fn line(table: &Table, key: &str, value: &str) -> String {
    let path = match table.name {
        // Where each of its keys has a meaning.
        "store" if key != "url" => {
            return format!("store = {{ url = \"rediss+sentinel://127.0.0.1/main\", {key} = {value} }}");
        }
        "server" | "store" | "admin" | "danger" => table.name.to_owned(),
        "tls of [server]" => "server.tls".to_owned(),
        "client_certificate_header of [server]" => "server.client_certificate_header".to_owned(),
        "introspection of [provider.NAME]" => "provider.x.introspection".to_owned(),
        "a secret" => "admin.token".to_owned(),
        "a secret of [client.NAME]" => "client.x.secret".to_owned(),
        "own_keys of [client.NAME]" => "client.x.own_keys".to_owned(),
        "registration of [client.NAME]" => "client.x.registration".to_owned(),
        "certificate of [client.NAME]" => "client.x.certificate".to_owned(),
        "assets of [frontend.NAME]" => "frontend.x.assets".to_owned(),
        "session of [frontend.NAME]" => "frontend.x.session".to_owned(),
        "login of [frontend.NAME]" => "frontend.x.login".to_owned(),
        "headers of [frontend.NAME]" => "frontend.x.headers".to_owned(),
        "policy of [api.NAME], by method" => "api.x.policy".to_owned(),
        "token of [api.NAME]" => "api.x.token".to_owned(),
        "revocations of [api.NAME]" => "api.x.revocations".to_owned(),
        "routes of [api.NAME]" => return format!("api.x.routes = [{{ {key} = {value} }}]"),
        "role or group of a policy" => "policy.x.role".to_owned(),
        "claim of a policy" => "policy.x.claim".to_owned(),
        named => named.replace("NAME", "x"),
    };
    format!("{path}.{key} = {value}")
}

/// The codes of the faults on the first line.
fn codes(text: &str) -> Vec<&'static str> {
    let faults =
        parse(text, "t.toml", Path::new("/"), &BTreeMap::new()).expect_err("most of a configuration is missing");
    // What is missing points at the table, which may be on this line too.
    let about_the_value =
        |code: &&str| *code != FaultKind::MissingKey.code() && *code != FaultKind::MissingAudience.code();
    let first = faults
        .iter()
        .filter(|fault| fault.position(faults.source()).is_some_and(|at| at.line == 1));
    first.map(|fault| fault.code()).filter(about_the_value).collect()
}

#[test]
fn every_key_refuses_a_value_of_another_type() {
    for table in TABLES {
        for key in table.keys {
            let text = line(table, key.name, "1979-05-27");
            assert_eq!(codes(&text), [FaultKind::WrongType.code()], "{text}");
        }
    }
}

#[test]
fn every_key_accepts_its_example() {
    for table in TABLES {
        for key in table.keys {
            let text = line(table, key.name, key.example);
            // The example's files and names are not there, and of a secret's ways `dev_only` needs loopback.
            let elsewhere = [
                FaultKind::MissingFile,
                FaultKind::SecretUnavailable,
                FaultKind::DanglingReference,
                FaultKind::SecretInline,
            ];
            let elsewhere = elsewhere.map(FaultKind::code);
            let wrong: Vec<_> = codes(&text)
                .into_iter()
                .filter(|code| !elsewhere.contains(code))
                .collect();
            assert!(wrong.is_empty(), "{text}: {wrong:?}");
        }
    }
}

#[test]
fn every_list_refuses_to_be_empty() {
    for table in TABLES {
        for key in table
            .keys
            .iter()
            .filter(|key| matches!(key.kind, Kind::List(_) | Kind::OneOrMore(_)))
        {
            let text = line(table, key.name, "[]");
            assert_eq!(codes(&text), [FaultKind::Empty.code()], "{text}");
        }
    }
}
