//! Which policy decides about a call, by method and path.

use std::cmp::Ordering;
use std::fmt;

/// A path of a route: `/orders`, `/orders/{id}/lines`, `/files/{*rest}`.
///
/// - Without braces it covers itself and everything below it: `/orders` covers `/orders/7`, and not `/orders2`.
/// - With braces it is compared from the first to the last segment: `{id}` stands for exactly one segment, `{*rest}`,
///   at the end, for one or more. The syntax is axum's.
///
/// Paths are compared by whole segments, without regard to case, and a slash at the end makes no difference: many
/// programs take `/Orders/` for `/orders`, and the rule for one must hold for the other. Give it paths in normal form
/// (no `//`, no dot segments, nothing encoded that need not be).
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    end: End,
}

#[derive(Clone, Debug)]
enum Segment {
    Literal(Box<str>),
    Any,
}

/// What may follow the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Nothing,
    /// `{*rest}`: at least one more.
    More,
    /// A path without braces.
    Anything,
}

/// Why a path of a route cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternFault {
    /// It does not begin with a slash.
    #[error("must begin with `/`")]
    Relative,
    /// A slash at the end.
    #[error("leave out the `/` at the end: it makes no difference")]
    SlashAtEnd,
    /// Two slashes in a row.
    #[error("has `//`, which no request has")]
    EmptySegment,
    /// A dot segment.
    #[error("has `.` or `..`, which no request has")]
    DotSegment,
    /// `*` as in other programs.
    #[error("has a `*` of its own: everything below is `{{*rest}}`, and a path without braces includes it")]
    Star,
    /// Braces around a part of a segment, around nothing, or not closed.
    #[error("has braces that are not a whole segment with a name, such as `{{id}}`")]
    Braces,
    /// `{*rest}` before the end.
    #[error("has `{{*...}}` before its end")]
    RestInside,
    /// A character that would not arrive like this.
    #[error("has a character that has a meaning of its own, or must be encoded")]
    Character,
}

/// Which policy decides about which calls. What has no policy is refused.
///
/// ```
/// use portcullis_policy::{Decision, PathPattern, RouteTable};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut routes = RouteTable::new();
/// routes.add(&["GET"], PathPattern::parse("/orders")?, "ReadOrders")?;
/// routes.add(&["DELETE"], PathPattern::parse("/orders/{id}")?, "DeleteOrders")?;
///
/// assert_eq!(routes.decide("GET", "/orders/7"), Decision::Policy(&"ReadOrders"));
/// assert_eq!(routes.decide("DELETE", "/orders/7"), Decision::Policy(&"DeleteOrders"));
/// assert_eq!(routes.decide("DELETE", "/orders"), Decision::MethodNotAllowed);
/// assert_eq!(routes.decide("GET", "/customers"), Decision::NoPolicy);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RouteTable<P> {
    /// The most specific first.
    rows: Vec<Row<P>>,
}

#[derive(Clone, Debug)]
struct Row<P> {
    path: PathPattern,
    /// Empty: all.
    methods: Box<[Box<str>]>,
    policy: P,
}

/// What a [`RouteTable`] says about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision<'t, P> {
    /// This policy decides.
    Policy(&'t P),
    /// The path has policies, for other methods.
    MethodNotAllowed,
    /// Nothing was said about the path.
    NoPolicy,
}

/// Two routes that claim the same calls.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the routes `{first}` and `{second}` are the same, with a method in common")]
#[non_exhaustive]
pub struct RouteConflict {
    /// The route that was there before.
    pub first: Box<str>,
    /// The route that was to be added.
    pub second: Box<str>,
}

// === impl PathPattern ===

