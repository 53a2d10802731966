//! One compiled template, and the limits it renders under.
//!
//! Templates come out of model files, so they are run as hostile code: on a thread with a stack of
//! its own (an app's thread may have 512 KiB), with a budget for instructions and text
//! ([`BASE_FUEL`]), a budget for walking containers, and a bound on the output. What breaks a limit
//! is a [`PocketError::TemplateFailed`].

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind};

use super::container::{Exhausted, set_budget};
use super::{builtins, date, source};
use crate::error::{PocketError, Result};

/// What a render may spend beside what its input adds: one unit is one instruction of the engine or
/// 64 bytes of text it creates. The most that a known template spends on a short conversation with
/// tools is below 5,000.
pub const BASE_FUEL: u64 = 10_000;

/// What each message and each tool adds to the fuel.
pub const FUEL_PER_MESSAGE: u64 = 2_000;

/// What each pair of messages adds to the fuel: some templates look at all later messages for each
/// message.
const FUEL_PER_PAIR: u64 = 16;

/// The budget for visiting container items, 16 bytes each plus their text, beside what the input
/// adds.
const BASE_VISITS: u64 = 2 << 20;

/// What each pair of messages adds to the budget for visits.
const VISITS_PER_PAIR: u64 = 64;

/// How many times each byte of input may be copied or visited.
const COPIES_OF_INPUT: u64 = 64;

/// Bytes of text that one unit of fuel pays for. Fixed by the engine.
pub(super) const BYTES_PER_FUEL: u64 = 64;

/// The longest rendered prompt, in bytes.
pub const MAX_OUTPUT: usize = 4 << 20;

/// The stack of the thread that compiles and renders. Memory is only committed as far as it is
/// used.
const STACK_SIZE: usize = 16 << 20;

/// The longest error text that is passed on, in characters: a template chooses what its errors say.
const MAX_REASON: usize = 500;

/// The name of the one template of an environment, as errors show it. No suffix: no escaping.
const NAME: &str = "chat_template";

/// How much input a render has, which its budgets grow with.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct InputSize {
    /// Messages and tools.
    pub(super) messages: usize,
    /// Bytes of text in them.
    pub(super) bytes: usize,
}

impl InputSize {
    fn fuel(self) -> u64 {
        let messages = self.messages as u64;
        let text = COPIES_OF_INPUT.saturating_mul(self.bytes as u64) / BYTES_PER_FUEL;
        let pairs = messages.saturating_mul(messages);
        BASE_FUEL
            .saturating_add(FUEL_PER_MESSAGE.saturating_mul(messages))
            .saturating_add(FUEL_PER_PAIR.saturating_mul(pairs))
            .saturating_add(text)
    }

    fn visits(self) -> u64 {
        let messages = self.messages as u64;
        let text = COPIES_OF_INPUT.saturating_mul(self.bytes as u64);
        let pairs = messages.saturating_mul(messages);
        BASE_VISITS
            .saturating_add(VISITS_PER_PAIR.saturating_mul(pairs))
            .saturating_add(text)
    }
}

/// A compiled template. Rendering does not change it, so it can be shared between threads.
#[derive(Clone)]
pub(super) struct Engine {
    env: Environment<'static>,
}

impl Engine {
    /// Compiles `template`. Runs on the current thread: call it inside [`on_own_stack`].
    pub(super) fn compile(template: &str) -> Result<Self> {
        let prepared = source::prepare(template).map_err(failed)?;
        let mut env = Environment::new();
        // As Hugging Face's renderer: trim_blocks, lstrip_blocks, and the last newline dropped.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        env.set_syntax(syntax.map_err(|e| failed(e.to_string()))?);
        builtins::install(&mut env);
        env.add_template_owned(NAME, prepared)
            .map_err(|e| engine_error(&e))?;
        Ok(Self { env })
    }

    /// Renders with `variables`, at the time `now` (seconds since 1970, UTC), which `strftime_now`
    /// formats. Runs on the current thread: call it inside [`on_own_stack`].
    ///
    /// # Errors
    /// [`Failure`] with the template's message or the limit that was reached.
    pub(super) fn render(
        &self,
        variables: Vec<(String, Value)>,
        now: u64,
        size: InputSize,
    ) -> Result<String, Failure> {
        let mut env = self.env.clone();
        env.set_fuel(Some(size.fuel()));
        env.add_function("strftime_now", move |format: &str| {
            date::strftime(now, format)
        });
        let mut out = Limited::default();
        set_budget(size.visits());
        let rendered = catch_unwind(AssertUnwindSafe(|| {
            env.get_template(NAME)?
                .render_captured_to(Value::from_pairs(variables), &mut out)
                .map(|_| ())
        }));
        set_budget(u64::MAX);
        match rendered {
            _ if out.full => Err(Failure::Limit(failed(format!(
                "the output is longer than {MAX_OUTPUT} bytes"
            )))),
            Ok(Ok(())) => {
                String::from_utf8(out.bytes).map_err(|e| Failure::Template(failed(e.to_string())))
            }
            Ok(Err(error)) if error.kind() == ErrorKind::OutOfFuel => {
                Err(Failure::Limit(failed("the template does too much work")))
            }
            Ok(Err(error)) => Err(Failure::Template(engine_error(&error))),
            Err(panic) => Err(Failure::Limit(panicked(&*panic))),
        }
    }
}

/// Why a render failed. Both hold a [`PocketError::TemplateFailed`].
#[derive(Debug)]
pub(super) enum Failure {
    /// The template raised an error, or is wrong.
    Template(PocketError),
    /// A limit was reached.
    Limit(PocketError),
}

impl From<Failure> for PocketError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Template(error) | Failure::Limit(error) => error,
        }
    }
}

/// Runs `work` on a thread with a stack of [`STACK_SIZE`] bytes and waits for it.
///
/// # Errors
/// Those of `work`, and [`PocketError::TemplateFailed`] when the thread cannot be started or
/// panics.
pub(super) fn on_own_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("pocketlm-template".into())
            .stack_size(STACK_SIZE)
            .spawn_scoped(scope, work)
            .map_err(|e| failed(format!("no thread to render on: {e}")))?;
        thread.join().unwrap_or_else(|panic| Err(panicked(&*panic)))
    })
}

/// A buffer that refuses to grow past [`MAX_OUTPUT`].
#[derive(Default)]
struct Limited {
    bytes: Vec<u8>,
    full: bool,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > MAX_OUTPUT - self.bytes.len() {
            self.full = true;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A [`PocketError::TemplateFailed`] with a bounded reason.
pub(super) fn failed(reason: impl Into<String>) -> PocketError {
    let mut reason: String = reason.into();
    if let Some((cut, _)) = reason.char_indices().nth(MAX_REASON) {
        reason.truncate(cut);
        reason.push('…');
    }
    PocketError::TemplateFailed { reason }
}

fn engine_error(error: &minijinja::Error) -> PocketError {
    let mut reason = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    if let Some(line) = error.line() {
        reason.push_str(&format!(" (line {line})"));
    }
    failed(reason)
}

fn panicked(payload: &(dyn Any + Send)) -> PocketError {
    if Exhausted::is(payload) {
        return failed("the template walks too many nested values");
    }
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    failed(format!(
        "the template engine panicked: {}",
        text.unwrap_or_default()
    ))
}
