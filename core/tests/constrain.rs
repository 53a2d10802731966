//! Constrained output: the mask alone makes every answer valid, whatever the model wants.

mod hostile;
mod real;
mod refused;
mod sessions;
mod tokens;
pub mod validator;
mod validity;

use std::sync::OnceLock;

use pocketlm::constrain::{Constraint, Grammars};
use pocketlm::sample::{SampleOptions, Sampler};
use pocketlm::tokenizer::{Special, Tokenizer};
use pocketlm::{OutputFormat, Result};
use serde_json::Value;

use crate::tokenizer::vocabulary;

/// A tokenizer of the repository with its grammars: `gpt-2` and `falcon` are byte-level, `phi-3`
/// is SentencePiece with a space before each text.
pub struct Subject {
    pub name: &'static str,
    pub tokenizer: Tokenizer,
    pub grammars: Grammars,
}

impl Subject {
    fn new(name: &'static str) -> Self {
        let tokenizer = Tokenizer::from_gguf(&vocabulary(name)).expect("a tokenizer");
        let grammars = Grammars::new(&tokenizer).expect("grammars");
        Self {
            name,
            tokenizer,
            grammars,
        }
    }

    /// Whether the format takes a text as a whole.
    fn takes(&self, format: &OutputFormat, text: &str) -> bool {
        let mut constraint = self.grammars.compile(format).expect("compiles");
        let ids = self
            .tokenizer
            .encode_continuing(text, Special::Text)
            .expect("ids");
        ids.iter().all(|&id| constraint.accept(id).is_ok()) && constraint.is_complete()
    }
}

/// The subjects, built once.
fn subjects() -> &'static [Subject] {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    SUBJECTS.get_or_init(|| ["gpt-2", "phi-3"].map(Subject::new).into())
}

/// A schema with a prompt that asks a model for it.
pub struct Case {
    pub name: String,
    pub prompt: String,
    pub schema: Value,
}

/// The schemas of `data/constrain/schemas.json`.
pub fn cases() -> Vec<Case> {
    let text = include_str!("data/constrain/schemas.json");
    let rows: Vec<Value> = serde_json::from_str(text).expect("JSON");
    let text = |row: &Value, key: &str| row[key].as_str().expect("a string").to_owned();
    let case = |row: &Value| Case {
        name: text(row, "name"),
        prompt: text(row, "prompt"),
        schema: row["schema"].clone(),
    };
    rows.iter().map(case).collect()
}

/// What a model without any sense wrote.
struct Answer {
    text: String,
    ids: Vec<u32>,
    /// Whether the constraint ended it, and not the bound on tokens.
    is_whole: bool,
}

/// A model without any sense: logits by hashing, with a liking for what ends strings, objects and
/// answers, so that most come to an end.
struct Noise {
    seed: u64,
    liking: Vec<f32>,
}

impl Noise {
    fn new(tokenizer: &Tokenizer, seed: u64) -> Self {
        let ends = tokenizer.end_of_generation();
        let liking = (0..tokenizer.vocab_size() as u32).map(|id| {
            let bytes = tokenizer.token_bytes(id);
            let closes = bytes.iter().any(|b| b"\"}]".contains(b));
            match (ends.contains(&id), closes, bytes.len()) {
                (true, ..) => 12.0,
                (_, true, _) => 10.0,
                (_, _, 1) => 2.0,
                _ => 0.0,
            }
        });
        Self {
            seed,
            liking: liking.collect(),
        }
    }

    fn logits(&self, step: usize) -> Vec<f32> {
        let mut state = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (step as u64) << 32;
        let next = |liking: &f32| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let unit = ((z ^ (z >> 29)) >> 40) as f32 / (1u64 << 24) as f32;
            liking + 12.0 * unit
        };
        self.liking.iter().map(next).collect()
    }
}

fn answer(
    subject: &Subject,
    mut constraint: Constraint,
    noise: &Noise,
    temperature: f32,
    max_tokens: usize,
) -> Result<Answer> {
    let mut sampler = Sampler::new(&SampleOptions {
        temperature,
        seed: Some(noise.seed),
        ..SampleOptions::neutral()
    })?;
    let mut detokenizer = subject.tokenizer.continuing_detokenizer();
    let (mut text, mut ids, mut is_whole) = (String::new(), Vec::new(), false);
    while ids.len() < max_tokens {
        let mut logits = noise.logits(ids.len());
        constraint.mask(&mut logits)?;
        let id = sampler.sample(&mut logits)?;
        constraint.accept(id)?;
        if subject.tokenizer.end_of_generation().contains(&id) {
            is_whole = true;
            break;
        }
        assert!(!subject.tokenizer.is_control(id), "token {id} is no text");
        ids.push(id);
        text.push_str(&detokenizer.push(id));
        if constraint.must_stop() {
            assert!(constraint.is_complete());
            is_whole = true;
            break;
        }
    }
    text.push_str(&detokenizer.finish());
    Ok(Answer {
        text,
        ids,
        is_whole,
    })
}
