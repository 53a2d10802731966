//! How far a download has come: a bar on a terminal, a line for each tenth elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::catalogue::Entry;

/// The progress of one model.
pub struct Meter {
    bar: ProgressBar,
    total: u64,
    /// Tenths already reported, where there is no terminal to draw a bar on.
    tenths: Option<u64>,
}

impl Meter {
    /// A meter for the whole of `entry`.
    pub fn new(entry: &Entry) -> Self {
        Self::of_bytes(entry.bytes)
    }

    /// A meter for `total` bytes.
    pub fn of_bytes(total: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            ProgressBar::new(total)
        } else {
            ProgressBar::hidden()
        };
        let template = "{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            total,
            tenths: (!terminal).then_some(0),
        }
    }

    /// Shows that `bytes` of the file have arrived.
    pub fn set(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
        if let Some(shown) = &mut self.tenths {
            let tenths = (bytes * 10).checked_div(self.total).unwrap_or(0);
            if tenths > *shown {
                *shown = tenths;
                eprintln!("  {} %", tenths * 10);
            }
        }
    }

    /// Shows a line above the bar, on stderr.
    pub fn note(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
