//! The links between the repository's texts: every file and every heading that one points to must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::sh::{self, Failure, Outcome};

/// Where texts are kept; of `.`, only the files themselves.
const PLACES: &[&str] = &["docs", "web", "interop", "examples", "bench", "deploy", "crates"];

/// Checks all of them and names each link that leads nowhere.
pub(crate) fn check() -> Outcome {
    let root = sh::root();
    let mut files = Vec::new();
    markdown(root, false, &mut files)?;
    for place in PLACES {
        markdown(&root.join(place), true, &mut files)?;
    }
    let mut texts = BTreeMap::new();
    for file in files {
        texts.insert(file.clone(), sh::read(&file)?);
    }
    let mut wrong = Vec::new();
    for (file, text) in &texts {
        for link in links(text) {
            if let Some(why) = broken(root, file, &link, &texts) {
                wrong.push(format!(
                    "  {}: {link}: {why}",
                    file.strip_prefix(root).unwrap_or(file).display()
                ));
            }
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Failure(format!("links that lead nowhere:\n{}", wrong.join("\n"))))
    }
}

fn markdown(directory: &Path, deep: bool, files: &mut Vec<PathBuf>) -> Outcome {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if deep && name != "node_modules" && !name.starts_with('.') {
                markdown(&path, deep, files)?;
            }
        } else if name.ends_with(".md") {
            files.push(path);
        }
    }
    Ok(())
}

fn broken(root: &Path, file: &Path, link: &str, texts: &BTreeMap<PathBuf, String>) -> Option<String> {
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let aim = if path.is_empty() {
        file.to_path_buf()
    } else {
        plain(&file.parent().unwrap_or(root).join(path))
    };
    if !aim.starts_with(root) {
        return Some("outside the repository".to_owned());
    }
    if !aim.exists() {
        return Some("no such file".to_owned());
    }
    let (Some(anchor), Some(text)) = (anchor, texts.get(&aim)) else {
        return None;
    };
    (!anchors(text).contains(anchor)).then(|| "no such heading".to_owned())
}

/// Resolves `.` and `..` by the text alone.
fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// Targets of `[text](target)` and of `src="target"`, outside code, that are not on the net.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for rest in line.split(opening).skip(1) {
                let Some((target, _)) = rest.split_once(closing) else {
                    continue;
                };
                let target = target.split_whitespace().next().unwrap_or("");
                let far = target.contains("://") || target.starts_with("mailto:");
                if !target.is_empty() && !far {
                    found.push(target.to_owned());
                }
            }
        }
    }
    found
}

/// The anchors that a renderer makes of the headings, and those that are written out.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(text) {
        for rest in line.split("id=\"").skip(1) {
            found.extend(rest.split_once('"').map(|(id, _)| id.to_owned()));
        }
    }
    // Code inside a heading counts as text.
    for line in outside_fences(text) {
        let Some(heading) = line
            .trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
        else {
            continue;
        };
        // mdBook: `## Heading {#name}`.
        let (heading, named) = heading.split_once("{#").unwrap_or((heading, ""));
        found.extend(named.split_once('}').map(|(id, _)| id.to_owned()));
        let kept = heading.trim().to_lowercase();
        let kept = kept
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        found.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    found
}

fn outside_fences(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The lines without code: fenced blocks and what stands between backticks.
fn prose(text: &str) -> Vec<String> {
    outside_fences(text)
        .map(|line| line.split('`').step_by(2).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# The `one` page\n[a](b.md#c) `[x](no.md)` <img src=\"i.png\">\n```\n[y](no.md)\n```\n[w](https://e.org)\n\
                        ## token.expired <a id=\"here\"></a>\n[d](#d \"title\")\n### `x.y` {#x-y}\n";

    #[test]
    fn links_are_found_outside_code() {
        assert_eq!(links(TEXT), ["b.md#c", "i.png", "#d"]);
    }

    #[test]
    fn anchors_are_those_of_a_renderer() {
        let found = anchors(TEXT);
        for anchor in ["the-one-page", "here", "x-y", "xy"] {
            assert!(found.contains(anchor), "{anchor} in {found:?}");
        }
    }

    #[test]
    fn a_link_must_lead_to_a_file_and_a_heading() {
        let root = Path::new("/nowhere");
        let file = root.join("docs/a.md");
        let texts = BTreeMap::from([(file.clone(), "# Top\n".to_owned())]);
        let why = |link: &str| broken(root, &file, link, &texts);
        assert_eq!(why("b.md").as_deref(), Some("no such file"));
        assert_eq!(why("../../x.md").as_deref(), Some("outside the repository"));
        assert_eq!(plain(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert!(anchors("# Top\n").contains("top"));
    }
}
