//! PocketLM for Kotlin and Swift, through UniFFI: the border, and nothing else.
//!
//! ```text
//! Kotlin / Swift façade ─→ generated bindings ─→ this crate ─→ pocketlm
//!        coroutine, Task        one call            worker thread
//! ```
//!
//! Three rules hold at the border:
//! - Nothing computes on the caller's thread. A Rust future is polled there, so each future here
//!   only waits for a thread of ours.
//! - A panic never crosses: it becomes [`PocketError::Internal`].
//! - Dropping a future (what a cancelled Kotlin coroutine does) stops the work behind it; Swift
//!   does not drop futures, so there is an explicit [`ModelSession::cancel`] too.
//!
//! This is the skeleton: loading and whole answers. Streaming comes with the façades.

mod answer;
mod error;
mod model;
mod worker;

pub use answer::{FinishReason, Response, Usage};
pub use error::{PocketError, SessionFault};
pub use model::{LocalModel, ModelSession};

uniffi::setup_scaffolding!();
