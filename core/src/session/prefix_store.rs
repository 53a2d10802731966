//! Beginnings of prompts that sessions of a model share: instructions are computed once.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::{KvCache, common_prefix};

/// Beginnings that are kept.
const ENTRIES: usize = 4;

/// A shorter beginning is computed as fast as it is found.
const LEAST_TOKENS: usize = 8;

/// Caches that hold the beginnings of prompts, the least recently used first. A session that starts
/// with the same tokens forks one: the pages are shared until a session writes to one.
pub(super) struct PrefixStore {
    entries: Mutex<Vec<KvCache>>,
    limit: u64,
}

impl PrefixStore {
    /// A store of at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            entries: Mutex::default(),
            limit,
        }
    }

    fn entries(&self) -> MutexGuard<'_, Vec<KvCache>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cache of its own with the longest stored beginning of `ids`; `None` when there is none
    /// worth having.
    pub fn find(&self, ids: &[u32]) -> Option<KvCache> {
        let mut entries = self.entries();
        let (at, tokens) = entries
            .iter()
            .map(|cache| common_prefix(cache.tokens(), ids))
            .enumerate()
            .max_by_key(|(_, tokens)| *tokens)?;
        if tokens < LEAST_TOKENS {
            return None;
        }
        let mut cache = entries[at].fork().ok()?;
        cache.truncate(tokens);
        let used = entries.remove(at);
        entries.push(used);
        Some(cache)
    }

    /// Keeps the first `tokens` tokens of `cache`, unless they are there or too many, and drops
    /// what was used longest ago beyond the bounds.
    pub fn keep(&self, cache: &KvCache, tokens: usize) {
        let Some(ids) = cache.tokens().get(..tokens) else {
            return;
        };
        let mut entries = self.entries();
        if tokens < LEAST_TOKENS || entries.iter().any(|kept| kept.tokens().starts_with(ids)) {
            return;
        }
        // A cache on a GPU cannot be forked.
        let Ok(mut prefix) = cache.fork() else {
            return;
        };
        prefix.truncate(tokens);
        if prefix.bytes() as u64 > self.limit {
            return;
        }
        entries.push(prefix);
        let bytes = |entries: &[KvCache]| entries.iter().map(|c| c.bytes() as u64).sum::<u64>();
        while entries.len() > ENTRIES || bytes(&entries) > self.limit {
            entries.remove(0);
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Compute, KvType, cpu};

    /// A cache with these tokens, two layers of one head of 32.
    fn cache(ids: &[u32]) -> KvCache {
        let compute = Compute::Cpu(cpu::Engine::new(1));
        let mut cache = KvCache::new(&compute, [(1, 32); 2].into_iter(), 256).expect("a cache");
        let bytes = vec![0; 2 * KvType::F16.position_bytes(1, 32)];
        for id in ids {
            cache.put(*id, &bytes).expect("fits");
        }
        cache
    }

    fn ids(first: u32) -> Vec<u32> {
        (first..first + 20).collect()
    }

    #[test]
    fn the_longest_common_beginning_is_found() {
        let store = PrefixStore::new(1 << 20);
        assert!(store.find(&ids(0)).is_none());
        store.keep(&cache(&ids(0)), 12);
        store.keep(&cache(&ids(0)), 20);
        let mut other = ids(0);
        other[15] = 99;
        assert_eq!(store.find(&other).expect("found").tokens(), &ids(0)[..15]);
        assert!(store.find(&ids(7)).is_none());
        assert!(store.find(&ids(0)[..5]).is_none(), "too short to matter");
        store.clear();
        assert!(store.find(&ids(0)).is_none());
    }

    #[test]
    fn entries_and_bytes_are_bounded_and_the_oldest_goes_first() {
        let page = cache(&ids(0)).bytes() as u64;
        for (limit, kept) in [(1 << 20, ENTRIES), (page * 2, 2), (page - 1, 0)] {
            let store = PrefixStore::new(limit);
            for first in 0..6 {
                store.keep(&cache(&ids(first * 100)), 20);
                // The first is used again and again.
                store.find(&ids(0));
            }
            let found = |first: u32| store.find(&ids(first * 100)).is_some();
            assert_eq!((0..6).filter(|first| found(*first)).count(), kept);
            assert_eq!(found(0), kept > 0, "what is used stays");
            assert_eq!(found(5), kept > 0, "what is new is there");
        }
    }
}
