//! Running `cargo test -- --show-output`, and reading what it prints.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::cargo::show;

/// Sums over all test binaries, and what tests said about parts they left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub ignored: u64,
    /// Name of the test, and what it wrote after `SKIPPED:`.
    pub skips: Vec<(String, String)>,
    /// Between `successes:` and what follows it: the output of tests that passed.
    in_successes: bool,
    /// The test whose output is being read.
    test: String,
}

impl Tally {
    /// Runs a `cargo test -- --show-output`, counting and showing what is worth it.
    ///
    /// # Errors
    /// When it cannot be started or fails; what it printed is counted all the same.
    pub fn run(&mut self, command: &mut Command) -> Result<()> {
        let text = show(command);
        self.follow(command, Self::read)
            .with_context(|| format!("`{text}`"))
    }

    /// Runs a `swift test`, counting and showing what is worth it.
    ///
    /// # Errors
    /// As [`Tally::run`].
    pub fn run_swift(&mut self, command: &mut Command) -> Result<()> {
        self.follow(command, Self::read_swift)
    }

    /// Runs a step by itself, with a closing line.
    ///
    /// # Errors
    /// As the step does.
    pub fn alone(step: fn(&mut Self) -> Result<()>) -> Result<()> {
        let mut tally = Self::default();
        let result = step(&mut tally);
        println!("{}", tally.closing_line());
        result
    }

    /// Runs a command, lets `read` see its lines, and shows those for which that says so.
    ///
    /// # Errors
    /// When it cannot be started or fails; all its lines have been read then.
    pub fn follow(
        &mut self,
        command: &mut Command,
        mut read: impl FnMut(&mut Self, &str) -> bool,
    ) -> Result<()> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot be run")?;
        let output = child.stdout.take().context("no output to read")?;
        for line in BufReader::new(output).split(b'\n') {
            // A test may print anything: bytes that are no text are shown as such.
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\r');
            if read(self, line) {
                println!("{line}");
            }
        }
        let status = child.wait()?;
        ensure!(status.success(), "failed ({status})");
        Ok(())
    }

    /// Takes note of a line of swift-testing: a symbol, then `Test name() passed after 0.1 seconds.`,
    /// `… failed after …` or `… skipped: "reason"`, and tells whether it is worth showing. Tests of
    /// several cases count once.
    pub fn read_swift(&mut self, line: &str) -> bool {
        let words = line.trim_start_matches(|symbol: char| !symbol.is_ascii_alphabetic());
        let Some(rest) = words.strip_prefix("Test ") else {
            return !words.starts_with("Suite ");
        };
        if rest.starts_with("run ") || rest.starts_with("case ") {
            return rest.starts_with("run ");
        }
        let Some((name, what)) = rest.split_once(") ").or_else(|| rest.split_once("\" ")) else {
            return true;
        };
        // `with 5 test cases passed after …`
        let ended = |word: &str| what.contains(&format!("{word} after "));
        if ended("passed") {
            self.passed += 1;
        } else if ended("failed") {
            self.failed += 1;
        } else if let Some((_, reason)) = what.split_once("skipped") {
            self.ignored += 1;
            let name = name.split('(').next().unwrap_or(name).to_string();
            let reason = reason.trim_matches([':', ' ', '"', '.']).to_string();
            self.skips.push((name, reason));
        }
        !what.starts_with("started")
    }

    /// Says, now and in the summary, that something was left out.
    pub fn skip(&mut self, what: &str, reason: &str) {
        println!("SKIPPED: {reason}");
        self.skips.push((what.to_string(), reason.to_string()));
    }

    /// Takes note of a line in which `test` says that it left something out, once.
    pub fn note_skip(&mut self, test: &str, line: &str) {
        if let Some(reason) = line.trim_start().strip_prefix("SKIPPED:") {
            let skip = (test.to_string(), reason.trim().to_string());
            if !self.skips.contains(&skip) {
                self.skips.push(skip);
            }
        }
    }

    /// How many tests have run to their end.
    pub fn ran(&self) -> u64 {
        self.passed + self.failed
    }

    /// Adds another tally, whose tests ran at another `place`.
    pub fn add_run(&mut self, run: Self, place: &str) {
        self.passed += run.passed;
        self.failed += run.failed;
        self.ignored += run.ignored;
        let skips = run.skips.into_iter();
        self.skips
            .extend(skips.map(|(test, reason)| (format!("{test} on {place}"), reason)));
    }

    /// Takes note of a line, and tells whether it is worth showing: the output of tests that passed
    /// is not.
    pub fn read(&mut self, line: &str) -> bool {
        if line == "successes:" {
            self.in_successes = true;
        } else if line == "failures:" {
            self.in_successes = false;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            self.add(counts);
        } else if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            self.test = name.to_string();
        } else {
            let test = self.test.clone();
            self.note_skip(&test, line);
        }
        !self.in_successes
    }

    /// Adds `ok. 25 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, counts: &str) {
        let counts = counts.split_once(". ").map_or(counts, |(_, counts)| counts);
        for count in counts.split(';') {
            let Some((number, what)) = count.trim().split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }

    /// The line that closes a run: sums of cargo's own result lines.
    pub fn closing_line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.ignored
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
running 2 tests
test a::one ... ok
test b::two ... ok

