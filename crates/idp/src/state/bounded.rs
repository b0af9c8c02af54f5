use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A map that forgets its oldest entries rather than grow past its bound.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    entries: HashMap<K, V>,
    order: VecDeque<K>,
    bound: usize,
}

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    pub(crate) fn new(bound: usize) -> Bounded<K, V> {
        Bounded {
            entries: HashMap::new(),
            order: VecDeque::new(),
            bound,
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.entries.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.entries.len() > self.bound
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        // Removed entries leave their place in the order behind.
        if self.order.len() > self.bound.saturating_mul(2) {
            self.order.retain(|key| self.entries.contains_key(key));
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        self.entries.retain(|_, value| keep(value));
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut map = Bounded::new(3);
        for n in 0..5 {
            map.insert(n, n);
        }
        assert_eq!(map.values().count(), 3);
        assert_eq!((map.get(&1), map.get(&2), map.get(&4)), (None, Some(&2), Some(&4)));
    }

    #[test]
    fn removal_does_not_let_it_grow() {
        let mut map = Bounded::new(3);
        for n in 0..1000 {
            map.insert(n, n);
            map.remove(&n);
        }
        assert!(map.order.len() <= 7, "{}", map.order.len());
        assert_eq!(map.values().count(), 0);
    }
}
