//! Reading what `cargo test -- --show-output` prints.

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
        } else if let Some(reason) = line.trim_start().strip_prefix("SKIPPED:") {
            let skip = (self.test.clone(), reason.trim().to_string());
            if !self.skips.contains(&skip) {
                self.skips.push(skip);
            }
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
}
