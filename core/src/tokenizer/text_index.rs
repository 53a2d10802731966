//! Hash tables over keys that come from a file: quick, and seeded so that a file cannot aim for
//! collisions.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Ids by text, in an open-addressing table of 4-byte slots: the texts stay where they are, so
/// the table of 150,000 tokens takes 2 MiB. The hash is seeded, so a file cannot aim for collisions.
#[derive(Debug)]
pub(super) struct TextIndex {
    slots: Vec<u32>,
    hash: SeededHash,
}

/// A slot that is free.
const FREE: u32 = u32::MAX;

impl TextIndex {
    /// A table for `count` ids.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            slots: vec![FREE; (count * 2).next_power_of_two()],
            hash: SeededHash::new(),
        }
    }

    /// The slot of `text`: the one that holds its id, or the free one where it belongs.
    fn slot<'t>(&self, text: &str, text_of: impl Fn(u32) -> Option<&'t str>) -> usize {
        let mask = self.slots.len() - 1;
        let mut hasher = self.hash.build_hasher();
        hasher.write(text.as_bytes());
        let mut slot = hasher.finish() as usize & mask;
        while self.slots[slot] != FREE && text_of(self.slots[slot]) != Some(text) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    pub(super) fn find<'t>(
        &self,
        text: &str,
        text_of: impl Fn(u32) -> Option<&'t str>,
    ) -> Option<u32> {
        let id = self.slots[self.slot(text, text_of)];
        (id != FREE).then_some(id)
    }

    /// Adds an id, or gives the one that already has this text.
    pub(super) fn insert<'t>(
        &mut self,
        text: &str,
        id: u32,
        text_of: impl Fn(u32) -> Option<&'t str>,
    ) -> Result<(), u32> {
        let slot = self.slot(text, text_of);
        match self.slots[slot] {
            FREE => {
                self.slots[slot] = id;
                Ok(())
            }
            first => Err(first),
        }
    }
}

/// Builds [`KeyHasher`]s of one seed.
#[derive(Debug, Clone)]
pub(super) struct SeededHash {
    seed: u64,
    /// Odd, so that multiplying by it loses nothing.
    factor: u64,
}

impl SeededHash {
    /// A hash with a seed of its own.
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self {
            seed: random.hash_one(0),
            factor: random.hash_one(1) | 1,
        }
    }
}

impl BuildHasher for SeededHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher {
            state: self.seed,
            factor: self.factor,
        }
    }
}

/// Multiplies in 128 bits and folds the halves: 1 ns for a pair of ids, where SipHash takes 10.
#[derive(Debug)]
pub(super) struct KeyHasher {
    state: u64,
    factor: u64,
}

impl Hasher for KeyHasher {
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.state ^ value) * u128::from(self.factor);
        self.state = (product as u64) ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }

    fn finish(&self) -> u64 {
        self.state
    }
}
