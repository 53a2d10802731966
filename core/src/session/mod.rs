//! What apps use: a model that is loaded once and shared, and sessions that chat with it.
//!
//! ```text
//! LocalModel::load ──> session() ──> stream(prompt) ──worker thread──> Event, Event, …, Done
//!                                        │ a turn: render, tokenize, keep the cached prefix,
//!                                        │ prefill, decode, sample, detokenize
//!                                        └ committed when it ends, undone when it fails or is cancelled
//! ```

mod branch;
mod completion;
mod context_policy;
mod conversation;
mod device;
mod event;
mod guide;
mod info;
mod lifecycle;
mod load;
mod model;
mod options;
mod output;
mod persist;
mod prefix_store;
mod prewarm;
mod prompt;
mod reasoning;
mod saving;
mod score;
mod speculation;
mod stream;
#[cfg(test)]
mod tests;
mod tool_loop;
mod tools;
mod turn;
mod turn_slot;

pub use completion::Completer;
pub use context_policy::ContextPolicy;
pub use conversation::{ModelSession, Response, SessionOptions};
pub use device::DeviceChoice;
pub use event::{Event, FinishReason, Notice, Usage};
pub use info::{ModelInfo, TypeShare};
pub use load::{DEFAULT_CONTEXT, LoadControl, LoadOptions};
pub use model::LocalModel;
pub use options::GenerateOptions;
pub use score::PositionScore;
pub use speculation::Speculation;
pub use stream::{Canceller, ResponseStream};
pub use tools::{FunctionTool, Tool};
