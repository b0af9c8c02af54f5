use std::sync::atomic::{AtomicU64, Ordering};

/// Counters under a fixed set of names: no lock, and nothing that grows.
#[derive(Debug)]
pub(super) struct Tally(Box<[(&'static str, AtomicU64)]>);

impl Tally {
    pub(super) fn new(names: impl Iterator<Item = &'static str>) -> Self {
        let mut counters: Vec<_> = names.map(|name| (name, AtomicU64::new(0))).collect();
        counters.sort_by_key(|(name, _)| *name);
        Self(counters.into_boxed_slice())
    }

    /// A name outside the set is not counted.
    pub(super) fn add(&self, name: &str) {
        if let Some(counter) = self.counter(name) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, name: &str) -> u64 {
        self.counter(name).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Those above zero, by name.
    pub(super) fn counted(&self) -> Vec<(&'static str, u64)> {
        self.0
            .iter()
            .map(|(name, counter)| (*name, counter.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn counter(&self, name: &str) -> Option<&AtomicU64> {
        let at = self.0.binary_search_by_key(&name, |(name, _)| name).ok()?;
        self.0.get(at).map(|(_, counter)| counter)
    }
}
