//! Tool calls in a model's output: one row for each way of writing them.
//!
//! ```text
//! deltas ─→ CallParser ─┬→ Text        (at once, but for what may be the beginning of a call)
//!                       └→ WrittenCall (name, arguments, or what is wrong with them)
//! ```
//!
//! Models are trained on one format and follow it loosely: closing tags are forgotten, brackets are
//! one too many, arguments are JSON inside JSON. What can be read without guessing is read. What
//! cannot is a call with a [`mistake`](WrittenCall::mistake), which the model is told about: nothing
//! it wrote is dropped.
//!
//! A format is a file and a row of [`CALL_FORMATS`]. The row says where a call begins
//! ([`Opening::text`]), where it ends ([`End`]) and how the text between is read.

mod boundary;
mod gemma;
mod hermes;
mod json_calls;
mod llama;
mod mistral;
mod parser;
mod phi;
mod python_calls;
mod qwen_xml;
mod unmarked;

pub use parser::{CallParser, CallPiece};

use serde_json::Value;

use super::ChatTemplate;
use crate::tokenizer::Tokenizer;

/// A way of writing tool calls.
pub struct CallFormat {
    /// Its name.
    pub name: &'static str,
    /// Control tokens that are part of a call. A detokenizer leaves control tokens out unless told
    /// otherwise ([`Detokenizer::show`](crate::tokenizer::Detokenizer::show)).
    pub markers: &'static [&'static str],
    /// What begins a call. No text is the beginning of another.
    openings: &'static [Opening],
    /// Characters besides white space that may stand between calls.
    separators: &'static [char],
    /// Whether a model writes calls like this.
    fits: fn(&Evidence<'_>) -> bool,
}

/// What begins a call, and what then.
struct Opening {
    text: &'static str,
    place: Place,
    end: End,
    /// Whether the text after the opening (from its bracket on, where a value ends it), which may go
    /// on, can still be a call. Where it says no,
    /// all of it is text. It may not change its mind from no to yes when the text grows.
    may_be: fn(&str) -> bool,
    read: for<'a> fn(&'a str, tools: &[String]) -> Reading<'a>,
}

/// Where an opening counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    /// At the beginning of the answer and directly after another call.
    Start,
}

/// Where the text of a call ends.
enum End {
    /// Before the first of these outside of strings, which it takes with it; before the
    /// same opening again; or at the end of the answer.
    Mark {
        closers: &'static [&'static str],
        /// What strings are quoted with.
        quotes: &'static [u8],
    },
    /// After the JSON object or array whose bracket is the last byte of the opening.
    Value,
}

/// What a stretch of text turned out to be.
enum Reading<'a> {
    /// Text that only began like a call.
    NotACall,
    /// Calls, and what stands behind the last of them.
    Calls {
        calls: Vec<WrittenCall>,
        rest: &'a str,
    },
}

/// A call as the model wrote it.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenCall {
    /// The identifier that the model gave it, where its format has one.
    pub id: Option<String>,
    /// The tool's name, [`WrittenCall::UNNAMED`] where none could be read.
    pub name: String,
    /// An object; with a mistake, the text that could not be read as one.
    pub arguments: Value,
    /// Why it cannot be run, for the model to read.
    pub mistake: Option<String>,
}

impl WrittenCall {
    /// The name of a call in which no name could be read.
    pub const UNNAMED: &'static str = "unreadable_call";

    /// A call that cannot be read, of which `text` is everything the model wrote.
    fn unreadable(text: &str, reason: impl std::fmt::Display) -> Self {
        Self {
            id: None,
            name: json_calls::name_in(text).unwrap_or_else(|| Self::UNNAMED.to_owned()),
            arguments: Value::String(text.trim().to_owned()),
            mistake: Some(format!("this call could not be read: {reason}")),
        }
    }
}

/// What is known of a model.
struct Evidence<'a> {
    /// The source of its template for tools, empty where it has none.
    source: &'a str,
    tokenizer: Option<&'a Tokenizer>,
}

impl Evidence<'_> {
    fn has_token(&self, text: &str) -> bool {
        self.tokenizer.is_some_and(|t| t.token_id(text).is_some())
    }
}

/// Every format. The first that fits is a model's; the last fits all, because it is what models are
/// asked for whose template lists no tools (see `adapt.rs`). For the same reason every row knows
/// its opening.
pub const CALL_FORMATS: &[CallFormat] = &[
    mistral::FORMAT,
    phi::FORMAT,
    llama::FORMAT,
    gemma::FORMAT,
    qwen_xml::FORMAT,
    hermes::FORMAT,
];

impl CallFormat {
    /// The format of a model, by its template and its vocabulary.
    pub fn of(template: Option<&ChatTemplate>, tokenizer: Option<&Tokenizer>) -> &'static Self {
        let evidence = Evidence {
            source: template.map_or("", |t| t.source(true)),
            tokenizer,
        };
        let row = CALL_FORMATS.iter().find(|row| (row.fits)(&evidence));
        row.unwrap_or(&hermes::FORMAT)
    }

    /// The row of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CALL_FORMATS.iter().find(|row| row.name == name)
    }
}

impl std::fmt::Debug for CallFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CallFormat").field(&self.name).finish()
    }
}
