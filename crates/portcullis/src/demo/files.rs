//! What the demo carries inside the program: its configuration and its pages.

use std::fs;
use std::io;
use std::path::Path;

pub(super) const GATEWAY: &str = include_str!("portcullis.toml");
pub(super) const PROVIDER: &str = include_str!("idp.toml");

macro_rules! web {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../web/demo/", $name)))),*]
    };
}

/// The frontend, as it is served from `web/`.
pub(super) const PAGES: &[(&str, &str)] = web![
    "index.html",
    "app.js",
    "dom.js",
    "events.js",
    "failures.js",
    "orders.js",
    "sentences.js",
    "session.js",
    "style.css",
    "favicon.svg"
];
pub(super) const LIBRARY: (&str, &str) = (
    "portcullis.js",
    include_str!("../../../../web/portcullis.js/portcullis.js"),
);
/// Another website's pages, which the demo serves from another origin.
pub(super) const ATTACKER: &[(&str, &str)] = web!["attacker.html", "attacker.js", "style.css"];

pub(super) fn write_pages(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (name, text) in PAGES.iter().chain([&LIBRARY]) {
        fs::write(dir.join(name), text)?;
    }
    Ok(())
}

/// `demo --write DIR`: all that `serve` and `idp` need, and nothing is overwritten.
pub(super) fn write_all(dir: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("cannot write to {}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(failed)?;
    let files = [("portcullis.toml", GATEWAY), ("idp.toml", PROVIDER)];
    let pages = PAGES
        .iter()
        .chain([&LIBRARY])
        .map(|(name, _)| dir.join("web").join(name));
    for path in files.iter().map(|(name, _)| dir.join(name)).chain(pages) {
        if path.exists() {
            return Err(format!(
                "{} is there already; choose an empty directory",
                path.display()
            ));
        }
    }
    for (name, text) in files {
        fs::write(dir.join(name), text).map_err(failed)?;
    }
    write_pages(&dir.join("web")).map_err(failed)
}
