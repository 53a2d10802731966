//! Chat templates: conversations to prompt text.
//!
//! ```text
//! Message, ToolSpec ─mark→ (literal.rs) ─adapt→ (adapt.rs) ─→ variables (context.rs)
//!                                                                  │
//! template source ─prepare→ (source.rs) ─compile→ Engine (engine.rs)─render→ text with marks ─strip→ Rendered
//! ```
//!
//! What a model writes back is told apart in `calls`: text, and calls of tools.
//!
//! A prompt is tokenized with control tokens parsed everywhere except in [`Rendered::literal`].

mod adapt;
mod arguments;
mod builtins;
mod calls;
mod capabilities;
mod container;
mod context;
mod date;
mod engine;
mod from_gguf;
mod json;
mod literal;
mod message;
mod source;
mod template;

pub use arguments::check_arguments;
pub use calls::{CALL_FORMATS, CallFormat, CallParser, CallPiece, WrittenCall};
pub use capabilities::Capabilities;
pub use date::strftime;
pub use engine::{BASE_FUEL, FUEL_PER_MESSAGE, MAX_OUTPUT};
pub use message::{Message, Role, ToolCall, ToolSpec};
pub use source::{MAX_ELIF, MAX_SOURCE, MAX_TAG_TOKENS};
pub use template::{ChatTemplate, RenderOptions, Rendered};
