//! Guesses by looking the last tokens up in the text itself (prompt lookup decoding, Saxena 2023):
//! edits, quotations and code repeat what is already there.

use std::collections::HashMap;

use crate::error::Result;

use super::{Draft, Drafter};

/// Tokens at the end of the text that must have occurred before for a guess.
const SHORTEST: usize = 3;

/// A match longer than this is as good as one of this length.
const LONGEST: usize = 32;

/// Earlier places that are compared, newest first.
const PLACES: usize = 16;

/// How far from the place followed before a token is looked for.
const NEAR: usize = 12;

/// The text's tokens, with an index of where each run of three of them occurred.
#[derive(Debug, Default)]
pub struct Lookup {
    tokens: Vec<u32>,
    /// The end of the newest occurrence of a run. The run at the very end is not in it yet, so that
    /// the end of the text does not find itself.
    newest: HashMap<[u32; SHORTEST], usize>,
    /// For each position, the end of the occurrence before of the run that ends there.
    before: Vec<Option<usize>>,
    /// The place that the last guesses were taken from, as far as it was followed: an edit goes on
    /// there after what it changed.
    followed: Option<usize>,
}

impl Lookup {
    /// Classes of certainty: the place followed before, then by the length of the match 3, 4 to 6,
    /// 7 to 14, and more.
    pub const CLASSES: usize = 5;

    /// An index of `tokens`.
    pub fn new(tokens: &[u32]) -> Self {
        let mut lookup = Self::default();
        lookup.accept(tokens);
        lookup
    }

    /// The end of the earlier place that continues like the end of the text for longest, and for
    /// how long.
    fn longest_match(&self) -> Option<(usize, usize)> {
        let run = self.tokens.last_chunk::<SHORTEST>()?;
        let mut place = self.newest.get(run).copied();
        let mut best: Option<(usize, usize)> = None;
        for _ in 0..PLACES {
            let Some(end) = place else { break };
            let length = self.tokens[..end]
                .iter()
                .rev()
                .zip(self.tokens.iter().rev())
                .take(LONGEST)
                .take_while(|(a, b)| a == b)
                .count();
            if best.is_none_or(|(_, longest)| length > longest) {
                best = Some((end, length));
            }
            if length == LONGEST {
                break;
            }
            place = self.before[end - 1];
        }
        best
    }

    /// Where the last token of the text occurs near the place that was followed before: past a
    /// change, an insertion or an omission.
    fn near_place(&self) -> Option<usize> {
        let (from, last) = (self.followed?, self.tokens.last()?);
        let near = self
            .tokens
            .get(from..(from + NEAR).min(self.tokens.len() - 1))?;
        near.iter().position(|id| id == last).map(|i| from + i + 1)
    }
}

impl Drafter for Lookup {
    fn accept(&mut self, ids: &[u32]) {
        for &id in ids {
            // Now something follows the last run: it may be found.
            if let Some(&run) = self.tokens.last_chunk::<SHORTEST>() {
                let end = self.tokens.len();
                let before = self.newest.insert(run, end);
                self.before[end - 1] = before;
            }
            self.tokens.push(id);
            self.before.push(None);
            if let Some(place) = &mut self.followed
                && self.tokens.get(*place) == Some(&id)
            {
                *place += 1;
            }
        }
    }

    fn draft(&mut self, worth: &dyn Fn(usize) -> usize) -> Result<Draft> {
        let (end, class) = match (self.longest_match(), self.near_place()) {
            (Some((end, length)), _) => (
                end,
                match length {
                    ..4 => 1,
                    4..7 => 2,
                    7..15 => 3,
                    _ => 4,
                },
            ),
            (None, Some(end)) => (end, 0),
            (None, None) => return Ok(Draft::default()),
        };
        self.followed = Some(end);
        // What followed then; where that runs into the end of the text, it goes on with itself.
        let period = self.tokens.len() - end;
        let ids = (0..worth(class)).map(|i| self.tokens[end + i % period]);
        Ok(Draft {
            ids: ids.collect(),
            class,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(tokens: &[u32], n: usize) -> Draft {
        Lookup::new(tokens).draft(&|_| n).expect("no model")
    }

    #[test]
    fn what_followed_before_is_guessed() {
        let draft = guess(&[1, 2, 3, 4, 5, 9, 1, 2, 3], 2);
        assert_eq!((draft.ids.as_slice(), draft.class), (&[4, 5][..], 1));
        assert!(guess(&[1, 2, 3, 4, 5, 9, 7, 2, 3], 2).ids.is_empty());
        assert!(guess(&[1, 2], 2).ids.is_empty());
        assert!(guess(&[1, 2, 3], 2).ids.is_empty());
    }

    #[test]
    fn the_longest_match_wins_and_the_newest_of_equals() {
        // `2 3 4` occurred after 1 and after 8; the text ends in `1 2 3 4`.
        let tokens = [1, 2, 3, 4, 50, 8, 2, 3, 4, 60, 7, 1, 2, 3, 4];
        assert_eq!(guess(&tokens, 1).ids, [50]);
        let tokens = [2, 3, 4, 50, 2, 3, 4, 60, 7, 2, 3, 4];
        assert_eq!(guess(&tokens, 1).ids, [60]);
    }

    #[test]
    fn an_edit_goes_on_after_what_it_changed() {
        let mut lookup = Lookup::new(&[1, 2, 3, 4, 5, 6, 7, 8, 90, 1, 2, 3]);
        assert_eq!(lookup.draft(&|_| 2).expect("no model").ids, [4, 5]);
        // 4 is replaced by 40, and 5 follows as it did.
        lookup.accept(&[40]);
        assert!(lookup.draft(&|_| 2).expect("no model").ids.is_empty());
        lookup.accept(&[5]);
        let draft = lookup.draft(&|_| 2).expect("no model");
        assert_eq!((draft.ids.as_slice(), draft.class), (&[6, 7][..], 0));
    }

    #[test]
    fn a_repetition_goes_on() {
        let draft = guess(&[5, 6, 5, 6, 5, 6, 5, 6], 5);
        assert_eq!(draft.ids, [5, 6, 5, 6, 5]);
        assert_eq!(guess(&[4, 4, 4, 4, 4], 3).ids, [4, 4, 4]);
    }

    #[test]
    fn tokens_one_by_one_give_the_same_index() {
        let tokens: Vec<u32> = (0..200u32).map(|i| i * i % 7).collect();
        let mut one_by_one = Lookup::default();
        for end in 1..=tokens.len() {
            one_by_one.accept(&tokens[end - 1..end]);
            let whole = guess(&tokens[..end], 4);
            assert_eq!(one_by_one.draft(&|_| 4).expect("no model"), whole);
        }
    }
}
