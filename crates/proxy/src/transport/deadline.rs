//! A time-out that costs almost nothing where it never strikes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that moves with each request. The timer behind it is moved only when it rings too early, so a
/// connection that carries a thousand requests in a time-out's length touches the timer once.
#[derive(Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// From now on, `wait` is left. A wait beyond what a clock can hold never ends.
    pub(crate) fn set(&mut self, wait: Duration) {
        self.at = Instant::now().checked_add(wait);
    }

    /// Ready when the time is up; until then `cx` is woken when it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            timer.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn it_strikes_at_the_last_time_that_was_set() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        for (seconds, total) in [(30, 30), (5, 35), (300, 335)] {
            deadline.set(Duration::from_secs(seconds));
            poll_fn(|cx| deadline.poll(cx)).await;
            let elapsed = Instant::now().duration_since(start);
            assert!(elapsed >= Duration::from_secs(total), "{elapsed:?}");
            assert!(elapsed < Duration::from_secs(total + 1), "{elapsed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_moves_both_ways_while_the_timer_runs() {
        let start = Instant::now();
        let mut deadline = Deadline::default();
        let mut noop = Context::from_waker(std::task::Waker::noop());
        deadline.set(Duration::from_secs(30));
        assert!(deadline.poll(&mut noop).is_pending());
        deadline.set(Duration::from_secs(60));
        assert!(deadline.poll(&mut noop).is_pending());
        deadline.set(Duration::from_secs(10));
        poll_fn(|cx| deadline.poll(cx)).await;
        assert_eq!(Instant::now().duration_since(start).as_secs(), 10);
        deadline.set(Duration::MAX);
        assert!(deadline.poll(&mut noop).is_pending(), "never");
    }
}
