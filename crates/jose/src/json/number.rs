use std::fmt;

/// A JSON number (RFC 8259 s6): whole where it is written so and fits, else the nearest double.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number(Kind);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Unsigned(u64),
    Negative(i64),
    /// Finite.
    Double(f64),
}

impl Number {
    pub(super) fn unsigned(value: u64) -> Number {
        Number(Kind::Unsigned(value))
    }

    pub(super) fn signed(value: i64) -> Number {
        Number(match u64::try_from(value) {
            Ok(value) => Kind::Unsigned(value),
            Err(_) => Kind::Negative(value),
        })
    }

    /// `None` where it is not finite.
    pub(super) fn double(value: f64) -> Option<Number> {
        value.is_finite().then_some(Number(Kind::Double(value)))
    }

    /// The number, if it is whole and in the range.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self.0 {
            Kind::Unsigned(value) => i64::try_from(value).ok(),
            Kind::Negative(value) => Some(value),
            Kind::Double(_) => None,
        }
    }

    /// The number, or the double that is nearest to it.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the nearest is what is asked for")]
    pub fn as_f64(self) -> f64 {
        match self.0 {
            Kind::Unsigned(value) => value as f64,
            Kind::Negative(value) => value as f64,
            Kind::Double(value) => value,
        }
    }

    pub(super) fn to_json(self) -> serde_json::Value {
        match self.0 {
            Kind::Unsigned(value) => value.into(),
            Kind::Negative(value) => value.into(),
            Kind::Double(value) => value.into(),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}
