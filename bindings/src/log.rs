//! What the library has to say while it works, for the app's own log.
//!
//! The runtime reports through `tracing`, whose subscriber is one for the whole process: it is
//! installed by the first [`set_log_sink`], never before, and is the only global state here.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};

use crate::error::PocketError;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, uniffi::Enum)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What an app's developer may want to know.
    Info,
    /// For finding faults.
    Debug,
    /// Every step.
    Trace,
}

/// Takes the library's messages; implemented by the app. Called on any thread of the library, which
/// waits for it: it must be quick and may not call the library.
#[uniffi::export(with_foreign)]
pub trait LogSink: Send + Sync {
    /// Takes one message. What this fails with is ignored.
    ///
    /// # Errors
    /// The app's own.
    fn log(&self, level: LogLevel, target: String, message: String) -> Result<(), PocketError>;
}

/// Sends messages at `level` and above to `sink`, in place of an earlier one; `None` ends that.
///
/// # Errors
/// `InvalidArgument` when the process has another subscriber of `tracing`, which gets the messages.
#[uniffi::export]
pub fn set_log_sink(sink: Option<Arc<dyn LogSink>>, level: LogLevel) -> Result<(), PocketError> {
    static INSTALLED: OnceLock<Option<Forward>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let forward = Forward::default();
        let installed = tracing::subscriber::set_global_default(forward.clone());
        installed.is_ok().then_some(forward)
    });
    let Some(Forward(slot)) = installed else {
        return Err(PocketError::InvalidArgument {
            name: "sink".into(),
            reason: "another subscriber takes this process's messages".into(),
        });
    };
    *slot.write().unwrap_or_else(PoisonError::into_inner) = sink.map(|sink| (sink, level));
    Ok(())
}

/// The subscriber that hands events to the sink of the moment. Spans are not passed on.
#[derive(Clone, Default)]
struct Forward(Arc<RwLock<Option<Sink>>>);

type Sink = (Arc<dyn LogSink>, LogLevel);

thread_local! {
    /// A sink that calls the library after all does not get messages about that.
    static IN_SINK: Cell<bool> = const { Cell::new(false) };
}

impl Forward {
    fn sink(&self, level: Level) -> Option<Sink> {
        let sink = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sink.clone().filter(|(_, most)| foreign(level) <= *most)
    }
}

impl Subscriber for Forward {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The sink changes: ask each time.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && !IN_SINK.get() && self.sink(*metadata.level()).is_some()
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let Some((sink, _)) = self.sink(*metadata.level()) else {
            return;
        };
        let mut text = Text::default();
        event.record(&mut text);
        IN_SINK.set(true);
        let level = foreign(*metadata.level());
        // An app's logger that fails is the app's affair.
        let _ = sink.log(level, metadata.target().to_owned(), text.0);
        IN_SINK.set(false);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn foreign(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

/// The message of an event, and its fields behind it.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = if field.name() == "message" {
            let fields = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{fields}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}
