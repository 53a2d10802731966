//! From logits to a token.
//!
//! Stages run in the order of [`STAGES`]: first those that change single logits, then those that
//! narrow the candidates, then the draw. A stage at its neutral value is not built at all. Masks of
//! constrained decoding come before all of this: a token whose logit is -∞ is out.
//!
//! Given seed, options and logits, the token is the same on every platform: the exponential and the
//! logarithm are `libm`'s, sums run in a fixed order, ties break towards the lower token.

mod candidates;
mod logit_bias;
mod logprob;
mod min_p;
mod options;
mod penalties;
mod rng;
mod stop;
mod temperature;
mod top_k;
mod top_p;
mod typical;

use std::fmt;

pub use candidates::{Candidate, Candidates};
pub use logprob::{LogSoftmax, argmax, top_logprobs};
pub use options::SampleOptions;
pub use penalties::History;
pub use stop::{StopOutcome, StopStrings};

use crate::error::Result;
use rng::{SeededRng, fresh_seed};

/// A change to the logits, one per token of the vocabulary.
pub type ChangeLogits = Box<dyn Fn(&mut [f32], &History) + Send + Sync>;

/// A narrowing or reweighting of the candidates, which leaves one at least.
pub type ChangeCandidates = Box<dyn Fn(&mut Candidates) + Send + Sync>;

/// What a stage does at each step.
pub enum Action {
    /// Changes logits in place.
    Logits(ChangeLogits),
    /// Changes the candidates.
    Candidates(ChangeCandidates),
}

/// One stage of sampling.
pub struct Stage {
    /// The name, as users of the command line spell it.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// Builds it from the options. `None` where they are neutral; an error where they are outside
    /// their domain.
    pub build: fn(&SampleOptions) -> Result<Option<Action>>,
}

/// All stages, in the order in which they run. Those that change logits come first.
pub static STAGES: &[Stage] = &[
    Stage {
        name: "logit-bias",
        doc: "adds a bias to chosen tokens",
        build: logit_bias::build,
    },
    Stage {
        name: "penalties",
        doc: "makes tokens of the last text less likely: repetition, frequency, presence",
        build: penalties::build,
    },
    Stage {
        name: "top-k",
        doc: "keeps the k most likely tokens",
        build: top_k::build,
    },
    Stage {
        name: "typical",
        doc: "keeps the most typical tokens up to a share of the probability",
        build: typical::build,
    },
    Stage {
        name: "top-p",
        doc: "keeps the most likely tokens up to a share of the probability",
        build: top_p::build,
    },
    Stage {
        name: "min-p",
        doc: "drops tokens below a share of the most likely one",
        build: min_p::build,
    },
    Stage {
        name: "temperature",
        doc: "sharpens or flattens the distribution; 0 takes the most likely token",
        build: temperature::build,
    },
];

/// Chooses tokens. One per sequence: it remembers what was accepted, and where its random numbers
/// are.
pub struct Sampler {
    change_logits: Vec<ChangeLogits>,
    change_candidates: Vec<ChangeCandidates>,
    /// Whether the outcome is the highest logit whatever the other stages do.
    greedy: bool,
    history: History,
    candidates: Candidates,
    rng: SeededRng,
    seed: u64,
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sampler")
            .field(
                "stages",
                &(self.change_logits.len() + self.change_candidates.len()),
            )
            .field("greedy", &self.greedy)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

impl Sampler {
    /// Builds the stages that `options` switch on.
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`](crate::error::PocketError::InvalidArgument) naming the
    /// option that is outside its domain.
    pub fn new(options: &SampleOptions) -> Result<Self> {
        let (mut change_logits, mut change_candidates) = (Vec::new(), Vec::new());
        for stage in STAGES {
            match (stage.build)(options)? {
                Some(Action::Logits(change)) => change_logits.push(change),
                Some(Action::Candidates(change)) => change_candidates.push(change),
                None => {}
            }
        }
        let window = if penalties::is_on(options) {
            options.penalty_window
        } else {
            0
        };
        let seed = options.seed.unwrap_or_else(fresh_seed);
        Ok(Self {
            change_logits,
            change_candidates,
            // Of the stages that narrow, only `typical` can drop the most likely token.
            greedy: options.temperature == 0.0 && options.typical_p == 1.0,
            history: History::new(window),
            candidates: Candidates::default(),
            rng: SeededRng::new(seed),
            seed,
        })
    }

    /// Chooses a token by its logits, one per token of the vocabulary, -∞ for tokens that are out.
    /// The logits are changed in place. The choice is not accepted by itself: see
    /// [`accept`](Sampler::accept).
    ///
    /// # Errors
    /// [`PocketError::InvalidArgument`](crate::error::PocketError::InvalidArgument) when a logit is
    /// NaN or +∞, or when all are -∞.
    pub fn sample(&mut self, logits: &mut [f32]) -> Result<u32> {
        if self.greedy {
            for change in &self.change_logits {
                change(logits, &self.history);
            }
            return argmax(logits);
        }
        let total = self.narrow(logits)?;
        let items = self.candidates.items();
        if let [only] = items {
            return Ok(only.id);
        }
        let target = self.rng.uniform() * total;
        let mut sum = 0.0;
        let mut drawn = None;
        for (item, &weight) in items.iter().zip(self.candidates.weights()) {
            if weight > 0.0 {
                // The last one with any weight stands in where rounding keeps the sum below the
                // target.
                drawn = Some(item.id);
            }
            sum += weight;
            if sum > target {
                break;
            }
        }
        drawn.ok_or_else(candidates::all_masked)
    }

    /// The distribution that [`sample`](Sampler::sample) would draw from: tokens and probabilities,
    /// in the order in which they are tried. Changes the logits in place, and nothing else.
    ///
    /// # Errors
    /// As [`sample`](Sampler::sample).
    pub fn distribution(&mut self, logits: &mut [f32]) -> Result<Vec<(u32, f64)>> {
        let total = self.narrow(logits)?;
        let items = self.candidates.items().iter();
        Ok(items
            .zip(self.candidates.weights())
            .map(|(item, weight)| (item.id, weight / total))
            .collect())
    }

    /// Runs all stages and weighs what is left. Returns the sum of the weights.
    fn narrow(&mut self, logits: &mut [f32]) -> Result<f64> {
        for change in &self.change_logits {
            change(logits, &self.history);
        }
        self.candidates.fill(logits)?;
        for change in &self.change_candidates {
            change(&mut self.candidates);
        }
        Ok(self.candidates.softmax())
    }

    /// Tells the sampler that `id` is part of the text now: a token it chose, or one of the prompt
    /// if the penalties are to see it.
    pub fn accept(&mut self, id: u32) {
        self.history.push(id);
    }

    /// Forgets the accepted tokens and starts the random numbers over.
    pub fn reset(&mut self) {
        self.history.clear();
        self.rng = SeededRng::new(self.seed);
    }

    /// The seed in use, also where the options left it open.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}
