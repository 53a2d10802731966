//! Standard output that can be closed at any time, and how numbers and errors are written.

use std::io::{self, IsTerminal, StdoutLock, Write};

use anyhow::{Error, Result};
use serde_json::Value;

/// Standard output. Writing never panics: a closed pipe is an error like any other.
pub struct Output {
    /// Whether results are written as JSON.
    pub json: bool,
    stdout: StdoutLock<'static>,
}

impl Output {
    /// Standard output, with results in JSON or for people.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            stdout: io::stdout().lock(),
        }
    }

    /// Whether a person is likely to read it.
    pub fn is_terminal(&self) -> bool {
        self.stdout.is_terminal()
    }

    /// Writes a line.
    pub fn line(&mut self, line: &str) -> Result<()> {
        Ok(writeln!(self.stdout, "{line}")?)
    }

    /// Writes a piece of streamed text at once.
    pub fn stream(&mut self, text: &str) -> Result<()> {
        self.stdout.write_all(text.as_bytes())?;
        self.flush()
    }

    /// Writes one JSON value in one line, at once.
    pub fn json(&mut self, value: &Value) -> Result<()> {
        writeln!(self.stdout, "{value}")?;
        self.flush()
    }

    /// Hands over everything written.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.stdout.flush()?)
    }
}

/// Writes `error: …` with the error's causes to standard error, in one line.
pub fn report(error: &Error) {
    let text = format!("{error:#}");
    let line: Vec<&str> = text.split_whitespace().collect();
    let _ = writeln!(io::stderr(), "error: {}", line.join(" "));
}

/// Whether the cause of an error is that nobody reads our output any more.
pub fn is_broken_pipe(error: &Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// A number of bytes for people: `468.6 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// A large count for people: `494.0 M`.
pub fn count(count: u64) -> String {
    match count as f64 {
        n if n >= 1e9 => format!("{:.2} G", n / 1e9),
        n if n >= 1e6 => format!("{:.1} M", n / 1e6),
        n if n >= 1e4 => format!("{:.1} k", n / 1e3),
        _ => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (n, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (491_400_064, "468.6 MiB"),
        ] {
            assert_eq!(bytes(n), text);
        }
        for (n, text) in [
            (9999, "9999"),
            (494_032_768, "494.0 M"),
            (7_615_616_512, "7.62 G"),
        ] {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn a_broken_pipe_is_found_below_other_messages() {
        let pipe = Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert!(is_broken_pipe(&pipe));
        assert!(!is_broken_pipe(&anyhow::anyhow!("BrokenPipe")));
    }
}