impl PathPattern {
    /// Reads a path of a route.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<PathPattern, PatternFault> {
        let rest = text.strip_prefix('/').ok_or(PatternFault::Relative)?;
        let mut segments = Vec::new();
        let mut end = End::Anything;
        let mut parts = rest.split('/').peekable();
        // The root has one segment, which is empty.
        while let Some(part) = parts.next().filter(|_| !rest.is_empty()) {
            let last = parts.peek().is_none();
            if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                let star = name.strip_prefix('*');
                if !is_name(star.unwrap_or(name)) {
                    return Err(PatternFault::Braces);
                }
                match star {
                    Some(_) if !last => return Err(PatternFault::RestInside),
                    Some(_) => end = End::More,
                    None => {
                        segments.push(Segment::Any);
                        end = End::Nothing;
                    }
                }
                continue;
            }
            match part {
                "" if last => return Err(PatternFault::SlashAtEnd),
                "" => return Err(PatternFault::EmptySegment),
                "." | ".." => return Err(PatternFault::DotSegment),
                "*" | "**" => return Err(PatternFault::Star),
                _ if part.contains(['{', '}']) => return Err(PatternFault::Braces),
                _ if !part.chars().all(is_plain) => return Err(PatternFault::Character),
                _ => segments.push(Segment::Literal(part.into())),
            }
        }
        Ok(PathPattern {
            text: text.into(),
            segments: segments.into(),
            end,
        })
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the path is one of those that are meant.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else {
            return false;
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // Of the root nothing is left, which is no segment.
        let mut given = rest.split('/').filter(|_| !rest.is_empty());
        let all = self.segments.iter().all(|segment| match (segment, given.next()) {
            (Segment::Any, Some(given)) => !given.is_empty(),
            (Segment::Literal(own), Some(given)) => own.eq_ignore_ascii_case(given),
            (_, None) => false,
        });
        all && match self.end {
            End::Nothing => given.next().is_none(),
            End::More => given.next().is_some(),
            End::Anything => true,
        }
    }

    /// Whether two paths mean the same calls: they differ in nothing but the names in braces, and case.
    #[must_use]
    pub fn is_same(&self, other: &PathPattern) -> bool {
        let same = |pair: (&Segment, &Segment)| match pair {
            (Segment::Any, Segment::Any) => true,
            (Segment::Literal(a), Segment::Literal(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        };
        self.end == other.end
            && self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(same)
    }

    /// `Less` for the one that decides where both match: from the left, text comes before `{name}`, that before
    /// `{*rest}`, and that before what a path without braces includes.
    fn precedence(&self, other: &PathPattern) -> Ordering {
        let rank = |path: &PathPattern, at: usize| match (path.segments.get(at), path.end) {
            (Some(Segment::Literal(_)), _) => 0,
            (Some(Segment::Any), _) => 1,
            (None, End::Nothing) => 0,
            (None, End::More) => 2,
            (None, End::Anything) => 3,
        };
        let longest = self.segments.len().max(other.segments.len());
        (0..=longest)
            .map(|at| rank(self, at).cmp(&rank(other, at)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl RouteTable ===

impl<P> RouteTable<P> {
    /// A table without routes: everything is refused.
    #[must_use]
    pub fn new() -> RouteTable<P> {
        RouteTable { rows: Vec::new() }
    }

    /// Adds a route. Without methods it is for all those that no other route of the same path names; `GET` is for `HEAD`
    /// too, unless that is named (RFC 9110 s9.3.2: the same without the content).
    ///
    /// # Errors
    ///
    /// There is one already for the same path and method.
    pub fn add(&mut self, methods: &[&str], path: PathPattern, policy: P) -> Result<(), RouteConflict> {
        let common = |row: &Row<P>| match (methods.is_empty(), row.methods.is_empty()) {
            (true, true) => true,
            (false, false) => methods.iter().any(|method| row.names(method)),
            _ => false,
        };
        if let Some(first) = self.rows.iter().find(|row| row.path.is_same(&path) && common(row)) {
            return Err(RouteConflict {
                first: first.path.text.clone(),
                second: path.text,
            });
        }
        let row = Row {
            path,
            methods: methods.iter().map(|method| (*method).into()).collect(),
            policy,
        };
        let at = self.rows.partition_point(|other| other.before(&row));
        self.rows.insert(at, row);
        Ok(())
    }

    /// Which policy decides about a call. Among the routes that match, the most specific path does.
    #[must_use]
    pub fn decide(&self, method: &str, path: &str) -> Decision<'_, P> {
        let mut on_path = self.rows.iter().filter(|row| row.path.matches(path)).peekable();
        if on_path.peek().is_none() {
            return Decision::NoPolicy;
        }
        match on_path.find(|row| row.takes(method)) {
            Some(row) => Decision::Policy(&row.policy),
            None => Decision::MethodNotAllowed,
        }
    }

    /// The same routes, with what `find` makes of their policies.
    ///
    /// # Errors
    ///
    /// The first of `find`.
    pub fn try_map<Q, E>(&self, mut find: impl FnMut(&P) -> Result<Q, E>) -> Result<RouteTable<Q>, E> {
        let rows = self.rows.iter().map(|row| {
            Ok(Row {
                path: row.path.clone(),
                methods: row.methods.clone(),
                policy: find(&row.policy)?,
            })
        });
        Ok(RouteTable {
            rows: rows.collect::<Result<_, E>>()?,
        })
    }

    /// Which of these methods have a policy on a path, for `Allow` (RFC 9110 s10.2.1).
    #[must_use]
    pub fn allowed<'m>(&self, methods: &'m [&'m str], path: &str) -> Vec<&'m str> {
        let decided = |method: &&&str| matches!(self.decide(method, path), Decision::Policy(_));
        methods.iter().filter(decided).copied().collect()
    }

    /// The policies, each as often as there are routes with it.
    pub fn policies(&self) -> impl Iterator<Item = &P> {
        self.rows.iter().map(|row| &row.policy)
    }
}

impl<P> Default for RouteTable<P> {
    fn default() -> RouteTable<P> {
        RouteTable::new()
    }
}

impl<P> Row<P> {
    fn names(&self, method: &str) -> bool {
        self.methods.iter().any(|own| **own == *method)
    }

    /// A method in small letters is none (RFC 9110 s9.1), but whoever serves the call may take `delete` for `DELETE`: it does
    /// not pass by the row for all other methods.
    fn takes(&self, method: &str) -> bool {
        let known = !method.bytes().any(|byte| byte.is_ascii_lowercase());
        known && (self.methods.is_empty() || self.names(method) || (method == "HEAD" && self.names("GET")))
    }

    /// Whether it is asked before the other one.
    fn before(&self, other: &Row<P>) -> bool {
        // Of one path, what names methods comes before what takes the others, and HEAD's own before GET's.
        let rank = |row: &Row<P>| (row.methods.is_empty(), !row.names("HEAD"));
        let order = self.path.precedence(&other.path);
        order.then_with(|| rank(self).cmp(&rank(other))).is_le()
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What a request's path in normal form has as it is.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()+,=:@".contains(c)
}
