//! From the tree of a TOML file to settings, section by section.

mod api;
mod client;
mod frontend;
mod login;
mod overlap;
mod policy;
mod provider;
mod requests;
mod revocations;
mod routes;
mod secret;
mod server;
mod sessions;
mod store;
mod token;

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::faults::FaultKind;
use super::nearest::nearest;
use super::reader::{Context, Reader, found, schema_of, shown};
use super::schema::{self, SECTIONS, Table};
use super::settings::{DangerSettings, FrontendSettings, Settings};

pub(crate) use overlap::is_within;
pub(crate) use store::lines as sealing_keys;

/// Reads everything. None where something that must be there is not, and then there is a fault.
pub(crate) fn settings<'a>(cx: &'a Context<'a>, tree: &'a DeTable<'a>) -> Option<Settings> {
    let meant = unknown_sections(cx, tree);
    let danger = section(cx, tree, "danger").map_or_else(DangerSettings::default, |reader| server::danger(&reader));
    let server = match section(cx, tree, "server") {
        Some(reader) => server::server(&reader),
        None => {
            if !tree.contains_key("server") && !meant.contains(&"server") {
                cx.push(missing_server());
            }
            None
        }
    };
    let public_is_loopback = server
        .as_ref()
        .map(|server| super::urls::is_loopback(&server.public_url));
    let public_is_https = server.as_ref().map(|server| server.public_url.scheme() == "https");
    let store = store::store(
        cx,
        section(cx, tree, "store").as_ref(),
        server::dev_only(public_is_loopback),
    );
    let has_admin_address = server.as_ref().map(|server| server.admin.is_some());
    let admin = section(cx, tree, "admin").map(|reader| server::admin(&reader, has_admin_address, public_is_loopback));
    let providers = named(cx, tree, "provider", |reader, _| {
        provider::provider(reader, public_is_loopback)
    });
    let clients = named(cx, tree, "client", |reader, _| {
        client::client(reader, &providers, public_is_loopback, public_is_https)
    });
    provider::check_introspection(cx, &providers, &clients);
    let public_url = server.as_ref().map(|server| &server.public_url);
    let frontends = named(cx, tree, "frontend", |reader, _| frontend::frontend(reader, public_url));
    frontend::check_places(cx, tree, &frontends);
    let policies = policy::policies(&named(cx, tree, "policy", |reader, _| Some(reader.clone())));
    let around = api::Around {
        danger: &danger,
        public_url: server.as_ref().map(|server| &server.public_url),
        providers: &providers,
        has_frontend: !cx.names("frontend").is_empty(),
        session_client: one_client(&frontends),
        frontends: &frontends,
        clients: &clients,
        certificates: server.as_ref().is_none_or(server::knows_certificates),
    };
    let mut paths = overlap::Paths::default();
    let apis = named(cx, tree, "api", |reader, name| {
        api::api(reader, name, &around, &mut paths)
    });
    paths.check(cx, &frontends);
    if !["api", "frontend"]
        .iter()
        .any(|name| tree.contains_key(*name) || meant.contains(name))
    {
        cx.push(nothing_to_serve());
    }
    Some(Settings {
        server: server?,
        store: store?,
        admin: match admin {
            Some(admin) => Some(admin?),
            None => None,
        },
        providers,
        clients,
        frontends,
        apis,
        policies,
        danger,
    })
}

/// The client that every frontend has, if it is one.
fn one_client(frontends: &BTreeMap<String, FrontendSettings>) -> Option<&str> {
    let mut clients = frontends.values().map(|frontend| frontend.client.as_str());
    let first = clients.next()?;
    clients.all(|client| client == first).then_some(first)
}

/// Reports sections that do not exist; returns those that were meant.
fn unknown_sections(cx: &Context<'_>, tree: &DeTable<'_>) -> Vec<&'static str> {
    let mut all_meant = Vec::new();
    for (key, value) in tree {
        let given = key.get_ref().as_ref();
        if SECTIONS.iter().any(|section| section.name == given) {
            continue;
        }
        let meant = meant_section(given);
        let known: Vec<_> = SECTIONS.iter().map(shape).collect();
        let place = match value.get_ref() {
            DeValue::Table(_) => key.span(),
            _ => cx.place_of(&key.span(), &value.span()),
        };
        let is_key = schema::TABLES.iter().find(|table| table.key(given).is_some());
        let label = match (meant, is_key) {
            (Some(meant), _) => format!("did you mean `{meant}`?"),
            (None, Some(table)) => format!("a key of {}", super::reader::in_words(table)),
            (None, None) => "not known".to_owned(),
        };
        let what = if matches!(value.get_ref(), DeValue::Table(_)) {
            "table"
        } else {
            "key"
        };
        cx.push(
            FaultKind::UnknownKey
                .says(format!("unknown {what} `{}`", shown(given)))
                .at(place, label)
                .expected(format!("one of {}", known.join(", ")))
                .nearest(meant),
        );
        all_meant.extend(meant);
    }
    all_meant
}

