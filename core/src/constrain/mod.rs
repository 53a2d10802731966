//! Output that a grammar allows, and nothing else: JSON, JSON Schema, regular expressions, Lark.
//!
//! ```text
//! Tokenizer ─→ Grammars (per model: trie of token bytes)
//!                 └ compile(OutputFormat) ─→ Constraint (per answer)
//!                                               mask(logits) ─→ sampler ─→ accept(id)
//!                                               forced() ─→ ids that need no sampling
//! ```
//!
//! The grammar engine is `llguidance`: an Earley parser over lexemes that are matched by
//! derivatives of regular expressions, walked along a trie of the vocabulary. What is here is the
//! way in and out: the vocabulary (`vocabulary`), schemas checked and
//! tightened before they are compiled (`schema`), where in a schema the fault lies (`locate`),
//! limits for what strangers write, and typed errors.
//!
//! # Forced tokens
//!
//! Often the grammar leaves no choice for a while: after `{` comes `"name": `. Those bytes are
//! *forced*, and asking the model for them wastes a step each. But bytes are not tokens. A model
//! that would have written `": "` and `Par` sees something else when it is handed `":` and ` "`,
//! and answers worse. So [`Constraint::forced`] takes the last token of the answer and the forced
//! bytes, tokenizes them together with the model's own tokenizer, and
//!
//! - if that does not begin with the last token (which was sampled, and stays), the forced bytes
//!   are tokenized alone;
//! - then tokens are dropped from the end while what they spell could be the beginning of a longer
//!   token that the grammar allows: after a forced `": "` the quote that ends it may merge with
//!   what follows, so it is left for the sampler.
//!
//! What was dropped comes back as a prefix that the next mask demands. So the tokens of an answer
//! are those that the model's tokenizer gives for its text, wherever the grammar decides alone.

mod compile;
mod constraint;
mod formats;
mod keywords;
mod locate;
mod schema;
mod vocabulary;

use std::fmt;
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::toktrie::{InferenceCapabilities, TokEnv};
use serde_json::Value;

use crate::error::{PocketError, Result};
use crate::tokenizer::Tokenizer;
use vocabulary::Vocabulary;

pub use constraint::Constraint;

/// What an answer must look like.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// A JSON object or array, of any content.
    Json,
    /// JSON that is valid under a JSON Schema (2020-12 and the drafts before it).
    JsonSchema(Value),
    /// Text that matches a regular expression as a whole (the syntax of the `regex` crate, without
    /// look-around and back-references).
    Regex(String),
    /// Text that a context-free grammar generates from its rule `start`, in Lark's syntax as
    /// `llguidance` reads it.
    Lark(String),
}

/// What the constraints of one model share. Cloning shares it. Building takes a moment (a tenth of
/// a second for 150,000 tokens), so build it when it is needed first.
#[derive(Clone)]
pub struct Grammars {
    factory: Arc<ParserFactory>,
    vocabulary: Arc<Vocabulary>,
}

impl Grammars {
    /// Builds the trie of a vocabulary.
    ///
    /// # Errors
    /// [`PocketError::UnsupportedModel`] for a vocabulary too large for it.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self> {
        let vocabulary = Arc::new(Vocabulary::new(tokenizer)?);
        let environment: TokEnv = vocabulary.clone();
        let slices: Vec<String> = compile::SLICES.iter().map(|&s| s.into()).collect();
        let capabilities = InferenceCapabilities::default();
        let mut factory = ParserFactory::new(&environment, capabilities, &slices)
            .map_err(|error| internal(&error.to_string()))?;
        factory.quiet();
        *factory.limits_mut() = compile::limits();
        Ok(Self {
            factory: Arc::new(factory),
            vocabulary,
        })
    }

    /// The constraint of one answer.
    ///
    /// # Errors
    /// [`PocketError::SchemaUnsupported`] with the place in a schema that cannot be enforced, is
    /// wrong, or is too large; [`PocketError::InvalidArgument`] for a regular expression (`regex`)
    /// or a grammar (`lark`).
    pub fn compile(&self, format: &OutputFormat) -> Result<Constraint> {
        let matcher = compile::compile(&self.factory, format)?;
        let is_json = matches!(format, OutputFormat::Json | OutputFormat::JsonSchema(_));
        Ok(Constraint::new(matcher, self.vocabulary.clone(), is_json))
    }
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammars")
            .field("tokens", &self.vocabulary.len())
            .finish_non_exhaustive()
    }
}

/// A fault of the engine or of its use here.
fn internal(reason: &str) -> PocketError {
    PocketError::Internal {
        reason: format!("grammar engine: {}", first_line(reason)),
    }
}

/// The engine appends its state and backtraces to messages, on lines of their own.
fn first_line(text: &str) -> &str {
    text.lines()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("")
        .trim()
}
