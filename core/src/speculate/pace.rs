//! How many guesses are worth checking: what passes of each size cost here, and how often guesses
//! of each class came true, both learnt while generating.

use std::time::Duration;

use super::MOST;

/// Share of an old average that stays when a new value comes.
const KEEP: f64 = 0.8;

/// Share of what was learnt of a class that stays with each pass: what went wrong once is tried
/// again some hundred tokens later.
const REMEMBER: f64 = 0.99;

/// Weight of what is believed of a class beforehand, in guesses.
const BELIEF: f64 = 4.0;

/// What a token more adds to the cost of a pass, as a share of the pass of one, before that is
/// known.
const SLOPE: f64 = 0.3;

/// How far the cost of a size that is not tried moves, with each plain pass, towards what is believed of
/// it: a pass that something disturbed is not held against a size for ever.
const FORGIVE: f64 = 0.02;

/// A gain must be this much to be worth the trouble.
const MARGIN: f64 = 1.05;

/// What is known of the classes of one drafter, and of the passes of one model.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Seconds of a pass of `index + 1` tokens.
    cost: [Option<f64>; MOST + 1],
    /// Averages of the seconds it took to guess, and of the guesses made in them.
    guessing: (f64, f64),
    classes: Vec<Class>,
}

/// What is known of the guesses of a class.
#[derive(Clone, Debug)]
struct Class {
    /// The chance that one comes true, as believed beforehand.
    belief: f64,
    /// Guesses that were checked, older ones counting less.
    checked: f64,
    /// Of those, guesses that came true.
    hits: f64,
}

impl Pace {
    /// Nothing is known yet but the chances of each class, as believed beforehand.
    pub fn new(chances: &[f64]) -> Self {
        Self {
            cost: [None; MOST + 1],
            guessing: (0.0, 0.0),
            classes: chances
                .iter()
                .map(|&belief| Class {
                    belief,
                    checked: 0.0,
                    hits: 0.0,
                })
                .collect(),
        }
    }

    /// Takes note of a pass of `tokens` tokens.
    pub fn note_pass(&mut self, tokens: usize, time: Duration) {
        if let (1, Some(one)) = (tokens, self.cost[0]) {
            self.guessing.0 *= 1.0 - FORGIVE;
            for (i, cost) in self.cost.iter_mut().enumerate() {
                let believed = one * (1.0 + SLOPE * i as f64);
                if let Some(cost) = cost.as_mut().filter(|cost| **cost > believed) {
                    *cost += FORGIVE * (believed - *cost);
                }
            }
        }
        if let Some(cost) = tokens.checked_sub(1).and_then(|i| self.cost.get_mut(i)) {
            let time = time.as_secs_f64();
            // A pass that something disturbed says little; one that went well says much.
            *cost = Some(cost.map_or(time, |old| {
                if time < old {
                    0.5 * (old + time)
                } else {
                    KEEP * old + (1.0 - KEEP) * time.min(2.0 * old)
                }
            }));
        }
    }

    /// Takes note of what it took to make `n` guesses, none perhaps.
    pub fn note_guesses(&mut self, n: usize, time: Duration) {
        let (seconds, made) = &mut self.guessing;
        *seconds = KEEP * *seconds + (1.0 - KEEP) * time.as_secs_f64();
        *made = KEEP * *made + (1.0 - KEEP) * n as f64;
    }

    /// Takes note of guesses of `class`: of `drafted`, the first `accepted` came true.
    pub fn note_outcome(&mut self, class: usize, drafted: usize, accepted: usize) {
        for class in &mut self.classes {
            class.checked *= REMEMBER;
            class.hits *= REMEMBER;
        }
        if let Some(class) = self.classes.get_mut(class) {
            // Of the guesses after the first wrong one nothing was learnt.
            class.checked += drafted.min(accepted + 1) as f64;
            class.hits += accepted as f64;
        }
    }

