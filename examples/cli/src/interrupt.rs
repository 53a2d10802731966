//! Ctrl-C: it stops an answer that is being written, and the program otherwise.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use pocketlm::Canceller;

/// The exit code after Ctrl-C: 128 plus the number of the signal, as shells have it.
pub const EXIT_CODE: u8 = 130;

/// The answer that is being written, while there is one.
static ANSWER: Mutex<Option<Canceller>> = Mutex::new(None);

/// The error of a command that ended because of Ctrl-C; it is not shown.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Installs the handler. A first Ctrl-C cancels the answer; one without an answer, or a second one
/// while the first is still being obeyed, ends the program.
///
/// # Errors
/// When the system refuses the handler.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| match take() {
        Some(answer) => answer.cancel(),
        None => std::process::exit(EXIT_CODE.into()),
    })
    .context("cannot handle Ctrl-C")
}

/// Makes Ctrl-C cancel this answer until the guard is dropped.
pub fn during(answer: Canceller) -> Guard {
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    Guard
}

fn take() -> Option<Canceller> {
    ANSWER.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Ends the effect of [`during`].
pub struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        take();
    }
}
