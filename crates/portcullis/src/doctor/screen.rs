//! Where a report is shown: with colours or without, and how wide.

use std::io::IsTerminal;

use super::causes::Likely;
use super::words::wrap;
use crate::config::Places;
use crate::diagnostic::{Diagnostic, SourceText, Style, render};

/// What is not a terminal is read by people all the same.
const PIPE: usize = 100;
/// Longer lines are hard to read, shorter ones hold no sentence.
const WIDTHS: (usize, usize) = (40, 120);
/// What stands left of a note.
const MARGIN: usize = 14;

/// How to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    pub(crate) style: Style,
    pub(crate) width: usize,
}

// === impl Screen ===

impl Screen {
    pub(crate) fn for_stream(stream: &impl IsTerminal) -> Screen {
        let size = stream.is_terminal().then(terminal_size::terminal_size).flatten();
        Screen {
            style: Style::for_stream(stream),
            width: size
                .map_or(PIPE, |(width, _)| usize::from(width.0))
                .clamp(WIDTHS.0, WIDTHS.1),
        }
    }

    /// Likely causes, each with its place in the configuration where it has one.
    pub(crate) fn causes(self, causes: &[Likely], places: &Places, source: &SourceText) -> String {
        let draw = |likely: &Likely| {
            let entry = likely.entry;
            let diagnostic = Diagnostic::new(entry.name, entry.title)
                .likely_cause()
                .note(self.wrapped("found", &likely.sign.found))
                .note(self.wrapped("cause", entry.cause))
                .help(self.wrapped("", entry.fix));
            let span = likely.sign.key.as_ref().and_then(|key| places.find(key));
            match span {
                Some(span) => render(&[diagnostic.at(span, "")], places.source(), self.style),
                None => render(&[diagnostic], source, self.style),
            }
        };
        causes.iter().map(draw).collect()
    }

    /// The likeliest cause, and the names of the others.
    pub(crate) fn likely(self, causes: &[Likely], places: &Places, source: &SourceText) -> String {
        let Some((first, others)) = causes.split_first() else {
            return String::new();
        };
        let mut out = self.causes(std::slice::from_ref(first), places, source);
        for other in others {
            out.push_str(&format!("also possible: {}: {}\n", other.entry.name, other.entry.title));
        }
        if !others.is_empty() {
            out.push('\n');
        }
        out
    }

    /// A text with what it is, in lines of the screen's width.
    pub(crate) fn wrapped(self, what: &str, text: &str) -> String {
        let text = super::words::tidy_long(text);
        let text = if what.is_empty() {
            text
        } else {
            format!("{what}: {text}")
        };
        wrap(&text, self.width.saturating_sub(MARGIN)).join("\n")
    }
}
