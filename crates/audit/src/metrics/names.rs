use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// No configuration has more routes, frontends or providers; if a name ever came from outside, the series would end here.
const MOST: usize = 512;

/// What is counted for names beyond the limit.
const OTHER: &str = "other";

/// One set of counters for each name of the configuration.
#[derive(Debug)]
pub(super) struct Names<T>(RwLock<BTreeMap<Box<str>, Arc<T>>>);

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Default> Names<T> {
    pub(super) fn get(&self, name: &str) -> Arc<T> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let name = if names.len() < MOST { name } else { OTHER };
        Arc::clone(names.entry(name.into()).or_default())
    }

    pub(super) fn all(&self) -> Vec<(Box<str>, Arc<T>)> {
        let names = self.0.read().unwrap_or_else(PoisonError::into_inner);
        names
            .iter()
            .map(|(name, value)| (name.clone(), Arc::clone(value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_share_one_place() {
        let names = Names::<u8>::default();
        for i in 0..10_000 {
            let _ = names.get(&format!("route-{i}"));
        }
        assert_eq!(names.all().len(), MOST + 1);
        assert!(Arc::ptr_eq(&names.get("route-9999"), &names.get(OTHER)));
        assert!(!Arc::ptr_eq(&names.get("route-1"), &names.get(OTHER)));
    }
}
