//! Merging adjacent symbols, best pair first: the loop that byte-pair encoding and SentencePiece's
//! BPE share.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A symbol of the text being merged: a token, or a character that is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol {
    /// The token, or [`NO_TOKEN`].
    pub(super) id: u32,
    /// Where the symbol starts in the text, in bytes.
    pub(super) start: u32,
    /// Its length in bytes; 0 once it has been merged into the symbol before it.
    pub(super) len: u32,
    previous: u32,
    next: u32,
}

/// The id of a symbol that is no token.
pub(super) const NO_TOKEN: u32 = u32::MAX;
/// The neighbour of the first and of the last symbol.
const NONE: u32 = u32::MAX;

/// A pair that may merge.
pub(super) struct Merge {
    /// Lower is better; of equal pairs the one further left is merged first.
    pub(super) rank: u32,
    /// The token the pair becomes.
    pub(super) id: u32,
}

/// A merge waiting for its turn.
#[derive(Debug, PartialEq, Eq)]
struct Pending {
    rank: u32,
    left: u32,
    right: u32,
    id: u32,
    /// The length of the pair when it was found: another length means that one side has changed.
    len: u32,
}

impl Ord for Pending {
    /// Greater is better, for the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.rank, other.left).cmp(&(self.rank, self.left))
    }
}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The symbols of a text and the room to merge them in, kept from text to text.
#[derive(Debug, Default)]
pub(super) struct Merger {
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Pending>,
}

impl Merger {
    /// Forgets the symbols.
    pub(super) fn clear(&mut self) {
        self.symbols.clear();
        self.queue.clear();
    }

    /// Appends a symbol of `len` bytes.
    pub(super) fn push(&mut self, id: u32, len: u32) {
        let index = self.symbols.len() as u32;
        let (start, previous) = match self.symbols.last_mut() {
            Some(last) => {
                last.next = index;
                (last.start + last.len, index - 1)
            }
            None => (0, NONE),
        };
        self.symbols.push(Symbol {
            id,
            start,
            len,
            previous,
            next: NONE,
        });
    }

    /// Merges until `find` finds no more pairs, in O(n log n) calls and steps.
    ///
    /// `find` sees two neighbours and tells what they become.
    pub(super) fn run(&mut self, find: impl Fn(&Symbol, &Symbol) -> Option<Merge>) {
        for left in 1..self.symbols.len() as u32 {
            self.offer(left - 1, left, &find);
        }
        while let Some(merge) = self.queue.pop() {
            let (left, right) = (merge.left as usize, merge.right as usize);
            let (a, b) = (self.symbols[left], self.symbols[right]);
            if a.len == 0 || b.len == 0 || a.len + b.len != merge.len {
                continue;
            }
            self.symbols[left].id = merge.id;
            self.symbols[left].len = merge.len;
            self.symbols[left].next = b.next;
            self.symbols[right].len = 0;
            if let Some(after) = self.symbols.get_mut(b.next as usize) {
                after.previous = merge.left;
            }
            self.offer(a.previous, merge.left, &find);
            self.offer(merge.left, b.next, &find);
        }
    }

    fn offer(&mut self, left: u32, right: u32, find: &impl Fn(&Symbol, &Symbol) -> Option<Merge>) {
        let (Some(a), Some(b)) = (
            self.symbols.get(left as usize),
            self.symbols.get(right as usize),
        ) else {
            return;
        };
        if let Some(merge) = find(a, b) {
            self.queue.push(Pending {
                rank: merge.rank,
                left,
                right,
                id: merge.id,
                len: a.len + b.len,
            });
        }
    }

    /// The symbols that are left, in order.
    pub(super) fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.iter().filter(|s| s.len > 0)
    }
}
