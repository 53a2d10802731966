//! The tokens still in the running, and the operations stages are made of.

use std::cmp::Ordering;

use crate::error::{PocketError, Result};

/// A token and its logit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The token.
    pub id: u32,
    /// Its logit, finite.
    pub logit: f32,
}

/// By logit, the highest first; among equals by token, the lowest first. A total order, because
/// logits are finite and tokens differ: every selection made with it has one outcome.
fn descending(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

/// The first size of the prefixes that are sorted while looking for a mass; each next one is four
/// times as long.
const FIRST_PREFIX: usize = 128;

/// The tokens that may still be drawn. Never empty once filled; the buffers are kept from step to
/// step.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    items: Vec<Candidate>,
    /// How many leading items are the highest ones, in [`descending`] order.
    sorted: usize,
    /// Unnormalized probabilities of the items, valid right after [`softmax`](Candidates::softmax).
    weights: Vec<f64>,
    /// Scratch for selections by mass: a key to select by, and an item's index.
    order: Vec<(f64, u32)>,
    chosen: Vec<Candidate>,
}

impl Candidates {
    /// Takes over all tokens whose logit is not -∞, which is how masks exclude tokens.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`] for a logit that is NaN or +∞ (something broke on the way
    /// here), and when no token is left.
    pub fn fill(&mut self, logits: &[f32]) -> Result<()> {
        self.items.clear();
        self.sorted = 0;
        for (id, &logit) in (0u32..).zip(logits) {
            if logit.is_finite() {
                self.items.push(Candidate { id, logit });
            } else if logit != f32::NEG_INFINITY {
                return Err(not_a_logit(id, logit));
            }
        }
        if self.items.is_empty() {
            return Err(all_masked());
        }
        Ok(())
    }

    /// The candidates, in no particular order unless a stage has put them in one.
    pub fn items(&self) -> &[Candidate] {
        &self.items
    }

    /// The highest logit.
    pub fn max_logit(&self) -> f32 {
        match self.items.first() {
            Some(first) if self.sorted > 0 => first.logit,
            _ => self
                .items
                .iter()
                .map(|c| c.logit)
                .fold(f32::NEG_INFINITY, f32::max),
        }
    }

    /// Changes every logit. `change` must keep their order, and keep them finite or make them -∞.
    pub(super) fn map_logits(&mut self, change: impl Fn(f32) -> f32) {
        for item in &mut self.items {
            item.logit = change(item.logit);
        }
    }

    /// Keeps the `count` highest, at least one, in descending order.
    pub(super) fn keep_top(&mut self, count: usize) {
        let count = count.clamp(1, self.items.len().max(1));
        if count < self.items.len() {
            self.keep_top_unsorted(count);
        }
        if self.sorted < self.items.len() {
            self.items.sort_unstable_by(descending);
            self.sorted = self.items.len();
        }
    }

    /// One pass that collects what beats the lowest of the best `count` so far, and reselects when
    /// twice as many are collected: nearly every item costs one comparison.
    fn keep_top_unsorted(&mut self, count: usize) {
        if self.sorted >= count {
            self.items.truncate(count);
            self.sorted = count;
            return;
        }
        let mut kept = 0;
        let mut lowest: Option<Candidate> = None;
        for i in 0..self.items.len() {
            let item = self.items[i];
            if lowest.is_some_and(|low| descending(&item, &low) == Ordering::Greater) {
                continue;
            }
            self.items[kept] = item;
            kept += 1;
            if kept >= 2 * count {
                let (_, low, _) = self.items[..kept].select_nth_unstable_by(count - 1, descending);
                lowest = Some(*low);
                kept = count;
            }
        }
        if kept > count {
            self.items[..kept].select_nth_unstable_by(count - 1, descending);
        }
        self.items.truncate(count);
        self.sorted = 0;
    }

    /// Keeps the items that `keep` accepts, in their order.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Candidate) -> bool) {
        let (mut index, mut in_sorted) = (0, 0);
        let sorted = self.sorted;
        self.items.retain(|item| {
            let kept = keep(item);
            in_sorted += usize::from(kept && index < sorted);
            index += 1;
            kept
        });
        self.sorted = in_sorted;
    }

    /// Computes `exp(logit - max)` of every item, readable as [`weights`](Candidates::weights), and
    /// returns their sum. Additions run in the order of the items, in f64.
    pub(super) fn softmax(&mut self) -> f64 {
        let max = f64::from(self.max_logit());
        self.weights.clear();
        let weights = self
            .items
            .iter()
            .map(|c| libm::exp(f64::from(c.logit) - max));
        self.weights.extend(weights);
        self.weights.iter().sum()
    }

    /// The weights of the items as of the last [`softmax`](Candidates::softmax).
    pub(super) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Sorts items by `key`, the lowest first, and keeps the shortest beginning whose weights sum
    /// to at least `mass`. What is kept ends up in descending order of logits. Needs fresh
    /// [`weights`](Candidates::weights).
    ///
    /// No more is sorted than is kept, up to a factor.
    pub(super) fn keep_mass(&mut self, mass: f64, key: impl Fn(&Candidate, f64) -> f64) {
        self.order.clear();
        let keys = self
            .items
            .iter()
            .zip(&self.weights)
            .map(|(c, &w)| key(c, w));
        self.order.extend(keys.zip(0u32..));
        let items = &self.items;
        let compare = |a: &(f64, u32), b: &(f64, u32)| {
            let tie = || descending(&items[a.1 as usize], &items[b.1 as usize]);
            a.0.total_cmp(&b.0).then_with(tie)
        };
        let (mut from, mut to) = (0, FIRST_PREFIX);
        let mut sum = 0.0;
        let mut count = self.order.len();
        'search: while from < self.order.len() {
            to = to.min(self.order.len());
            let rest = &mut self.order[from..];
            if to - from < rest.len() {
                rest.select_nth_unstable_by(to - from - 1, compare);
            }
            rest[..to - from].sort_unstable_by(compare);
            for i in from..to {
                sum += self.weights[self.order[i].1 as usize];
                if sum >= mass {
                    count = i + 1;
                    break 'search;
                }
            }
            (from, to) = (to, to * 4);
        }
        self.chosen.clear();
        let chosen = self.order[..count]
            .iter()
            .map(|&(_, i)| self.items[i as usize]);
        self.chosen.extend(chosen);
        std::mem::swap(&mut self.items, &mut self.chosen);
        self.items.sort_unstable_by(descending);
        self.sorted = self.items.len();
    }
}

pub(super) fn not_a_logit(id: u32, logit: f32) -> PocketError {
    PocketError::invalid("logits", format!("the logit of token {id} is {logit}"))
}

pub(super) fn all_masked() -> PocketError {
    PocketError::invalid("logits", "no token has a logit above -inf")
}
