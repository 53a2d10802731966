//! What apps use: a model that is loaded once and shared, and sessions that chat with it.
//!
//! ```text
//! LocalModel::load ──> session() ──> stream(prompt) ──worker thread──> Event, Event, …, Done
//!                                        │ a turn: render, tokenize, keep the cached prefix,
//!                                        │ prefill, decode, sample, detokenize
//!                                        └ committed when it ends, undone when it fails or is cancelled
//! ```

mod conversation;
mod device;
mod event;
mod guide;
mod info;
mod model;
mod options;
mod output;
mod prompt;
mod reasoning;
mod score;
mod speculation;
mod stream;
mod turn;

pub use conversation::{ModelSession, Response, SessionOptions};
pub use device::DeviceChoice;
pub use event::{Event, FinishReason, Notice, Usage};
pub use info::{ModelInfo, TypeShare};
pub use model::{DEFAULT_CONTEXT, LoadOptions, LocalModel};
pub use options::GenerateOptions;
pub use score::PositionScore;
pub use speculation::Speculation;
pub use stream::{Canceller, ResponseStream};
