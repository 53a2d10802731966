//! What a run measures: from the options and from what the model allows.

use anyhow::{Result, ensure};
use pocketlm::session::DEFAULT_CONTEXT;

use super::BenchArgs;

/// Depths when none are given.
const DEPTHS: [usize; 2] = [0, 4096];

/// Sizes of verification passes when none are given.
const VERIFY: [usize; 3] = [2, 4, 8];

/// Tokens in the context before a verification pass: a short conversation. With the most that is
/// drafted at once it stays below a multiple of 64, where a cache takes its next page.
const VERIFY_DEPTH: usize = 80;

/// The rows of a run.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Tokens of the prompt, or 0.
    pub prompt: usize,
    /// Tokens to generate, or 0.
    pub generate: usize,
    /// Tokens in the context before those to generate, ascending; empty for none to generate.
    pub depths: Vec<usize>,
    /// Sizes of verification passes, ascending.
    pub verify: Vec<usize>,
    /// Tokens in the context before a verification pass.
    pub verify_depth: usize,
    /// Repetitions of each row.
    pub repetitions: u16,
    /// The context to load the model with; `None` for the library's default.
    pub context: Option<usize>,
}

impl Plan {
    /// The plan for a model that was made for `trained` positions, when the user asked for
    /// `context`. A default depth that does not fit is left out, with a note.
    ///
    /// # Errors
    /// When there is nothing to measure, or something that was asked for does not fit.
    pub fn new(args: &BenchArgs, context: Option<usize>, trained: Option<usize>) -> Result<Self> {
        let (prompt, generate) = (args.prompt, args.generate);
        let trained = trained.unwrap_or(DEFAULT_CONTEXT);
        let limit = context.unwrap_or(trained);
        ensure!(
            prompt > 0 || generate > 0 || args.verify.iter().any(|&k| k > 0),
            "nothing to measure: -p and -n are both 0"
        );
        ensure!(
            prompt.max(generate) <= limit,
            "{} tokens do not fit a context of {limit}",
            prompt.max(generate)
        );
        let depths = match generate {
            0 => Vec::new(),
            _ => depths(&args.depths, generate, limit)?,
        };
        let (verify, verify_depth) = verify(&args.verify, limit)?;

        let mut plan = Self {
            prompt,
            generate,
            depths,
            verify,
            verify_depth,
            repetitions: args.repetitions,
            context,
        };
        if context.is_none() && plan.most_tokens() > DEFAULT_CONTEXT {
            plan.context = Some(plan.most_tokens());
        }
        Ok(plan)
    }

    /// Tokens of the longest sequence.
    pub fn most_tokens(&self) -> usize {
        let generate = self.depths.last().map_or(0, |depth| depth + self.generate);
        let verify = self.verify.last().map_or(0, |k| self.verify_depth + k);
        self.prompt.max(generate).max(verify)
    }
}

/// The depths asked for, all of which must fit, or those of the defaults that do.
fn depths(asked: &[usize], generate: usize, limit: usize) -> Result<Vec<usize>> {
    let fits = |depth: usize| depth.checked_add(generate).is_some_and(|n| n <= limit);
    let mut depths = asked.to_vec();
    if depths.is_empty() {
        depths.extend(DEPTHS.iter().filter(|&&depth| fits(depth)));
        for depth in DEPTHS.iter().filter(|&&depth| !fits(depth)) {
            eprintln!(
                "note: depth {depth} is left out: with {generate} tokens to generate it does not \
                 fit the context of {limit}"
            );
        }
    }
    for &depth in &depths {
        ensure!(
            fits(depth),
            "depth {depth} and {generate} tokens to generate do not fit a context of {limit}"
        );
    }
    depths.sort_unstable();
    depths.dedup();
    Ok(depths)
}