successes:

---- a::one stdout ----
SKIPPED: no such model
chatter
SKIPPED: no such model

successes:
    a::one
    b::two

test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s

running 2 tests
test c ... FAILED

failures:

---- c stdout ----
it broke

failures:
    c

test result: FAILED. 0 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.50s
";

    #[test]
    fn results_are_summed_and_only_failures_are_shown() {
        let mut tally = Tally::default();
        let shown: Vec<&str> = OUTPUT.lines().filter(|line| tally.read(line)).collect();
        assert_eq!(tally.closing_line(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(
            tally.skips,
            [("a::one".to_string(), "no such model".to_string())]
        );
        assert!(!shown.contains(&"chatter"));
        assert!(shown.contains(&"it broke") && shown.contains(&"test a::one ... ok"));
        assert_eq!(
            shown
                .iter()
                .filter(|line| line.starts_with("test result:"))
                .count(),
            2
        );
    }

    #[test]
    fn results_of_swift_are_counted() {
        let output = "\
Building for debugging...
◇ Test run started.
◇ Suite A started.
◇ Test one() started.
✔ Test one() passed after 0.001 seconds.
◇ Test many(text:) started.
✔ Test many(text:) with 3 test cases passed after 0.1 seconds.
✘ Test two() recorded an issue at T.swift:3:4: Expectation failed: 1 == 2
✘ Test two() failed after 0.5 seconds with 1 issue.
➜ Test three() skipped: \"no such model\"
✔ Suite A passed after 0.2 seconds.
✘ Test run with 4 tests failed after 1.0 seconds with 1 issue.
";
        let mut tally = Tally::default();
        let shown: Vec<&str> = output
            .lines()
            .filter(|line| tally.read_swift(line))
            .collect();
        assert_eq!(tally.closing_line(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(
            tally.skips,
            [("three".to_string(), "no such model".to_string())]
        );
        assert!(shown.iter().any(|line| line.contains("Expectation failed")));
        assert!(shown.iter().any(|line| line.contains("Test run with")));
        assert!(
            !shown
                .iter()
                .any(|line| line.contains("started.") && line.contains("one()"))
        );
    }

    #[test]
    fn another_run_adds_its_sums_and_the_place_of_its_skips() {
        let mut emulated = Tally::default();
        for line in OUTPUT.lines() {
            emulated.read(line);
        }
        assert_eq!(emulated.ran(), 3);
        let mut tally = Tally {
            passed: 10,
            skips: vec![("a::one".to_string(), "no such model".to_string())],
            ..Tally::default()
        };
        tally.add_run(emulated, "cortex-a57");
        assert_eq!(tally.closing_line(), "12 passed, 1 failed, 1 skipped");
        let names: Vec<&str> = tally.skips.iter().map(|(test, _)| test.as_str()).collect();
        assert_eq!(names, ["a::one", "a::one on cortex-a57"]);
    }
}
