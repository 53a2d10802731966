//! PocketLM: quantized language models on the device.
//!
//! A GGUF file goes in, streamed text comes out; nothing leaves the machine, and this crate has no
//! network code.
//!
//! ```text
//! file ─mmap→ Gguf ─┬→ Tokenizer ── ids ──────────────────────────┐
//!                   └→ Weights ─→ Decoder.forward(batch, cache) ←─┘
//!                                   └→ logits → constrain → sample → id → detokenize → Event
//! ModelSession owns {LocalModel, KvCache, transcript, guesses of what comes next}
//! ```
//!
//! ```no_run
//! use pocketlm::{GenerateOptions, LoadOptions, LocalModel, SessionOptions};
//!
//! # fn main() -> pocketlm::Result<()> {
//! let model = LocalModel::load("model.gguf", LoadOptions::default())?;
//! let session = model.session(SessionOptions::default())?;
//! println!("{}", session.respond("Hi", &GenerateOptions::default())?.text);
//! # Ok(())
//! # }
//! ```
//!
//! Rooms, each importing only from those below it:
//!
//! | module | what |
//! |---|---|
//! | [`session`] | models, conversations, turns, events |
//! | [`chat`], [`constrain`], [`plan`] | messages, templates and tool calls; output formats; memory |
//! | [`tokenizer`], [`sample`], [`model`], [`speculate`] | text ↔ ids; logits → id; architectures; guesses |
//! | [`cache`] | keys and values of a sequence |
//! | [`kernels`] | the seam to hardware: reference, CPU, GPU |
//! | [`quant`] | block formats |
//! | [`gguf`] | the file format |
//! | [`error`] | what can go wrong |

#[cfg(test)]
extern crate self as pocketlm; // the nano models are written for other crates

pub mod cache;
pub mod chat;
pub mod constrain;
pub mod error;
pub mod gguf;
pub mod kernels;
pub mod model;
pub mod plan;
pub mod quant;
pub mod sample;
pub mod session;
pub mod speculate;
pub mod tokenizer;

pub use cache::KvCache;
pub use chat::{Message, Role, ToolCall, ToolSpec};
pub use constrain::OutputFormat;
pub use error::{PocketError, Result, SessionFault};
pub use plan::{Fit, Plan, Suggestion};
pub use sample::SampleOptions;
pub use session::{
    Canceller, Completer, ContextPolicy, DeviceChoice, Event, FinishReason, FunctionTool,
    GenerateOptions, LoadControl, LoadOptions, LocalModel, ModelInfo, ModelSession, Notice,
    PositionScore, Response, ResponseStream, SessionOptions, Speculation, Tool, Usage,
};
