//! How the next token is chosen: every knob, with its neutral value.

/// Options of a [`Sampler`](super::Sampler). An option at its neutral value switches its stage off
/// entirely.
///
/// The default is a mild setting for conversation: temperature 0.7 over the 40 most likely tokens,
/// cut at 95 % of the probability and at 5 % of the best token's, no penalties, a fresh seed.
/// [`greedy`](SampleOptions::greedy) is for answers that must be the same every time.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// Divides the logits: below 1 sharpens the distribution, above 1 flattens it. 0 always takes
    /// the most likely token, the lowest one among equals. Neutral: 1.
    pub temperature: f32,
    /// Keeps this many of the most likely tokens. Neutral: 0.
    pub top_k: usize,
    /// Keeps the smallest set of the most likely tokens whose probabilities sum to at least this
    /// (Holtzman et al., 2019); one token at least. From 0 to 1; neutral: 1.
    pub top_p: f32,
    /// Drops tokens less likely than this share of the most likely one (Nguyen et al., 2024). From
    /// 0 to 1; neutral: 0.
    pub min_p: f32,
    /// Keeps the smallest set of the most typical tokens whose probabilities sum to at least this
    /// (Meister et al., 2022). Above 0, up to 1; neutral: 1.
    pub typical_p: f32,
    /// Divides positive logits of tokens seen in the window, and multiplies negative ones (Keskar
    /// et al., 2019). Above 0; neutral: 1.
    pub repetition_penalty: f32,
    /// Subtracted from the logit of a token once for each time it was seen in the window. Neutral:
    /// 0.
    pub frequency_penalty: f32,
    /// Subtracted from the logit of every token seen in the window. Neutral: 0.
    pub presence_penalty: f32,
    /// How many of the last tokens the penalties look at. 0 switches them off; `usize::MAX` means
    /// all.
    pub penalty_window: usize,
    /// Added to the logits of these tokens; -∞ forbids one. Tokens outside the vocabulary are
    /// ignored. Neutral: empty.
    pub logit_bias: Vec<(u32, f32)>,
    /// The seed of the random numbers. The same seed, options and logits give the same tokens on
    /// every platform. `None` takes a fresh one, which [`Sampler::seed`](super::Sampler::seed)
    /// tells.
    pub seed: Option<u64>,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            ..Self::neutral()
        }
    }
}

impl SampleOptions {
    /// Every option at its neutral value: draws from the model's own distribution.
    pub fn neutral() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            penalty_window: 64,
            logit_bias: Vec::new(),
            seed: None,
        }
    }

    /// Always the most likely token.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            ..Self::neutral()
        }
    }
}
