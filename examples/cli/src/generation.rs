//! The options of text generation.

use anyhow::Result;
use clap::{Args, ValueEnum};
use pocketlm::{GenerateOptions, SampleOptions, Speculation};

use crate::output_format::FormatArgs;
use crate::{Globals, model_choice};

/// Whether tokens are guessed ahead. The answer is the same; see `docs/speculation.md`.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Guess {
    /// From the conversation itself, where that is exact
    #[default]
    Auto,
    /// Not at all
    Off,
    /// From the conversation itself
    Lookup,
}

/// How the next token is chosen, and when to stop. What is not given stays at the library's default.
#[derive(Args, Clone)]
pub struct GenerationArgs {
    /// Randomness; 0 takes the most likely token always
    #[arg(long, value_name = "T", help_heading = "Sampling")]
    temperature: Option<f32>,
    /// Choose among the K most likely tokens; 0 for all
    #[arg(long, value_name = "K", help_heading = "Sampling")]
    top_k: Option<usize>,
    /// Choose among the most likely tokens that have this probability together
    #[arg(long, value_name = "P", help_heading = "Sampling")]
    top_p: Option<f32>,
    /// Drop tokens less likely than this share of the most likely one
    #[arg(long, value_name = "P", help_heading = "Sampling")]
    min_p: Option<f32>,
    /// Keep the most typical tokens that have this probability together
    #[arg(long, value_name = "P", help_heading = "Sampling")]
    typical_p: Option<f32>,
    /// Make tokens of the last text less likely by this factor
    #[arg(long, value_name = "X", help_heading = "Sampling")]
    repetition_penalty: Option<f32>,
    /// Make a token less likely each time it has appeared
    #[arg(long, value_name = "X", help_heading = "Sampling")]
    frequency_penalty: Option<f32>,
    /// Make a token less likely once it has appeared
    #[arg(long, value_name = "X", help_heading = "Sampling")]
    presence_penalty: Option<f32>,
    /// The same seed gives the same answer
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    seed: Option<u64>,
    /// The most likely token always: the same as `--temperature 0`
    #[arg(long, conflicts_with = "temperature", help_heading = "Sampling")]
    greedy: bool,
    /// Longest answer, in tokens
    #[arg(long, short = 'n', value_name = "N", help_heading = "Sampling")]
    max_tokens: Option<usize>,
    /// End the answer before this text; may be given more than once
    #[arg(long, value_name = "TEXT", help_heading = "Sampling")]
    stop: Vec<String>,
    /// Tokens of thinking after which a reasoning model has to answer
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    reasoning_budget: Option<usize>,
    /// Guess tokens ahead and check several in one pass; the answer stays the same
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "HOW",
        help_heading = "Speed"
    )]
    speculation: Guess,
    /// A smaller model with the same vocabulary that guesses tokens ahead
    #[arg(
        long,
        value_name = "MODEL",
        conflicts_with = "speculation",
        help_heading = "Speed"
    )]
    draft: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
}

impl GenerationArgs {
    /// The library's options; a drafting model is loaded for them.
    ///
    /// # Errors
    /// Those of loading it, and a schema or grammar that cannot be read.
    pub fn options(&self, globals: &Globals) -> Result<GenerateOptions> {
        let mut sample = match self.greedy {
            true => SampleOptions::greedy(),
            false => SampleOptions::default(),
        };
        for (given, option) in [
            (self.temperature, &mut sample.temperature),
            (self.top_p, &mut sample.top_p),
            (self.min_p, &mut sample.min_p),
            (self.typical_p, &mut sample.typical_p),
            (self.repetition_penalty, &mut sample.repetition_penalty),
            (self.frequency_penalty, &mut sample.frequency_penalty),
            (self.presence_penalty, &mut sample.presence_penalty),
        ] {
            *option = given.unwrap_or(*option);
        }
        sample.top_k = self.top_k.unwrap_or(sample.top_k);
        sample.seed = self.seed;
        let speculation = match (&self.draft, self.speculation) {
            (Some(model), _) => Speculation::Draft(model_choice::load(Some(model), globals)?),
            (None, Guess::Auto) => Speculation::Auto,
            (None, Guess::Off) => Speculation::Off,
            (None, Guess::Lookup) => Speculation::Lookup,
        };
        Ok(GenerateOptions {
            sample,
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            speculation,
            format: self.format.format()?,
            reasoning_budget: self.reasoning_budget,
        })
    }
}