/// The section that a name is a slip of, or another program's word for.
pub(crate) fn meant_section(given: &str) -> Option<&'static str> {
    let alias = || {
        SECTIONS
            .iter()
            .find(|section| section.also.contains(&given))
            .map(|section| section.name)
    };
    nearest(given, SECTIONS.iter().map(|section| section.name)).or_else(alias)
}

/// The reader of a section that is one table.
fn section<'a>(cx: &'a Context<'a>, tree: &'a DeTable<'a>, name: &'static str) -> Option<Reader<'a>> {
    let (key, value) = entry(tree, name)?;
    let schema = schema_of(name)?;
    reader(cx, schema, format!("[{name}]"), key.span(), value)
}

/// Reads each table of a section whose tables have names.
fn named<'a, T>(
    cx: &'a Context<'a>,
    tree: &'a DeTable<'a>,
    name: &'static str,
    mut read: impl FnMut(&Reader<'a>, &str) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut all = BTreeMap::new();
    let Some(((key, value), schema)) = entry(tree, name).zip(schema_of(name)) else {
        return all;
    };
    let DeValue::Table(tables) = value.get_ref() else {
        cx.push(wrong_shape(name, value));
        return all;
    };
    let mut unnamed: Option<Range<usize>> = None;
    for (given, value) in tables {
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            let first = unnamed.get_or_insert_with(|| given.span());
            if given.span().start < first.start {
                *first = given.span();
            }
            continue;
        }
        let given_name = given.get_ref().as_ref();
        check_name(cx, name, given_name, given.span());
        let title = format!("[{name}.{}]", shown(given_name));
        let read_one = reader(cx, schema, title, given.span(), value).and_then(|reader| read(&reader, given_name));
        if let Some(settings) = read_one {
            all.insert(given_name.to_owned(), settings);
        }
    }
    if let Some(inside) = unnamed {
        let fault = FaultKind::WrongType
            .says(format!("[{name}] holds tables that have names, not keys"))
            .at(cx.place_of(&key.span(), &value.span()), format!("write [{name}.NAME]"))
            .expected(format!("[{name}.NAME], where NAME is yours to choose"));
        cx.push(fault.related(inside, "not a table"));
    } else if tables.is_empty() {
        let fault = FaultKind::Empty.says(format!("[{name}] is empty"));
        cx.push(fault.at(cx.place_of(&key.span(), &value.span()), format!("write [{name}.NAME]")));
    }
    all
}

fn entry<'a>(
    tree: &'a DeTable<'a>,
    name: &str,
) -> Option<(&'a Spanned<toml::de::DeString<'a>>, &'a Spanned<DeValue<'a>>)> {
    tree.iter().find(|(key, _)| key.get_ref() == name)
}

fn reader<'a>(
    cx: &'a Context<'a>,
    schema: &'static Table,
    title: String,
    key: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
) -> Option<Reader<'a>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(Reader::new(cx, schema, title, table, cx.place_of(&key, &value.span()))),
        _ => {
            cx.push(wrong_shape(schema.name, value));
            None
        }
    }
}

fn wrong_shape(name: &str, value: &Spanned<DeValue<'_>>) -> crate::diagnostic::Diagnostic {
    let section = name.split('.').next().unwrap_or(name);
    FaultKind::WrongType
        .says(format!("`{section}` has the wrong type"))
        .at(value.span(), format!("found {}", found(value.get_ref())))
        .expected(
            SECTIONS
                .iter()
                .find(|known| known.name == section)
                .map_or_else(String::new, |section| format!("a table: {}", shape(section))),
        )
}

/// Names appear in metrics, events and cookies.
fn check_name(cx: &Context<'_>, section: &str, name: &str, span: Range<usize>) {
    let plain = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !plain || name.is_empty() || name.len() > 64 {
        let message = format!("`{}` cannot be the name of a [{section}.NAME] table", shown(name));
        let fault = FaultKind::InvalidName.says(message).at(span, "");
        cx.push(fault.expected("1 to 64 letters, digits, `_` and `-`"));
    }
}

fn shape(section: &schema::Section) -> String {
    if section.named {
        format!("[{}.NAME]", section.name)
    } else {
        format!("[{}]", section.name)
    }
}

fn missing_server() -> crate::diagnostic::Diagnostic {
    FaultKind::MissingKey
        .says("missing table [server]")
        .in_file()
        .expected("[server] with at least public_url")
        .help("add:  [server]\npublic_url = \"https://app.example.com\"\nlisten = \"0.0.0.0:8443\"")
}

fn nothing_to_serve() -> crate::diagnostic::Diagnostic {
    FaultKind::MissingKey
        .says("nothing to serve: there is neither an [api.NAME] nor a [frontend.NAME]")
        .in_file()
        .expected("at least one [api.NAME] or [frontend.NAME]")
}
