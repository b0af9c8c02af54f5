//! Messages about a text file, in the way compilers write them: what is wrong, the line, what to do.
//!
//! ```
//! use portcullis::diagnostic::{Diagnostic, SourceText, Style, render};
//!
//! let source = SourceText::new("portcullis.toml", "[sever]\n");
//! let fault = Diagnostic::new("config.unknown_key", "unknown table `sever`").at(1..6, "did you mean `server`?");
//! let text = render(&[fault], &source, Style::Plain);
//! assert!(text.starts_with("error[config.unknown_key]: unknown table `sever`\n --> portcullis.toml:1:2\n"));
//! ```

use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

/// One finding about a [`SourceText`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    code: &'static str,
    loudness: Loudness,
    message: String,
    place: Place,
    related: Vec<(Range<usize>, String)>,
    expected: Option<String>,
    notes: Vec<String>,
    nearest: Option<String>,
    help: Vec<String>,
}

/// A file's name and its text, which is shown as it stands: mask what nobody may read before it gets here.
#[derive(Clone, Debug, Default)]
pub struct SourceText {
    name: String,
    text: String,
}

/// A place in a text; both count from one, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// With colours or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// No escape sequences: for pipes, files and `NO_COLOR`.
    Plain,
    /// ANSI colours: for terminals.
    Colour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loudness {
    Error,
    Warning,
    LikelyCause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// The file as a whole could not be looked at.
    Nowhere,
    /// Something that is absent from the file.
    File,
    At(Range<usize>, String),
}

/// Renders all of them, each followed by an empty line.
#[must_use]
pub fn render(diagnostics: &[Diagnostic], source: &SourceText, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&diagnostic.render(source, &renderer));
        out.push_str("\n\n");
    }
    out
}

// === impl Diagnostic ===