/// The sizes of verification passes, and how many tokens come before.
fn verify(asked: &[usize], limit: usize) -> Result<(Vec<usize>, usize)> {
    let mut sizes: Vec<usize> = match asked {
        [] => VERIFY.into_iter().filter(|&k| k <= limit).collect(),
        asked => asked.iter().copied().filter(|&k| k > 0).collect(),
    };
    sizes.sort_unstable();
    sizes.dedup();
    let most = sizes.last().copied().unwrap_or(0);
    ensure!(
        most <= limit,
        "a verification pass over {most} tokens does not fit a context of {limit}"
    );
    Ok((sizes, VERIFY_DEPTH.min(limit - most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> BenchArgs {
        BenchArgs {
            model: None,
            prompt: 512,
            generate: 128,
            depths: Vec::new(),
            verify: Vec::new(),
            repetitions: 5,
        }
    }

    #[test]
    fn the_context_is_raised_only_as_far_as_needed() {
        let plan = Plan::new(&args(), None, Some(32_768)).unwrap();
        assert_eq!(plan.depths, [0, 4096]);
        assert_eq!(plan.verify, [2, 4, 8]);
        assert_eq!(plan.context, Some(4096 + 128));

        let shallow = BenchArgs {
            depths: vec![0],
            ..args()
        };
        let plan = Plan::new(&shallow, None, Some(32_768)).unwrap();
        assert_eq!(plan.context, None, "the library's default is enough");
        assert_eq!(plan.most_tokens(), 512);

        let plan = Plan::new(&args(), Some(8192), Some(32_768)).unwrap();
        assert_eq!(plan.context, Some(8192), "what the user asked for stays");
    }

    #[test]
    fn a_default_depth_gives_way_and_an_explicit_one_does_not() {
        for limit in [4096, 4223] {
            let plan = Plan::new(&args(), None, Some(limit)).unwrap();
            assert_eq!(plan.depths, [0], "{limit}");
            let plan = Plan::new(&args(), Some(limit), Some(32_768)).unwrap();
            assert_eq!(plan.depths, [0], "{limit}");
        }
        let plan = Plan::new(&args(), None, Some(4224)).unwrap();
        assert_eq!(plan.depths, [0, 4096]);

        for depth in [4096, usize::MAX] {
            let explicit = BenchArgs {
                depths: vec![depth],
                ..args()
            };
            let error = Plan::new(&explicit, None, Some(4223)).unwrap_err();
            assert!(error.to_string().contains("context of 4223"), "{error}");
        }
    }

    #[test]
    fn lists_are_sorted_and_have_no_repeats() {
        let args = BenchArgs {
            depths: vec![100, 0, 100],
            verify: vec![8, 1, 8],
            ..args()
        };
        let plan = Plan::new(&args, None, Some(4096)).unwrap();
        assert_eq!((plan.depths, plan.verify), (vec![0, 100], vec![1, 8]));
    }

    #[test]
    fn a_small_context_shortens_what_comes_before_a_verification() {
        let small = BenchArgs {
            prompt: 4,
            generate: 4,
            ..args()
        };
        let plan = Plan::new(&small, None, Some(10)).unwrap();
        assert_eq!((plan.verify_depth, plan.most_tokens()), (2, 10));
        let plan = Plan::new(&small, None, Some(5)).unwrap();
        assert_eq!(plan.verify, [2, 4]);
        let explicit = BenchArgs {
            verify: vec![6],
            ..small
        };
        assert!(Plan::new(&explicit, None, Some(5)).is_err());
    }

    #[test]
    fn what_is_zero_is_left_out() {
        let only_verify = |verify| BenchArgs {
            prompt: 0,
            generate: 0,
            verify,
            ..args()
        };
        let plan = Plan::new(&only_verify(vec![4]), None, Some(4096)).unwrap();
        assert_eq!((plan.depths, plan.verify), (vec![], vec![4]));
        for verify in [vec![], vec![0]] {
            let error = Plan::new(&only_verify(verify), None, Some(4096)).unwrap_err();
            assert!(error.to_string().contains("nothing to measure"));
        }
    }
}
