//! The manual's page about the configuration, made from the schema that the reader uses.

use std::fmt::Write;

use super::faults::KINDS;
use super::schema::{Key, Presence, TABLES, Table};

/// A whole configuration, as the manual shows it.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// The text of `docs/configuration.md`.
#[must_use]
pub fn reference_markdown() -> String {
    let mut page = String::from(HEAD);
    let _ = write!(page, "\n## A whole configuration\n\n```toml\n{}```\n", EXAMPLE);
    page.push_str(VALUES);
    for table in TABLES {
        section(&mut page, table);
    }
    page.push_str("\n## Faults\n\n| code | what is wrong |\n| --- | --- |\n");
    for kind in KINDS {
        let _ = writeln!(page, "| `{}` | {} |", kind.code(), cell(kind.about()));
    }
    page
}

const HEAD: &str = "\
<!-- Generated from the schema in crates/portcullis/src/config/schema. Regenerate with: cargo xtask docs -->

# Configuration

One TOML file. A key that is not on this page is an error, and so is a value of another type, a name that leads nowhere
or two settings that contradict each other. All of them are reported in one run, each with its line:

```text
$ portcullis check --config portcullis.toml
```

The exit status is 0 where nothing is wrong and 2 where something is. What is valid and probably not meant is a warning, with
status 0: a provider that nothing uses, a scope that a policy demands of sessions and no login asks for. `--json` prints the
same for programs: `{\"file\", \"valid\", \"faults\": [{\"code\", \"message\", \"line\", \"column\", \"label\", \"expected\", \"nearest\", \"help\"}]}`,
and `warnings` of the same form where there are any. Values of secrets are masked in both.
";

const VALUES: &str = "
## Values

- **Paths** of files start at the directory of the configuration.
- **Durations** are numbers with a unit, largest first: `\"250ms\"`, `\"30s\"`, `\"1h30m\"`, `\"7d\"`.
- **Tables** may be written in any way that TOML knows: `[api.orders]`, `api.orders.path = ...`, `{ path = ... }`.
- **Names** of tables, NAME below, are 1 to 64 letters, digits, `_` and `-`.
";

fn section(page: &mut String, table: &Table) {
    let heading = if table.name.contains(' ') {
        table.name.to_owned()
    } else {
        format!("`[{}]`", table.name)
    };
    let _ = write!(page, "\n## {heading}\n\n{}\n\n", table.about);
    page.push_str("| key | value | default | meaning | example |\n| --- | --- | --- | --- | --- |\n");
    for key in table.keys {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            key.name,
            cell(&key.kind.expected()),
            cell(&default(key)),
            cell(key.about),
            cell(&format!("`{}`", key.example)),
        );
    }
}

fn default(key: &Key) -> String {
    match key.presence {
        Presence::Required => "required".to_owned(),
        Presence::Optional => "none".to_owned(),
        Presence::Default(text) => format!("`{text}`"),
        Presence::Depends(words) => words.to_owned(),
    }
}

/// A `|` ends a cell also inside code.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_is_up_to_date() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            written == reference_markdown(),
            "docs/configuration.md is not what the schema says; regenerate it with: cargo xtask docs"
        );
    }

    #[test]
    fn every_key_has_a_row() {
        let page = reference_markdown();
        for table in TABLES {
            for key in table.keys {
                assert!(
                    page.contains(&format!("\n| `{}` |", key.name)),
                    "{} of {}",
                    key.name,
                    table.name
                );
                assert!(key.about.ends_with('.'), "{} of {}", key.name, table.name);
            }
        }
    }
}
