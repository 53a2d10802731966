//! What can go wrong, in terms an app can act on.
//!
//! Cancellation is not here: a cancelled generation ends with a finish reason, because nothing failed.

use std::path::PathBuf;

/// The result of every fallible operation of this crate.
pub type Result<T, E = PocketError> = std::result::Result<T, E>;

/// Every error of the runtime. Variants carry the fields an app needs to react or to show a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PocketError {
    /// There is no readable file at the path.
    #[error("model not found: {} ({reason})", path.display())]
    ModelNotFound {
        /// The path that was asked for.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The file is well formed, but this runtime has no page for what is in it.
    #[error("unsupported model: {what}")]
    UnsupportedModel {
        /// The architecture, block format, tokenizer or feature that is missing, by name.
        what: String,
    },
    /// The file contradicts its own format.
    #[error("corrupt model: {what}, at {location}")]
    CorruptModel {
        /// What is wrong, with the value found and the bound it broke.
        what: String,
        /// The metadata key or tensor name, and the byte offset where known.
        location: String,
    },
    /// The model, its cache or its scratch space does not fit.
    #[error("not enough memory: {needed} bytes needed, {available} available")]
    InsufficientMemory {
        /// Bytes the operation needs.
        needed: u64,
        /// Bytes that can be had.
        available: u64,
    },
    /// The prompt (with what is already in the session) does not fit the context window.
    #[error("context exceeded: {tokens} tokens, the window holds {size}")]
    ContextExceeded {
        /// The context window, in tokens.
        size: usize,
        /// The tokens that would be needed.
        tokens: usize,
    },
    /// The chat template could not be compiled or rendered within its limits.
    #[error("chat template failed: {reason}")]
    TemplateFailed {
        /// The template engine's message, or the limit that was reached.
        reason: String,
    },
    /// An argument is outside its domain.
    #[error("invalid {name}: {reason}")]
    InvalidArgument {
        /// The argument or option, as it is spelled in the API.
        name: String,
        /// Why it was refused.
        reason: String,
    },
    /// A JSON schema uses a keyword that cannot be enforced.
    #[error("schema not supported, at {path}")]
    SchemaUnsupported {
        /// JSON pointer to the offending keyword.
        path: String,
    },
    /// A tool of the app failed.
    #[error("tool {name} failed: {reason}")]
    ToolFailed {
        /// The tool's name.
        name: String,
        /// What the tool said.
        reason: String,
    },
    /// A saved session cannot be written or restored.
    #[error("session file: {fault}: {detail}")]
    SessionFile {
        /// What is wrong, for an app to act on.
        fault: SessionFault,
        /// Where, or what was found instead.
        detail: String,
    },
    /// The session is already generating.
    #[error("busy: this session is already generating")]
    Busy,
    /// The requested compute device cannot be used here.
    #[error("device {device} unavailable: {reason}")]
    DeviceUnavailable {
        /// The device asked for: `cpu` or `gpu`.
        device: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The compute device went away during an operation.
    #[error("device lost: {reason}")]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// The model or session was closed.
    #[error("closed")]
    Closed,
    /// A bug in this library; please report it with the text.
    #[error("internal error: {reason}")]
    Internal {
        /// The panic text or the broken invariant.
        reason: String,
    },
}

/// What is wrong with a saved session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionFault {
    /// The file is not there or cannot be read.
    #[error("it cannot be read")]
    Unreadable,
    /// The file could not be written; what was there before still is.
    #[error("it cannot be written")]
    Unwritable,
    /// The file is something else.
    #[error("it is no saved session")]
    NotASession,
    /// A later version of this library wrote it.
    #[error("another version of the format")]
    OtherVersion,
    /// The end of the file is missing.
    #[error("it is truncated")]
    Truncated,
    /// The file is not what was written.
    #[error("it is damaged")]
    Damaged,
    /// The file is encrypted, and no key was given.
    #[error("a key is needed")]
    KeyMissing,
    /// The file is encrypted with another key.
    #[error("the key is wrong")]
    WrongKey,
    /// A key was given, and the file is not encrypted.
    #[error("it is not encrypted")]
    NotEncrypted,
    /// Another model's session.
    #[error("another model's session")]
    OtherModel,
    /// The same model, with another chat template.
    #[error("another chat template")]
    OtherTemplate,
}

impl PocketError {
    /// A [`PocketError::CorruptModel`] from what is wrong and where.
    pub fn corrupt(what: impl Into<String>, location: impl Into<String>) -> Self {
        Self::CorruptModel {
            what: what.into(),
            location: location.into(),
        }
    }

    /// A [`PocketError::UnsupportedModel`] that names what is missing.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::UnsupportedModel { what: what.into() }
    }

    /// A [`PocketError::InvalidArgument`] for the option `name`.
    pub fn invalid(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidArgument {
            name: name.into(),
            reason: reason.into(),
        }
    }
}
