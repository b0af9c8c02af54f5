use std::sync::Mutex;

use portcullis_jose::UnixTime;

/// Lets a small burst through, then one in `period` seconds.
#[derive(Debug)]
pub(crate) struct Throttle {
    burst: i64,
    period: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: i64,
    refilled: UnixTime,
}

impl Throttle {
    pub(crate) fn new(burst: i64, period: i64, now: UnixTime) -> Throttle {
        Throttle {
            burst,
            period,
            state: Mutex::new(State {
                tokens: burst,
                refilled: now,
            }),
        }
    }

    pub(crate) fn allow(&self, now: UnixTime) -> bool {
        // A poisoned lock throttles: it fails closed.
        let Ok(mut state) = self.state.lock() else {
            return false;
        };
        let gained = now.since(state.refilled).max(0) / self.period;
        if gained > 0 {
            state.tokens = state.tokens.saturating_add(gained).min(self.burst);
            state.refilled = state.refilled.plus(gained.saturating_mul(self.period));
        }
        if state.tokens == 0 {
            return false;
        }
        state.tokens -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_in_a_period() {
        let at = UnixTime::from_secs;
        let throttle = Throttle::new(2, 30, at(0));
        assert!(throttle.allow(at(0)) && throttle.allow(at(1)));
        assert!(!throttle.allow(at(2)) && !throttle.allow(at(29)));
        assert!(throttle.allow(at(30)) && !throttle.allow(at(31)));
        assert!(throttle.allow(at(1000)) && throttle.allow(at(1000)) && !throttle.allow(at(1000)));
    }

    #[test]
    fn a_clock_that_goes_back_grants_nothing() {
        let at = UnixTime::from_secs;
        let throttle = Throttle::new(1, 30, at(1000));
        assert!(throttle.allow(at(1000)));
        assert!(!throttle.allow(at(0)) && !throttle.allow(at(999)));
    }
}
