//! Errors in the form the foreign languages see: an enum whose cases carry fields.

use std::fmt;

/// What can go wrong, with what an app needs to react or to show a message.
///
/// The cases are those of the Rust crate's error, and one for a load that the app cancelled, for
/// languages whose own cancellation does not end the call. A cancelled answer is no error: it ends
/// with a finish reason.
#[derive(Clone, Debug, PartialEq, thiserror::Error, uniffi::Error)]
#[uniffi::export(Display)]
#[non_exhaustive]
pub enum PocketError {
    /// There is no readable file at the path.
    ModelNotFound {
        /// The path that was asked for.
        path: String,
        /// What the operating system said.
        reason: String,
    },
    /// The file is well formed, but this runtime cannot run what is in it.
    UnsupportedModel {
        /// What is missing, by name.
        what: String,
    },
    /// The file contradicts its own format.
    CorruptModel {
        /// What is wrong.
        what: String,
        /// The metadata key or tensor, and the byte offset where known.
        location: String,
    },
    /// The model, its cache or its scratch space does not fit.
    InsufficientMemory {
        /// Bytes the operation needs.
        needed: u64,
        /// Bytes that can be had.
        available: u64,
    },
    /// The prompt, with what is already in the session, does not fit the context window.
    ContextExceeded {
        /// The context window, in tokens.
        size: u64,
        /// The tokens that would be needed.
        tokens: u64,
    },
    /// The chat template could not be compiled or rendered within its limits.
    TemplateFailed {
        /// The template engine's message, or the limit that was reached.
        reason: String,
    },
    /// An argument is outside its domain.
    InvalidArgument {
        /// The argument or option, as it is spelled in the API.
        name: String,
        /// Why it was refused.
        reason: String,
    },
    /// A JSON schema uses a keyword that cannot be enforced.
    SchemaUnsupported {
        /// JSON pointer to the offending keyword.
        path: String,
    },
    /// A tool of the app failed.
    ToolFailed {
        /// The tool's name.
        name: String,
        /// What the tool said.
        reason: String,
    },
    /// A saved session cannot be written or restored.
    SessionFile {
        /// What is wrong, for an app to act on.
        fault: SessionFault,
        /// Where, or what was found instead.
        detail: String,
    },
    /// The session is already generating.
    Busy,
    /// The requested compute device cannot be used here.
    DeviceUnavailable {
        /// The device asked for.
        device: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// The compute device went away during an operation.
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// The model or session was closed.
    Closed,
    /// The app cancelled the load.
    Cancelled,
    /// A bug in this library; please report it with the text.
    Internal {
        /// The panic text or the broken invariant.
        reason: String,
    },
}

/// The same cases here and in the Rust crate.
macro_rules! session_faults {
    ($($(#[$doc:meta])* $case:ident,)*) => {
        /// What is wrong with a saved session.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
        pub enum SessionFault {
            $($(#[$doc])* $case,)*
        }

        impl From<pocketlm::SessionFault> for SessionFault {
            fn from(fault: pocketlm::SessionFault) -> Self {
                match fault {
                    $(pocketlm::SessionFault::$case => Self::$case,)*
                    // The core's enum may grow.
                    _ => Self::Damaged,
                }
            }
        }

        impl From<SessionFault> for pocketlm::SessionFault {
            fn from(fault: SessionFault) -> Self {
                match fault {
                    $(SessionFault::$case => Self::$case,)*
                }
            }
        }
    };
}

session_faults! {
    /// The file is not there or cannot be read.
    Unreadable,
    /// The file could not be written; what was there before still is.
    Unwritable,
    /// The file is something else.
    NotASession,
    /// A later version of this library wrote it.
    OtherVersion,
    /// The end of the file is missing.
    Truncated,
    /// The file is not what was written.
    Damaged,
    /// The file is encrypted, and no key was given.
    KeyMissing,
    /// The file is encrypted with another key.
    WrongKey,
    /// A key was given, and the file is not encrypted.
    NotEncrypted,
    /// Another model's session.
    OtherModel,
    /// The same model, with another chat template.
    OtherTemplate,
}

impl From<pocketlm::PocketError> for PocketError {
    fn from(error: pocketlm::PocketError) -> Self {
        use pocketlm::PocketError as Core;
        match error {
            Core::ModelNotFound { path, reason } => Self::ModelNotFound {
                path: path.display().to_string(),
                reason,
            },
            Core::UnsupportedModel { what } => Self::UnsupportedModel { what },
            Core::CorruptModel { what, location } => Self::CorruptModel { what, location },
            Core::InsufficientMemory { needed, available } => {
                Self::InsufficientMemory { needed, available }
            }
            Core::ContextExceeded { size, tokens } => Self::ContextExceeded {
                size: size as u64,
                tokens: tokens as u64,
            },
            Core::TemplateFailed { reason } => Self::TemplateFailed { reason },
            Core::InvalidArgument { name, reason } => Self::InvalidArgument { name, reason },
            Core::SchemaUnsupported { path } => Self::SchemaUnsupported { path },
            Core::ToolFailed { name, reason } => Self::ToolFailed { name, reason },
            Core::SessionFile { fault, detail } => Self::SessionFile {
                fault: fault.into(),
                detail,
            },
            Core::Busy => Self::Busy,
            Core::DeviceUnavailable { device, reason } => {
                Self::DeviceUnavailable { device, reason }
            }
            Core::DeviceLost { reason } => Self::DeviceLost { reason },
            Core::Closed => Self::Closed,
            Core::Internal { reason } => Self::Internal { reason },
            // The core's enum may grow: its text is better than nothing.
            other => Self::Internal {
                reason: other.to_string(),
            },
        }
    }
}

/// What an exception in the app's own code, called from here, becomes.
impl From<uniffi::UnexpectedUniFFICallbackError> for PocketError {
    fn from(error: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Internal {
            reason: format!("the app's code failed: {}", error.reason),
        }
    }
}

impl PocketError {
    /// An `InvalidArgument`.
    pub(crate) fn invalid(name: &str, reason: impl fmt::Display) -> Self {
        Self::InvalidArgument {
            name: name.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// The error in the terms of the Rust crate, which has none for a cancelled load.
fn native(error: PocketError) -> Option<pocketlm::PocketError> {
    use pocketlm::PocketError as Core;
    Some(match error {
        PocketError::ModelNotFound { path, reason } => Core::ModelNotFound {
            path: path.into(),
            reason,
        },
        PocketError::UnsupportedModel { what } => Core::UnsupportedModel { what },
        PocketError::CorruptModel { what, location } => Core::CorruptModel { what, location },
        PocketError::InsufficientMemory { needed, available } => {
            Core::InsufficientMemory { needed, available }
        }
        PocketError::ContextExceeded { size, tokens } => Core::ContextExceeded {
            size: size as usize,
            tokens: tokens as usize,
        },
        PocketError::TemplateFailed { reason } => Core::TemplateFailed { reason },
        PocketError::InvalidArgument { name, reason } => Core::InvalidArgument { name, reason },
        PocketError::SchemaUnsupported { path } => Core::SchemaUnsupported { path },
        PocketError::ToolFailed { name, reason } => Core::ToolFailed { name, reason },
        PocketError::SessionFile { fault, detail } => Core::SessionFile {
            fault: fault.into(),
            detail,
        },
        PocketError::Busy => Core::Busy,
        PocketError::DeviceUnavailable { device, reason } => {
            Core::DeviceUnavailable { device, reason }
        }
        PocketError::DeviceLost { reason } => Core::DeviceLost { reason },
        PocketError::Closed => Core::Closed,
        PocketError::Cancelled => return None,
        PocketError::Internal { reason } => Core::Internal { reason },
    })
}

/// The text is the Rust crate's, in one place.
impl fmt::Display for PocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match native(self.clone()) {
            Some(error) => error.fmt(f),
            None => f.write_str("cancelled"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_text_survive_the_border() {
        let core = [
            pocketlm::PocketError::corrupt("count 7", "general.name, byte 24"),
            pocketlm::PocketError::ContextExceeded {
                size: 4096,
                tokens: 5000,
            },
            pocketlm::PocketError::InsufficientMemory {
                needed: 3,
                available: 2,
            },
            pocketlm::PocketError::invalid("top_p", "above 1"),
            pocketlm::PocketError::SessionFile {
                fault: pocketlm::SessionFault::WrongKey,
                detail: "another".into(),
            },
            pocketlm::PocketError::Busy,
        ];
        for error in core {
            let foreign = PocketError::from(error.clone());
            assert_eq!(foreign.to_string(), error.to_string());
            assert_eq!(native(foreign), Some(error));
        }
    }
}
