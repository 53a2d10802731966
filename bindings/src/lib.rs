//! PocketLM for Kotlin and Swift, through UniFFI: the border, and nothing else.
//!
//! ```text
//! Kotlin / Swift façade ─→ generated bindings ─→ this crate ─→ pocketlm
//!        coroutine, Task     next_batch()         worker thread
//! ```
//!
//! Four rules hold at the border:
//! - Nothing computes on the caller's thread. A Rust future is polled there, so each future here
//!   only waits for a thread of ours.
//! - The app pulls. An answer is a [`ResponseStream`]; [`ResponseStream::next_batch`] waits for
//!   events and returns all that have piled up, because a call across the border costs more than an
//!   event in it. Listeners that are called from here would deadlock an app with one thread.
//! - Every wait can be ended from outside: [`ResponseStream::cancel`], [`ModelSession::cancel`],
//!   [`LoadTask::cancel`]. Kotlin drops the future of a cancelled coroutine, Swift does not.
//! - A panic never crosses: it becomes [`PocketError::Internal`].
//!
//! The foreign languages' objects have a generated `close` or `deinit` that lets go of the Rust
//! object. What an app calls closing is `shut_down` here.

mod answers;
mod error;
mod event;
mod info;
mod load;
mod log;
mod message;
mod model;
mod options;
mod plan;
mod session;
mod stream;
mod tools;
mod worker;

pub use error::{PocketError, SessionFault};
pub use event::{Event, FinishReason, Usage};
pub use info::{ModelInfo, Notice, TypeShare};
pub use load::LoadTask;
pub use log::{LogLevel, LogSink, set_log_sink};
pub use message::{Message, Role, ToolCall};
pub use model::LocalModel;
pub use options::{
    ContextPolicy, DeviceChoice, GenerateOptions, KvType, LoadOptions, OutputFormat, SampleOptions,
    SessionOptions, Speculation,
};
pub use plan::{Fit, Plan, Suggestion, plan_model};
pub use session::ModelSession;
pub use stream::ResponseStream;
pub use tools::ToolSpec;

uniffi::setup_scaffolding!();