    /// How many guesses of `class` promise the most tokens in the least time; 0 where plain
    /// decoding does.
    pub fn worth(&self, class: usize) -> usize {
        let Some(class) = self.classes.get(class) else {
            return 0;
        };
        let chance = (class.belief * BELIEF + class.hits) / (BELIEF + class.checked);
        let plain = 1.0 / self.cost_of(1);
        let (seconds, made) = self.guessing;
        let guess = seconds / made.max(0.1);
        let (mut best, mut best_rate) = (0, plain * MARGIN);
        // Tokens that a pass with n guesses yields: the one after the last true guess, and those.
        let (mut expected, mut power) = (1.0, 1.0);
        for n in 1..=MOST {
            power *= chance;
            expected += power;
            let rate = expected / (self.cost_of(n + 1) + n as f64 * guess);
            if rate > best_rate {
                (best, best_rate) = (n, rate);
            }
        }
        best
    }

    /// Seconds of a pass of `n` tokens: known, between two that are, or beyond the last one. In
    /// units of a pass of one as long as none is known.
    fn cost_of(&self, n: usize) -> f64 {
        let known = |i: usize| self.cost[i].map(|cost| (i + 1, cost));
        let below = (0..n).rev().find_map(known);
        let above = (n - 1..=MOST).find_map(known);
        match (below, above) {
            (Some((a, low)), Some((b, high))) if b > a => {
                low + (high - low) * (n - a) as f64 / (b - a) as f64
            }
            (Some((a, low)), _) => {
                let one = low / (1.0 + SLOPE * (a - 1) as f64);
                low + one * SLOPE * (n - a) as f64
            }
            (None, Some((b, high))) => {
                high * (1.0 + SLOPE * (n - 1) as f64) / (1.0 + SLOPE * (b - 1) as f64)
            }
            (None, None) => 1.0 + SLOPE * (n - 1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Passes of 100 ms for one token, and `more` for each token more.
    fn pace(more: u64) -> Pace {
        let mut pace = Pace::new(&[0.5, 0.9]);
        for n in 1..=MOST + 1 {
            pace.note_pass(n, milliseconds(100 + more * (n as u64 - 1)));
        }
        pace
    }

    #[test]
    fn cheap_passes_and_sure_guesses_are_worth_more() {
        let (cheap, dear) = (pace(5), pace(60));
        assert!(cheap.worth(1) > cheap.worth(0));
        assert!(cheap.worth(1) > dear.worth(1));
        assert_eq!(pace(100).worth(1), 0, "a token more costs a pass");
        assert_eq!(cheap.worth(7), 0, "an unknown class");
    }

    #[test]
    fn wrong_guesses_end_it_and_time_brings_it_back() {
        let mut pace = pace(20);
        let before = pace.worth(0);
        assert!(before > 0);
        for _ in 0..20 {
            pace.note_outcome(0, before, 0);
        }
        assert_eq!(pace.worth(0), 0);
        assert!(pace.worth(1) > 0, "the other class is not to blame");
        for _ in 0..1000 {
            pace.note_outcome(usize::MAX, 0, 0);
        }
        assert_eq!(pace.worth(0), before);
    }

    #[test]
    fn a_disturbed_pass_is_forgiven() {
        let mut pace = Pace::new(&[0.5, 0.9]);
        pace.note_pass(1, milliseconds(100));
        pace.note_pass(2, milliseconds(5000));
        assert_eq!(pace.worth(1), 0);
        for _ in 0..300 {
            pace.note_pass(1, milliseconds(100));
        }
        assert!(pace.worth(1) > 0);
    }

    #[test]
    fn guesses_that_cost_must_earn_it() {
        let mut pace = pace(5);
        let free = pace.worth(0);
        for _ in 0..50 {
            pace.note_guesses(1, milliseconds(40));
        }
        assert!(pace.worth(0) < free);
    }

    #[test]
    fn costs_between_and_beyond_the_known_are_estimated() {
        let mut pace = Pace::new(&[0.5]);
        assert!(pace.worth(0) <= 2, "an even chance and the usual costs");
        pace.note_pass(1, milliseconds(100));
        pace.note_pass(5, milliseconds(300));
        assert!((pace.cost_of(3) - 0.2).abs() < 1e-9);
        assert!(pace.cost_of(9) > 0.3);
    }
}
