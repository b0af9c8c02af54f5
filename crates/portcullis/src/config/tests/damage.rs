//! A damaged configuration is a fault, never a panic, and shows no secret.

use super::{GOOD, read};
use crate::diagnostic::Style;

fn survives(text: &str) {
    if let Err(faults) = read(text) {
        assert!(faults.count() > 0);
        assert!(!faults.render(Style::Plain).contains("web-secret"), "{text}");
        assert!(!faults.to_json().to_string().contains("web-secret"), "{text}");
    }
}

#[test]
fn cut_off_anywhere() {
    for at in 0..GOOD.len() {
        survives(&GOOD[..at]);
        survives(&GOOD[at..]);
    }
}

#[test]
fn any_character_lost_or_another() {
    for at in 0..GOOD.len() {
        survives(&format!("{}{}", &GOOD[..at], &GOOD[at + 1..]));
        for other in ["\"", "[", "\n", "=", "é", "\u{0}", "'''"] {
            survives(&format!("{}{other}{}", &GOOD[..at], &GOOD[at + 1..]));
        }
    }
}

#[test]
fn any_value_of_another_type() {
    let lines: Vec<_> = GOOD.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once(" = ") else {
            continue;
        };
        for value in [
            "7",
            "-1",
            "1.5",
            "true",
            "[]",
            "{}",
            "\"\"",
            "[[]]",
            "[{}]",
            "{ a = { b = [1, { c = 2 }] } }",
            "1979-05-27",
            "\"é\\u0000\"",
            "[\n\n1,\n2]",
        ] {
            let changed = format!("{key} = {value}");
            let mut lines = lines.clone();
            lines[at] = &changed;
            survives(&lines.join("\n"));
        }
    }
}