impl Diagnostic {
    /// A finding with a stable code.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            loudness: Loudness::Error,
            message: message.into(),
            place: Place::Nowhere,
            related: Vec::new(),
            expected: None,
            notes: Vec::new(),
            nearest: None,
            help: Vec::new(),
        }
    }

    /// Says it as a warning: something works, and should be looked at.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.loudness = Loudness::Warning;
        self
    }

    /// Says it as what probably led to something else.
    #[must_use]
    pub fn likely_cause(mut self) -> Self {
        self.loudness = Loudness::LikelyCause;
        self
    }

    /// Points at bytes of the text; the label stands beside the caret.
    #[must_use]
    pub fn at(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.place = Place::At(span, label.into());
        self
    }

    /// Says that something is absent from the whole file.
    #[must_use]
    pub fn in_file(mut self) -> Self {
        self.place = Place::File;
        self
    }

    /// Points at a second place that explains the first.
    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What else is to be known.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The name that was probably meant.
    #[must_use]
    pub fn nearest(mut self, nearest: Option<&str>) -> Self {
        self.nearest = nearest.map(str::to_owned);
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// The stable code, for example `config.unknown_key`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The name that was probably meant.
    #[must_use]
    pub fn nearest_name(&self) -> Option<&str> {
        self.nearest.as_deref()
    }

    /// Where it is, unless the file could not be looked at.
    #[must_use]
    pub fn position(&self, source: &SourceText) -> Option<Position> {
        match &self.place {
            Place::Nowhere => None,
            Place::File => Some(Position { line: 1, column: 1 }),
            Place::At(span, _) => Some(source.position(span.start)),
        }
    }

    /// The same content for programs.
    #[must_use]
    pub fn to_json(&self, source: &SourceText) -> serde_json::Value {
        let position = self.position(source);
        let label = match &self.place {
            Place::At(_, label) if !label.is_empty() => Some(label.as_str()),
            _ => None,
        };
        serde_json::json!({
            "code": self.code,
            "message": self.message,
            "line": position.map(|at| at.line),
            "column": position.map(|at| at.column),
            "label": label,
            "expected": self.expected,
            "nearest": self.nearest,
            "help": self.help,
        })
    }

    /// Order in which a reader meets them: by place, what is absent from the file first.
    pub(crate) fn order(&self) -> usize {
        match &self.place {
            Place::At(span, _) => span.start.saturating_add(1),
            Place::Nowhere | Place::File => 0,
        }
    }

    fn render(&self, source: &SourceText, renderer: &Renderer) -> String {
        let level = match self.loudness {
            Loudness::Error => Level::ERROR,
            Loudness::Warning => Level::WARNING,
            Loudness::LikelyCause => Level::HELP.with_name("likely cause"),
        };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let mut group = match &self.place {
            Place::Nowhere => title.element(Origin::path(source.name.as_str())),
            Place::File => title.element(Origin::path(source.name.as_str()).line(1).char_column(1)),
            Place::At(span, label) => {
                let mark = AnnotationKind::Primary.span(source.first_line_of(span));
                let mut snippet = Snippet::source(source.text.as_str())
                    .path(source.name.as_str())
                    .annotation(mark.label(some(label)));
                for (span, label) in &self.related {
                    let mark = AnnotationKind::Context.span(source.first_line_of(span));
                    snippet = snippet.annotation(mark.label(some(label)));
                }
                title.element(snippet)
            }
        };
        if let Some(expected) = &self.expected {
            group = group.element(Level::NOTE.message(format!("expected {expected}")));
        }
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

fn some(label: &str) -> Option<&str> {
    (!label.is_empty()).then_some(label)
}

// === impl SourceText ===

impl SourceText {
    /// A text and the name to show for it.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }

    /// The name to show.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Line and column of a byte.
    #[must_use]
    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = self.text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        Position {
            line: before.matches('\n').count() + 1,
            column,
        }
    }

    /// A span over several lines is pointed at by its first line: the rest is noise.
    fn first_line_of(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.min(self.text.len());
        let end = span.end.clamp(start, self.text.len());
        let line = self.text.get(start..end).unwrap_or_default().split(['\r', '\n']).next();
        start..start + line.unwrap_or_default().len()
    }
}

// === impl Style ===

impl Style {
    /// Colours on a terminal, unless `NO_COLOR` (<https://no-color.org>) is set or the terminal is dumb.
    #[must_use]
    pub fn for_stream(stream: &impl IsTerminal) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self::choose(stream.is_terminal(), no_color || dumb)
    }

    /// A word about what is as it should be.
    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// A word about what should be looked at.
    pub(crate) fn uncertain(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    /// A heading.
    pub(crate) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// What is of less weight.
    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A word about what is not.
    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn paint(self, colour: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{colour}m{text}\u{1b}[0m"),
        }
    }

    fn choose(terminal: bool, refused: bool) -> Self {
        if terminal && !refused {
            Self::Colour
        } else {
            Self::Plain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_offsets_past_the_end_are_the_end() {
        let source = SourceText::new("f", "ä = 1\nöß = 2\n");
        assert_eq!(source.position(0), Position { line: 1, column: 1 });
        assert_eq!(source.position("ä = 1\nö".len()), Position { line: 2, column: 2 });
        assert_eq!(source.position(999), Position { line: 3, column: 1 });
    }

    #[test]
    fn a_terminal_gets_colours_and_a_pipe_does_not() {
        assert_eq!(Style::choose(true, false), Style::Colour);
        assert_eq!(Style::choose(true, true), Style::Plain);
        assert_eq!(Style::choose(false, false), Style::Plain);
        let fault = [Diagnostic::new("x.y", "wrong").at(0..1, "here")];
        let source = SourceText::new("f", "a\n");
        assert!(!render(&fault, &source, Style::Plain).contains('\u{1b}'));
        assert!(render(&fault, &source, Style::Colour).contains("\u{1b}["));
    }

    #[test]
    fn a_finding_is_drawn_with_its_line_and_its_help() {
        let source = SourceText::new("f.toml", "a = 1\nb = [\n 1,\n]\n");
        let fault = Diagnostic::new("x.y", "`b` is wrong")
            .at(10..17, "found a list")
            .related(0..1, "because of this")
            .expected("a number")
            .help("write one");
        let expected = "\
error[x.y]: `b` is wrong
 --> f.toml:2:5
  |
1 | a = 1
  | - because of this
2 | b = [
  |     ^ found a list
  |
  = note: expected a number
  = help: write one

";
        assert_eq!(render(std::slice::from_ref(&fault), &source, Style::Plain), expected);
        assert_eq!(
            fault.to_json(&source),
            serde_json::json!({
                "code": "x.y", "message": "`b` is wrong", "line": 2, "column": 5, "label": "found a list",
                "expected": "a number", "nearest": null, "help": ["write one"],
            })
        );
    }

    #[test]
    fn what_is_absent_points_at_the_file_and_an_unreadable_file_at_no_line() {
        let source = SourceText::new("f.toml", "");
        let absent = Diagnostic::new("x.y", "nothing there").in_file();
        assert_eq!(
            render(std::slice::from_ref(&absent), &source, Style::Plain),
            "error[x.y]: nothing there\n--> f.toml:1:1\n\n"
        );
        assert_eq!(absent.to_json(&source)["line"], 1);
        let unreadable = Diagnostic::new("x.y", "cannot read");
        assert_eq!(unreadable.to_json(&source)["line"], serde_json::Value::Null);
    }
}
