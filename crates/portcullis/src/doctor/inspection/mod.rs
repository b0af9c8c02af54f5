//! A token laid open for a person, and verified where keys were named.

mod render;
mod verify;

use portcullis_jose::UnixTime;
use serde_json::{Map, Value, json};

use super::causes::{self, Case, Likely};
use super::token::{Decoded, Kind, Written};
use super::words;
use crate::config::Places;

pub(crate) use render::render;
pub(crate) use verify::{Keys, Verification};

pub(crate) const WARNING: &str = "A real token belongs in no web site: who has it can use it until it expires. It \
                                  was read here, and sent nowhere.";

/// Everything that is told of a token.
pub(crate) struct Inspection {
    pub(crate) token: Decoded,
    pub(crate) kind: Kind,
    pub(crate) because: String,
    pub(crate) now: UnixTime,
    pub(crate) wrong: Vec<Likely>,
    pub(crate) verification: Verification,
}

// === impl Inspection ===

impl Inspection {
    pub(crate) fn of(written: &Written, now: UnixTime, verification: Verification) -> Inspection {
        let token = Decoded::of(written.token.expose());
        let (kind, because) = Kind::of(&token);
        let mut wrong = causes::likely(&Case::alone(&token, &written.slips, now));
        wrong.retain(|likely| likely.entry.on_its_face);
        Inspection {
            token,
            kind,
            because,
            now,
            wrong,
            verification,
        }
    }

    /// Nothing is wrong with it on its face, and it was verified if that was asked.
    pub(crate) fn is_good(&self) -> bool {
        let failed = matches!(self.verification, Verification::Failed { .. });
        self.wrong.is_empty() && self.token.faults.is_empty() && !failed
    }

    /// From when to when it lives, where it says so.
    pub(crate) fn lifetime(&self) -> Option<(i64, i64)> {
        let (from, until) = (
            self.token.time("iat").or_else(|| self.token.time("nbf"))?,
            self.token.time("exp")?,
        );
        let is_time = |time| words::time(time, self.now).is_some();
        (from < until && is_time(from) && is_time(until)).then_some((from, until))
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut times = Map::new();
        for name in TIMES {
            let Some(time) = self.token.time(name) else { continue };
            let told = words::time(time, self.now).map(|_| {
                json!({
                    "seconds": time,
                    "time": portcullis_audit::rfc3339(UnixTime::from_secs(time)),
                    "relative": words::relative(UnixTime::from_secs(time), self.now),
                })
            });
            times.insert(name.to_owned(), told.unwrap_or_else(|| json!({ "seconds": time })));
        }
        let lifetime = self.lifetime().map(|(from, until)| {
            json!({
                "seconds": until - from,
                "left": (until - self.now.as_secs()).max(0),
            })
        });
        let wrong: Vec<Value> = self
            .wrong
            .iter()
            .map(|likely| likely_json(likely, &Places::default()))
            .collect();
        let faults = self.token.faults.iter();
        let faults: Vec<Value> = faults
            .map(|fault| json!({ "code": fault.code(), "message": fault.to_string() }))
            .collect();
        json!({
            "kind": self.kind.name(),
            "because": self.because,
            "header": self.token.header,
            "claims": self.token.claims,
            "times": times,
            "lifetime": lifetime,
            "signature": self.verification.to_json(self.token.signature.len()),
            "wrong": wrong,
            "faults": faults,
            "good": self.is_good(),
            "warning": WARNING,
        })
    }
}

/// Claims that are times.
pub(crate) const TIMES: [&str; 5] = ["exp", "nbf", "iat", "auth_time", "updated_at"];

/// A likely cause for programs.
pub(crate) fn likely_json(likely: &Likely, places: &Places) -> Value {
    let entry = likely.entry;
    let span = likely.sign.key.as_ref().and_then(|key| places.find(key));
    json!({
        "name": entry.name,
        "title": entry.title,
        "found": words::tidy_long(&likely.sign.found),
        "cause": entry.cause,
        "fix": entry.fix,
        "line": span.map(|span| places.source().position(span.start).line),
    })
}
